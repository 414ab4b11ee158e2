package nacos

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"unique"

	"meshbridge/sources"
	"meshbridge/sources/dubbo"
)

// serviceInfo is a service as Nacos writes it, into answers and pushes alike.
type serviceInfo struct {
	Name  string            `json:"name"` // with or without group@@ before it
	Group string            `json:"groupName"`
	Hosts []json.RawMessage `json:"hosts"`
}

// id is the service's name in its registry.
func (s *serviceInfo) id() serviceID {
	if group, name, found := strings.Cut(s.Name, "@@"); found {
		return serviceID{group, name}
	}
	return serviceID{s.Group, s.Name}
}

// serviceID names a service within a namespace.
type serviceID struct{ group, name string }

func (id serviceID) String() string { return id.group + "@@" + id.name }

// host is an instance as Nacos writes it. Servers that only speak Nacos leave things out, or write numbers as strings.
type host struct {
	IP        string                     `json:"ip"`
	Port      json.Number                `json:"port"`
	Weight    json.Number                `json:"weight"`
	Healthy   *bool                      `json:"healthy"`
	Enabled   *bool                      `json:"enabled"`
	Ephemeral *bool                      `json:"ephemeral"`
	Cluster   string                     `json:"clusterName"`
	Metadata  map[string]json.RawMessage `json:"metadata"`
}

const (
	defaultCluster = "DEFAULT"
	clusterKey     = "nacos.cluster"
	ephemeralKey   = "nacos.ephemeral"
	endpointsKey   = "dubbo.endpoints"
	revisionKey    = "dubbo.metadata.revision"
)

// member is one instance that could be read.
type member struct {
	instance  sources.Instance
	dubbo     bool // a Dubbo application's
	timestamp int64
}

// parseHost reads what Nacos itself says of an instance; its port stands alone, without a protocol. Keys and values of
// metadata are shared among all instances: most are the same in thousands of them.
func parseHost(raw json.RawMessage) (member, error) {
	var h host
	if err := json.Unmarshal(raw, &h); err != nil {
		return member{}, fmt.Errorf("decode instance: %w", err)
	}
	address, err := dubbo.Address(strings.TrimSpace(h.IP))
	if err != nil {
		return member{}, err
	}
	port, err := dubbo.PortNumber("port", h.Port)
	if err != nil {
		return member{}, err
	}
	if port == 0 {
		return member{}, errors.New("no port")
	}
	weight, err := weightOf(h.Weight)
	if err != nil {
		return member{}, err
	}
	metadata := make(map[string]string, len(h.Metadata)+1)
	for key, value := range h.Metadata {
		metadata[unique.Make(key).Value()] = unique.Make(jsonText(value)).Value()
	}
	m := member{instance: sources.Instance{
		ID: net.JoinHostPort(address, strconv.FormatUint(uint64(port), 10)), Address: unique.Make(address).Value(),
		Ports: []sources.Port{{Number: port}}, Metadata: metadata, Weight: weight,
		Healthy: h.Healthy == nil || *h.Healthy, Enabled: h.Enabled == nil || *h.Enabled,
	}}
	if h.Cluster != "" && h.Cluster != defaultCluster {
		m.instance.ID += "#" + h.Cluster
		m.instance.Locality = strings.ReplaceAll(h.Cluster, "/", "-")
		metadata[clusterKey] = unique.Make(h.Cluster).Value()
	}
	if h.Ephemeral != nil && !*h.Ephemeral {
		metadata[ephemeralKey] = "false"
	}
	m.timestamp, _ = strconv.ParseInt(metadata["timestamp"], 10, 64) // 0, the oldest, where absent
	m.dubbo = metadata[endpointsKey] != "" || metadata[revisionKey] != ""
	return m, nil
}

// weightOf scales Nacos's weight, of which 1 is usual, so that only 0 takes no traffic.
func weightOf(n json.Number) (uint32, error) {
	if n == "" {
		return sources.DefaultWeight, nil
	}
	w, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || math.IsNaN(w) {
		return 0, fmt.Errorf("weight %s is no number", n)
	}
	return uint32(min(max(math.Ceil(w*sources.DefaultWeight), 0), math.MaxInt32)), nil
}

// scaled is a Dubbo weight under a Nacos weight: both are shares, and each has its own usual value.
func scaled(nacos, dubbo uint32) uint32 {
	return uint32(min((uint64(nacos)*uint64(dubbo)+sources.DefaultWeight-1)/sources.DefaultWeight, math.MaxInt32))
}

