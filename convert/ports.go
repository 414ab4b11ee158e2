package convert

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"meshbridge/sources"
)

// protocol is how a registry's protocol is served.
type protocol struct {
	istio  string // the protocol of the service port
	port   string // its default name
	number uint32 // its default number
}

// Default numbers of service ports.
const (
	portHTTP  = 80
	portHTTPS = 443
	portGRPC  = 50051
	portTCP   = 20880
)

// protocolOf knows the protocols of registries and of Istio. What it does not know is TCP.
func protocolOf(registry string) protocol {
	switch p := strings.ToLower(registry); p {
	case "http", "rest", "http1", "http/1.1":
		return protocol{"HTTP", "http", portHTTP}
	case "http2", "h2c":
		return protocol{"HTTP2", "http2", portHTTP}
	case "https":
		return protocol{"HTTPS", "https", portHTTPS}
	case "tls":
		return protocol{"TLS", "tls", portHTTPS}
	case "grpc", "tri", "triple":
		return protocol{"GRPC", "grpc", portGRPC}
	case "grpc-web":
		return protocol{"GRPC-WEB", "grpc-web", portHTTP}
	case "mongo", "redis", "mysql":
		return protocol{strings.ToUpper(p), p, portTCP}
	case "tcp", "":
		return protocol{"TCP", "tcp", portTCP}
	default:
		return protocol{"TCP", toLabel("tcp-" + p), portTCP}
	}
}

// known reports whether a text is the name of a protocol that is served as itself.
func known(registry string) bool {
	p := protocolOf(registry)
	return p.istio != "TCP" || strings.EqualFold(registry, "tcp") || strings.EqualFold(registry, "dubbo")
}

// words are the words of registries for what is served under one port name; a number set for any of them holds for all, so
// that it does not depend on which of them instances use.
func (p protocol) words(registry string) []string {
	switch p.port {
	case "http":
		return []string{"http", "rest"}
	case "http2":
		return []string{"http2", "h2c"}
	case "grpc":
		return []string{"grpc", "tri", "triple"}
	}
	return []string{p.port, registry, strings.ToLower(p.istio)}
}

// number is the stable service port of a protocol: what the settings say, else the default.
func (s *settings) number(registry string) uint32 {
	p := protocolOf(registry)
	for _, word := range p.words(registry) {
		if n := s.ports[word]; n != 0 {
			return n
		}
	}
	return p.number
}

// port is a service port of a host.
type port struct {
	Name     string `json:"name"`
	Registry string `json:"registry"`         // the protocol in the registry's words
	Number   uint32 `json:"number,omitempty"` // where the registry declares it, else 0: what the settings say
	order    int    // the place of the first part that names it, while it has endpoints
}

func (p port) protocol() string { return protocolOf(p.Registry).istio }

// portNamer names the ports of one service's instances after the ports that the service declares, or after protocols.
type portNamer struct {
	set      *settings
	declared []port
}

func newPortNamer(set *settings, s *sources.Service, reject func(class, reason string)) portNamer {
	n := portNamer{set: set}
	for _, p := range s.Ports {
		declared := port{Name: toLabel(p.Name), Registry: n.registry(p), Number: p.Number}
		if declared.Name == "" {
			declared.Name = protocolOf(declared.Registry).port
		}
		if reason := portFault(p.Number); reason != "" && p.Number != 0 {
			reject(ClassPort, fmt.Sprintf("service port %s: %s", declared.Name, reason))
			continue
		}
		if slices.ContainsFunc(n.declared, func(o port) bool { return o.Name == declared.Name }) {
			reject(ClassPort, fmt.Sprintf("service port %s is declared twice", declared.Name))
			continue
		}
		n.declared = append(n.declared, declared)
	}
	return n
}

// registry is the protocol of a port in the registry's words: what it says, else what its name says, else the settings.
func (n portNamer) registry(p sources.Port) string {
	if p.Protocol != "" {
		return strings.ToLower(p.Protocol)
	}
	if p.Name != "" {
		lower := strings.ToLower(p.Name)
		head, _, _ := strings.Cut(lower, "-")
		for _, word := range []string{lower, head} {
			if known(word) {
				return word
			}
		}
	}
	return strings.ToLower(n.set.protocol)
}

// name finds the service port of an instance's port.
func (n portNamer) name(p sources.Port) (port, error) {
	if reason := portFault(p.Number); reason != "" {
		return port{}, fmt.Errorf("port %s: %s", cmp.Or(clip(p.Name), clip(p.Protocol), "number"), reason)
	}
	registry := n.registry(p)
	if len(n.declared) == 0 {
		return port{Name: protocolOf(registry).port, Registry: registry}, nil
	}
	for _, d := range n.declared {
		if p.Name != "" && d.Name == toLabel(p.Name) {
			return d, nil
		}
	}
	if p.Name != "" {
		return port{}, fmt.Errorf("port %s is not among the ports that the service declares", clip(p.Name))
	}
	for _, d := range n.declared {
		if p.Protocol == "" || protocolOf(d.Registry) == protocolOf(registry) {
			return d, nil
		}
	}
	return port{}, fmt.Errorf("the service declares no port of protocol %s", clip(p.Protocol))
}

func portFault(number uint32) string {
	if number == 0 || number > math.MaxUint16 {
		return fmt.Sprintf("%d is no port; ports are 1 to 65535", number)
	}
	return ""
}
