package zookeeper

import (
	"cmp"
	"errors"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"unique"

	"meshbridge/sources"
)

const tagKey = "dubbo.tag"

// provider is one address at which an interface is offered under one protocol.
type provider struct {
	group, version string
	address        string
	port           uint32
	protocol       string
	timestamp      int64
	node           string
	params         map[string]string
}

// errNoProvider is returned for nodes that are no providers to others and say so: nothing is wrong with them.
var errNoProvider = errors.New("not a provider")

// noVersion maps Dubbo's way of saying "no version" to none.
func noVersion(version string) string {
	if version == "0.0.0" {
		return ""
	}
	return version
}

// parseProvider reads a node below providers. On an error the provider carries its group and version as far as they could be read.
func parseProvider(node string) (provider, error) {
	u, err := parseURL(node)
	p := provider{group: u.params["group"], version: noVersion(u.params["version"]), protocol: u.scheme, port: u.port, node: node, params: u.params}
	if err != nil {
		return p, err
	}
	if u.scheme == "injvm" || u.scheme == "empty" || u.scheme == "consumer" ||
		u.param("category", "providers") != "providers" || u.param("side", "provider") != "provider" {
		return p, errNoProvider
	}
	address, err := checkAddress(u.host)
	if err != nil {
		return p, err
	}
	p.address = unique.Make(address).Value()
	if u.port == 0 {
		return p, errors.New("no port")
	}
	p.timestamp, _ = strconv.ParseInt(u.params["timestamp"], 10, 64) // 0, the oldest, where absent
	return p, nil
}

// endpoint is what makes two registrations the same one.
type endpoint struct {
	address  string
	port     uint32
	protocol string
}

func (p *provider) endpoint() endpoint { return endpoint{p.address, p.port, p.protocol} }

// weightOf reads a weight as Dubbo does: 100 unless said otherwise, nothing below 0.
func weightOf(params map[string]string) uint32 {
	n, err := strconv.ParseInt(params["weight"], 10, 64)
	if err != nil {
		return sources.DefaultWeight
	}
	return uint32(min(max(n, 0), math.MaxInt32))
}

// enabledIn reads whether traffic may come: a rule's disabled decides where it is set, else the provider's enabled.
func enabledIn(params map[string]string) bool {
	if params["disabled"] != "" {
		return !boolParam(params, "disabled", false)
	}
	return boolParam(params, "enabled", true)
}

// iface is what has been read of one interface: its services, one for each group and version.
type iface struct {
	dir       string             // its node
	services  []*sources.Service // sorted by group and version
	endpoints []endpoint         // of all services
	faults    []sources.Fault    // rules that could not be read
}

// readInterface makes services of the nodes below providers and configurators of the interface's node at dir.
func readInterface(scope, dir, name string, providers, configurators []string) *iface {
	out := &iface{dir: dir}
	rules, bad := parseRules(configurators)
	for node, err := range bad {
		out.faults = append(out.faults, sources.Fault{Where: dir + "/configurators/" + node, Reason: err.Error()})
	}
	slices.SortFunc(out.faults, compareFaults)

	services := map[sources.Key]*sources.Service{}
	service := func(group, version string) *sources.Service {
		key := sources.Key{Scope: scope, Group: group, Name: name, Version: version}
		if services[key] == nil {
			services[key] = &sources.Service{Key: key, Interface: true}
		}
		return services[key]
	}
	newest := map[sources.Key]map[endpoint]provider{}
	for _, node := range providers {
		p, err := parseProvider(node)
		if errors.Is(err, errNoProvider) {
			continue
		}
		s := service(p.group, p.version)
		if err != nil {
			s.Skipped = append(s.Skipped, sources.Fault{Where: dir + "/providers/" + node, Reason: err.Error()})
			continue
		}
		if newest[s.Key] == nil {
			newest[s.Key] = map[endpoint]provider{}
		}
		// A provider that came back leaves its old node until its old session ends.
		old, found := newest[s.Key][p.endpoint()]
		if !found || cmp.Or(cmp.Compare(old.timestamp, p.timestamp), cmp.Compare(old.node, p.node)) < 0 {
			newest[s.Key][p.endpoint()] = p
		}
	}
	for key, byEndpoint := range newest {
		list := make([]provider, 0, len(byEndpoint))
		for e, p := range byEndpoint {
			for _, r := range rules {
				if r.matches(&p) {
					p.params = r.apply(p.params)
				}
			}
			list = append(list, p)
			out.endpoints = append(out.endpoints, e)
		}
		services[key].Instances = instances(list)
	}
	for _, s := range services {
		slices.SortFunc(s.Skipped, compareFaults)
		out.services = append(out.services, s)
	}
	slices.SortFunc(out.services, func(a, b *sources.Service) int { return compareKeys(a.Key, b.Key) })
	return out
}

// instances joins the protocols of one machine into one instance where nothing but the protocol tells them apart.
func instances(list []provider) []sources.Instance {
	slices.SortFunc(list, func(a, b provider) int {
		return cmp.Or(cmp.Compare(a.address, b.address), cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.port, b.port))
	})
	out := make([]sources.Instance, 0, len(list))
	for i := 0; i < len(list); {
		end := i + 1
		for end < len(list) && list[end].address == list[i].address {
			end++
		}
		if oneProcess(list[i:end]) {
			out = append(out, instance(list[i:end]))
		} else {
			for k := i; k < end; k++ {
				out = append(out, instance(list[k:k+1]))
			}
		}
		i = end
	}
	slices.SortFunc(out, func(a, b sources.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// instance makes one instance of providers that are one process.
func instance(list []provider) sources.Instance {
	first := &list[0]
	ports := make([]sources.Port, len(list))
	for i, p := range list {
		ports[i] = sources.Port{Protocol: p.protocol, Number: p.port}
	}
	return sources.Instance{
		ID:       first.protocol + "://" + net.JoinHostPort(first.address, strconv.FormatUint(uint64(first.port), 10)),
		Address:  first.address,
		Ports:    ports,
		Metadata: first.params,
		Weight:   weightOf(first.params),
		Healthy:  true,
		Enabled:  enabledIn(first.params),
	}
}

// perProtocol are parameters that differ between the protocols of one process.
var perProtocol = []string{"codec", "ext.protocol", "payload", "preferred-protocol", "server", "ssl-enabled", "transporter"}

// oneProcess reports whether providers at one address may be taken as one process with several protocols: each protocol
// once, and no lasting parameter that differs.
func oneProcess(list []provider) bool {
	for i := 1; i < len(list); i++ {
		if list[i].protocol == list[i-1].protocol || !sameParams(list[0].params, list[i].params) || !sameParams(list[i].params, list[0].params) {
			return false
		}
	}
	return true
}

func sameParams(a, b map[string]string) bool {
	for key, value := range a {
		if value != b[key] && !isVolatile(key) && !slices.Contains(perProtocol, key) {
			return false
		}
	}
	return true
}

func isVolatile(key string) bool {
	return slices.ContainsFunc(volatile, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(pattern, "*")
		return key == pattern || wild && strings.HasPrefix(key, prefix)
	})
}

func compareFaults(a, b sources.Fault) int {
	return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.Reason, b.Reason))
}

func compareKeys(a, b sources.Key) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Scope, b.Scope))
}
