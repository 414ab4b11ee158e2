package zookeeper

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meshbridge/sources"
	"meshbridge/sources/dubbo"
)

// curatorNode is the data of an instance's node as Curator's service discovery writes it, and as Dubbo and Spring Cloud
// fill it in. Both leave out what they do not use.
type curatorNode struct {
	Name         string          `json:"name"`
	ID           string          `json:"id"`
	Address      string          `json:"address"`
	Port         json.Number     `json:"port"`
	SSLPort      json.Number     `json:"sslPort"`
	Payload      json.RawMessage `json:"payload"`
	Registration json.Number     `json:"registrationTimeUTC"`
	Enabled      *bool           `json:"enabled"`
	URISpec      struct {
		Parts []struct {
			Value    string `json:"value"`
			Variable bool   `json:"variable"`
		} `json:"parts"`
	} `json:"uriSpec"`
}

// curatorPayload is what Dubbo and Spring Cloud put into the payload.
type curatorPayload struct {
	Class    string                     `json:"@class"`
	Metadata map[string]json.RawMessage `json:"metadata"`
}

const (
	dubboClass = "org.apache.dubbo.registry.zookeeper.ZookeeperInstance"
	upStatus   = "UP"
)

// member is one instance of an application.
type member struct {
	instance   sources.Instance
	dubbo      bool
	registered int64 // milliseconds since 1970, to tell a newer registration from an older one
}

// parseMember reads an instance's node. The node's name id is its ID, whatever the data says.
func parseMember(id string, data []byte) (member, error) {
	if data = bytes.TrimSpace(data); len(data) == 0 || data[0] != '{' {
		return member{}, errors.New("node holds no service instance")
	}
	var node curatorNode
	if err := json.Unmarshal(data, &node); err != nil {
		return member{}, fmt.Errorf("decode instance: %w", err)
	}
	var payload curatorPayload
	if p := bytes.TrimSpace(node.Payload); len(p) > 0 && p[0] == '{' { // others put strings and null there
		if err := json.Unmarshal(p, &payload); err != nil {
			return member{}, fmt.Errorf("decode payload: %w", err)
		}
	}
	address, err := dubbo.Address(node.Address)
	if err != nil {
		return member{}, err
	}
	metadata := make(map[string]string, len(payload.Metadata))
	for key, raw := range payload.Metadata {
		metadata[key] = jsonText(raw)
	}
	m := member{
		dubbo: payload.Class == dubboClass || metadata["dubbo.metadata.revision"] != "" || metadata["dubbo.endpoints"] != "",
		instance: sources.Instance{
			ID: id, Address: address, Metadata: metadata, Weight: sources.DefaultWeight, Healthy: true, Enabled: true,
		},
	}
	m.registered, _ = node.Registration.Int64() // 0, the oldest, where absent
	if m.dubbo {
		err = m.readDubbo(&node)
	} else {
		err = m.readSpring(&node)
	}
	if node.Enabled != nil && !*node.Enabled {
		m.instance.Enabled = false
	}
	return m, err
}

// jsonText is a JSON string's value, and any other value as it is written; null is empty.
func jsonText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func (m *member) readDubbo(node *curatorNode) error {
	metadata := m.instance.Metadata
	ports, err := dubbo.Endpoints(metadata["dubbo.endpoints"])
	if err != nil {
		return err
	}
	if len(ports) == 0 {
		number, err := dubbo.PortNumber("port", node.Port)
		if err != nil {
			return err
		}
		if number == 0 {
			return errors.New("no port")
		}
		ports = []sources.Port{{Protocol: "dubbo", Number: number}}
	}
	m.instance.Ports = ports
	m.instance.Weight = dubbo.Weight(metadata)
	m.instance.Enabled = dubbo.Enabled(metadata) && metadata["dubbo.metadata.revision"] != dubbo.EmptyRevision
	if at, err := strconv.ParseInt(metadata["timestamp"], 10, 64); err == nil && m.registered == 0 {
		m.registered = at
	}
	return nil
}

// readSpring reads what Spring Cloud and any other user of Curator writes. The protocol of the plain port is left open,
// because the registration does not say it: uriSpec is the same for all of them, unless it spells out a scheme.
func (m *member) readSpring(node *curatorNode) error {
	plain, err := dubbo.PortNumber("port", node.Port)
	if err != nil {
		return err
	}
	secure, err := dubbo.PortNumber("sslPort", node.SSLPort)
	if err != nil {
		return err
	}
	if plain != 0 && plain != secure {
		m.instance.Ports = append(m.instance.Ports, sources.Port{Protocol: node.literalScheme(), Number: plain})
	}
	if secure != 0 {
		m.instance.Ports = append(m.instance.Ports, sources.Port{Protocol: "https", Number: secure})
	}
	if len(m.instance.Ports) == 0 {
		return errors.New("no port")
	}
	switch status := m.instance.Metadata["instance_status"]; strings.ToUpper(status) {
	case "", upStatus:
	case "OUT_OF_SERVICE":
		m.instance.Enabled = false
	default:
		m.instance.Healthy = false
	}
	return nil
}

// literalScheme is the scheme that uriSpec spells out, if it does.
func (n *curatorNode) literalScheme() string {
	if len(n.URISpec.Parts) == 0 || n.URISpec.Parts[0].Variable {
		return ""
	}
	scheme, _, found := strings.Cut(n.URISpec.Parts[0].Value, "://")
	if !found {
		return ""
	}
	return strings.ToLower(scheme)
}

// newestMembers drops registrations that a later one at the same address and ports replaced; the old node stays until its session ends.
func newestMembers(list []appMember) []appMember {
	slices.SortFunc(list, func(a, b appMember) int {
		return cmp.Or(cmp.Compare(b.registered, a.registered), cmp.Compare(a.instance.ID, b.instance.ID))
	})
	taken := make(map[endpoint]bool, len(list))
	kept := list[:0]
	for _, m := range list {
		replaced := true
		for _, p := range m.instance.Ports {
			replaced = replaced && taken[endpoint{m.instance.Address, p.Number, p.Protocol}]
		}
		if replaced {
			continue
		}
		for _, p := range m.instance.Ports {
			taken[endpoint{m.instance.Address, p.Number, p.Protocol}] = true
		}
		kept = append(kept, m)
	}
	slices.SortFunc(kept, func(a, b appMember) int { return cmp.Compare(a.instance.ID, b.instance.ID) })
	return kept
}
