package convert

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// ServiceView is what is known of a host, for views.
type ServiceView struct {
	Host       string
	Namespace  string
	Refs       []sources.Ref // the services that it comes from, in order of precedence
	Sources    []string
	Addresses  []netip.Addr
	Ports      []PortView
	Endpoints  int
	Slot       int
	Split      bool      // one ServiceEntry per port
	EmptySince time.Time // zero: it has endpoints, or never had any
	Subsets    []string
	Resources  []store.Key // what is served of it; none: it never had a usable instance, or see the rejections
}

// PortView is a service port.
type PortView struct {
	Name     string
	Protocol string
	Number   uint32
}

// Services are all hosts that services want, sorted.
func (c *Converter) Services() []ServiceView {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]ServiceView, 0, len(c.engine.hosts.all))
	for _, s := range c.engine.hosts.all {
		all = append(all, c.engine.view(s))
	}
	slices.SortFunc(all, func(a, b ServiceView) int { return strings.Compare(a.Host, b.Host) })
	return all
}

// Service is one host.
func (c *Converter) Service(host string) (ServiceView, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.engine.hosts.all[strings.ToLower(host)]
	if s == nil {
		return ServiceView{}, false
	}
	return c.engine.view(s), true
}

// Rejected is what is not served as the registries say it, sorted; of each service at a host the first twenty.
func (c *Converter) Rejected() []Rejection {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.rejections()
}

func (e *engine) view(s *hostState) ServiceView {
	v := ServiceView{
		Host:      s.name,
		Namespace: s.namespace,
		Sources:   slices.Clone(s.sources),
		Addresses: slices.Clone(s.addrs),
		Endpoints: s.endpoints,
		Slot:      store.Slot(s.name),
		Split:     s.memory.Split,
		Subsets:   slices.Clone(s.subsets),
		Resources: slices.Clone(s.served),
	}
	for _, p := range e.parts(s, false) {
		v.Refs = append(v.Refs, p.ref)
	}
	for _, p := range s.ports {
		v.Ports = append(v.Ports, PortView{Name: p.Name, Protocol: p.Protocol, Number: p.Number})
	}
	if s.endpoints == 0 {
		for _, p := range s.memory.Ports {
			if v.EmptySince.IsZero() || p.Since.Before(v.EmptySince) {
				v.EmptySince = p.Since
			}
		}
	}
	return v
}

func (e *engine) rejections() []Rejection {
	var all []Rejection
	for _, s := range e.hosts.all {
		all = append(all, s.rejected.kept...)
	}
	for _, r := range e.refs {
		all = append(all, r.rejected.kept...)
	}
	slices.SortFunc(all, compareRejections)
	return slices.Compact(all)
}
