package canary

import (
	"maps"
	"slices"
	"strings"
)

// Host is what a document is applied to: one host and the endpoints that may serve it now.
type Host struct {
	Name      string
	Ports     []Port
	Endpoints []Endpoint
	Retained  []map[string]string // labels of subsets that had endpoints not long ago
}

// Port is a service port.
type Port struct {
	Name     string
	Protocol string // Istio's word
	Number   uint32
}

// Endpoint is an address that serves some of the ports.
type Endpoint struct {
	Labels map[string]string
	Ports  []string // names of service ports
}

// The layers at which a port can be routed.
const (
	layerHTTP = iota
	layerTLS
	layerTCP
)

func (p Port) layer() int {
	switch p.Protocol {
	case "HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY":
		return layerHTTP
	case "HTTPS", "TLS":
		return layerTLS
	}
	return layerTCP
}

// ports are those of one layer.
func (h Host) ports(layer int) []Port {
	return slices.DeleteFunc(slices.Clone(h.Ports), func(p Port) bool { return p.layer() != layer })
}

// selects reports whether labels have all that a selector asks for; one that asks for nothing selects nothing.
func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}

// Subset is a subset that routes of documents name.
type Subset struct {
	Name     string            // that it should have, before it is told from others
	Labels   map[string]string // that its endpoints have
	Failover []string          // label=value of the endpoints that come first while they answer; none: all are equal
	Stamp    *Stamp            // what Labels mean, if they are the label of a stamp
}

// ID tells subsets apart: two of one ID choose the same endpoints in the same way.
func (s Subset) ID() string { return SubsetID(s.Labels, s.Failover) }

// Selects reports whether an endpoint with these labels of its own belongs to the subset.
func (s Subset) Selects(labels map[string]string) bool {
	if s.Stamp != nil {
		return s.Stamp.Fits(labels)
	}
	return selects(s.Labels, labels)
}

// stamped is a subset of the endpoints that carry a stamp.
func stamped(name string, failover []string, terms ...Term) Subset {
	stamp := &Stamp{Any: terms}
	return Subset{Name: name, Labels: map[string]string{stamp.Key(): StampValue}, Failover: failover, Stamp: stamp}
}

// SubsetID is the ID of a subset with these labels and this failover.
func SubsetID(labels map[string]string, failover []string) string {
	pairs := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	id := strings.Join(pairs, ",")
	if len(failover) > 0 {
		id += "|" + strings.Join(failover, ",")
	}
	return id
}