// jsonText is a JSON string's value, and any other value as it is written; null is empty.
func jsonText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// content is what was read of one service.
type content struct {
	instances []sources.Instance // sorted by ID; of a Dubbo application those are in members
	members   []sources.Instance // of a Dubbo application, sorted by ID
	endpoints []endpoint         // of a Dubbo interface
	skipped   []sources.Fault
	total     int // instances as the server counts them
	healthy   int
	digest    digest
}

// endpoint is what makes two registrations the same one.
type endpoint struct {
	address  string
	port     uint32
	protocol string
}

// decode reads the instances of a service. What cannot be read is left out alone, with the reason. Of two registrations
// of one address the healthy one counts, then the newer one: a provider that came back leaves its old registration until
// its old connection ends.
func decode(id serviceID, hosts []json.RawMessage) content {
	var c content
	newest := map[string]member{}
	_, isInterface := parseInterface(id.name)
	for _, raw := range hosts {
		c.total++
		m, err := parseHost(raw)
		if err == nil && m.instance.Healthy {
			c.healthy++
		}
		if err == nil {
			switch {
			case isInterface:
				err = m.readProvider()
			case m.dubbo:
				err = m.readDubbo()
			default:
				m.readPlain()
			}
		}
		if errors.Is(err, errNoProvider) {
			continue
		}
		if err != nil {
			c.skipped = append(c.skipped, sources.Fault{Where: id.String() + " " + brief(raw), Reason: err.Error()})
			continue
		}
		if old, found := newest[m.instance.ID]; !found || old.before(&m) {
			newest[m.instance.ID] = m
		}
	}
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		m := newest[key]
		if m.dubbo && !isInterface {
			c.members = append(c.members, m.instance)
		} else {
			c.instances = append(c.instances, m.instance)
		}
	}
	if isInterface {
		c.joinProviders()
	}
	slices.SortFunc(c.skipped, func(a, b sources.Fault) int {
		return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.Reason, b.Reason))
	})
	c.digest = c.sum()
	return c
}

// brief names an instance that could not be read.
func brief(raw json.RawMessage) string {
	var h struct {
		IP   any `json:"ip"`
		Port any `json:"port"`
	}
	if json.Unmarshal(raw, &h) == nil && h.IP != nil {
		return fmt.Sprintf("%v:%v", h.IP, h.Port)
	}
	text := string(raw)
	if len(text) > 60 {
		text = strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

// before reports whether another registration of the same address counts rather than m.
func (m *member) before(other *member) bool {
	rank := func(m *member) int {
		switch {
		case m.instance.Usable():
			return 2
		case m.instance.Healthy:
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(m), rank(other)), cmp.Compare(m.timestamp, other.timestamp),
		slices.Compare(appendInstance(nil, &m.instance), appendInstance(nil, &other.instance))) < 0
}

// readPlain reads what an instance of anything but Dubbo says of its port: protocol, by convention, or Spring Cloud's secure.
func (m *member) readPlain() {
	metadata := m.instance.Metadata
	switch {
	case metadata["protocol"] != "":
		m.instance.Ports[0].Protocol = strings.ToLower(metadata["protocol"])
	case dubbo.Bool(metadata, "secure", false):
		m.instance.Ports[0].Protocol = "https"
	}
}

// digest tells contents and services apart.
type digest [sha256.Size]byte

func (c *content) sum() digest {
	var text []byte
	for _, list := range [][]sources.Instance{c.instances, c.members} {
		text = binary.AppendUvarint(text, uint64(len(list)))
		for i := range list {
			text = appendInstance(text, &list[i])
		}
	}
	return sha256.Sum256(appendFaults(text, c.skipped))
}

func appendText(text []byte, parts ...string) []byte {
	for _, part := range parts {
		text = append(binary.AppendUvarint(text, uint64(len(part))), part...)
	}
	return text
}

func appendFaults(text []byte, faults []sources.Fault) []byte {
	text = binary.AppendUvarint(text, uint64(len(faults)))
	for _, f := range faults {
		text = appendText(text, f.Where, f.Reason)
	}
	return text
}

// appendInstance writes everything of an instance that this package fills in.
func appendInstance(text []byte, at *sources.Instance) []byte {
	text = appendText(text, at.ID, at.Address, at.Locality)
	text = binary.AppendUvarint(text, uint64(at.Weight))
	text = strconv.AppendBool(strconv.AppendBool(text, at.Healthy), at.Enabled)
	text = binary.AppendUvarint(text, uint64(len(at.Ports)))
	for _, p := range at.Ports {
		text = binary.AppendUvarint(appendText(text, p.Protocol), uint64(p.Number))
	}
	text = binary.AppendUvarint(text, uint64(len(at.Metadata)))
	for _, key := range slices.Sorted(maps.Keys(at.Metadata)) {
		text = appendText(text, key, at.Metadata[key])
	}
	return text
}
