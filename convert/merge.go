package convert

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"meshbridge/sources"
)

// part is what one service contributes to a host.
type part struct {
	ref   sources.Ref
	set   *settings
	svc   *sources.Service // nil: the registry no longer has it
	claim *claim
}

// compareParts orders by precedence: priority, place in the file, then the service's own name.
func compareParts(a, b part) int {
	return cmp.Or(
		cmp.Compare(b.set.priority, a.set.priority),
		cmp.Compare(a.set.source.order, b.set.source.order),
		strings.Compare(a.ref.Source, b.ref.Source),
		compareKeys(a.ref.Key, b.ref.Key),
	)
}

func compareKeys(a, b sources.Key) int {
	return cmp.Or(strings.Compare(a.Scope, b.Scope), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Group, b.Group),
		strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
}

// merged is what the parts of a host say together.
type merged struct {
	endpoints  []*endpoint
	ports      map[string]port // that an endpoint offers, or that a service declares and an endpoint may come to offer
	namespaces []string        // candidates of the first part that has any
	retained   bool            // before it comes one that its registry no longer has, whose namespace stays while it is retained
	lookups    []string
	rejected   rejections

	byAddr    map[netip.Addr][]*endpoint
	labelKeys []string // that documents ask for
}

// merge joins the endpoints of all parts, which are in order of precedence. For one address:port the first part decides.
// labelKeys are taken beside what the settings name.
func (r *Rules) merge(host string, parts []part, labelKeys []string, lookup func(string) []netip.Addr) *merged {
	m := &merged{ports: map[string]port{}, byAddr: map[netip.Addr][]*endpoint{}, labelKeys: labelKeys}
	for i, p := range parts {
		if p.svc == nil {
			m.retained = m.retained || m.namespaces == nil
			continue
		}
		reject := func(instance string) func(class, reason string) {
			return func(class, reason string) {
				m.rejected.add(Rejection{Source: p.ref.Source, Service: p.ref.Key.Name, Instance: instance, Host: host, Class: class, Reason: reason})
			}
		}
		var namespaces []string
		ports := newPortNamer(p.set, p.svc, reject(""))
		for _, declared := range ports.declared {
			m.agree(declared, i, reject(""))
		}
		for j := range p.svc.Instances {
			in := &p.svc.Instances[j]
			metadata := metadataOf(p.svc, in)
			if !p.set.picks(in, metadata) || !r.belongs(p, metadata) {
				continue
			}
			m.instance(r, p, i, in, metadata, ports, lookup, reject(clip(in.ID)))
			if p.set.namespace.perInstance {
				if ns := r.namespaceOf(p, metadata); ns != "" && !slices.Contains(namespaces, ns) {
					namespaces = append(namespaces, ns)
				}
			}
		}
		if !p.set.namespace.perInstance {
			namespaces = []string{r.namespaceOf(p, nil)}
		}
		if m.namespaces == nil {
			m.namespaces = namespaces
		}
	}
	slices.Sort(m.lookups)
	m.lookups = slices.Compact(m.lookups)
	slices.SortFunc(m.endpoints, compareEndpoints)
	return m
}

// belongs reports whether an instance of a part is for the part's host.
func (r *Rules) belongs(p part, metadata map[string]string) bool {
	if p.claim.alias || p.set.host == nil || !p.set.host.perInstance {
		return true
	}
	n, err := p.set.nameOf(p.svc, r.config.Mesh.Domain, metadata)
	return err == nil && n == p.claim.name
}

func (r *Rules) namespaceOf(p part, metadata map[string]string) string {
	result, err := p.set.namespace.eval(fieldsOf(p.svc, r.config.Mesh.Domain, metadata))
	if err != nil {
		return ""
	}
	return toNamespace(result)
}

// instance adds the endpoints of one instance.
func (m *merged) instance(r *Rules, p part, order int, in *sources.Instance, metadata map[string]string, ports portNamer, lookup func(string) []netip.Addr, reject func(class, reason string)) {
	addr, err := addressOf(in.Address)
	if err != nil {
		reject(ClassAddress, err.Error())
		return
	}
	addrs := []netip.Addr{addr}
	if !addr.IsValid() {
		hostname := strings.Clone(strings.ToLower(strings.TrimSuffix(in.Address, ".")))
		m.lookups = append(m.lookups, hostname)
		if addrs = lookup(hostname); len(addrs) == 0 {
			reject(ClassAddress, fmt.Sprintf("host name %s is not resolved", hostname))
			return
		}
	}
	bound := m.bind(in, order, ports, reject)
	if len(bound) == 0 {
		return
	}
	locality, err := p.set.localityOf(fieldsOf(p.svc, r.config.Mesh.Domain, metadata), in)
	if err != nil {
		reject(ClassLocality, err.Error())
	}
	tags := p.set.labels.take(metadata, m.labelKeys, reject)
	if r.config.Mesh.TLS == TLSIstio {
		if tags == nil {
			tags = map[string]string{}
		}
		tags[tlsModeLabel] = "istio"
	}
	for _, addr := range addrs {
		if addressFault(addr) == nil && !p.set.excludes(addr) {
			m.join(endpoint{addr: addr, labels: tags, locality: locality, weight: in.Weight, set: p.set}, bound)
		}
	}
}

// bind names the ports of an instance, sorted by name and number.
func (m *merged) bind(in *sources.Instance, order int, ports portNamer, reject func(class, reason string)) []boundPort {
	bound := make([]boundPort, 0, len(in.Ports))
	for _, p := range in.Ports {
		named, err := ports.name(p)
		if err != nil {
			reject(ClassPort, err.Error())
			continue
		}
		bound = append(bound, boundPort{name: m.agree(named, order, reject), number: p.Number})
	}
	if len(in.Ports) == 0 {
		reject(ClassPort, "the instance has no port")
	}
	slices.SortFunc(bound, func(a, b boundPort) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.number, b.number))
	})
	return slices.Compact(bound)
}

// agree notes a port that a part names, and returns the name under which it is served. One name has one protocol, which the
// first part that names it decides; what speaks another has a name and a number of its own.
func (m *merged) agree(named port, order int, reject func(class, reason string)) string {
	known, ok := m.ports[named.Name]
	if ok && known.protocol() != named.protocol() {
		word := protocolOf(named.Registry).port
		other := port{Name: toLabel(named.Name + "-" + word), Registry: named.Registry}
		if _, told := m.ports[other.Name]; !told {
			reject(ClassClash, fmt.Sprintf("port %s speaks %s by a source that comes before, so what speaks %s is port %s", named.Name, known.protocol(), named.protocol(), other.Name))
		}
		named = other
		known, ok = m.ports[named.Name]
	}
	switch {
	case !ok:
		named.order = order
		m.ports[named.Name] = named
	case known.protocol() != named.protocol():
		// Somebody declares a port of just this name. It stands.
	case known.Number == 0 && named.Number != 0, known.Number == named.Number && named.Registry < known.Registry:
		named.order = known.order
		m.ports[named.Name] = named
	}
	return named.Name
}

// join adds ports of an instance at one address. Ports at which the address is known already are left to who came first;
// the others join its endpoint, or make further ones where a port has two numbers.
func (m *merged) join(e endpoint, bound []boundPort) {
	here := m.byAddr[e.addr]
	var mine []*endpoint
	var fresh []boundPort
	for _, p := range bound {
		i := slices.IndexFunc(here, func(o *endpoint) bool {
			return slices.ContainsFunc(o.ports, func(q boundPort) bool { return q.number == p.number })
		})
		if i < 0 {
			fresh = append(fresh, p)
		} else if !slices.Contains(mine, here[i]) {
			mine = append(mine, here[i])
		}
	}
	for _, p := range fresh {
		i := slices.IndexFunc(mine, func(o *endpoint) bool { _, has := o.offers(p.name); return !has })
		if i < 0 {
			next := e
			next.ports = nil
			mine = append(mine, &next)
			m.endpoints = append(m.endpoints, &next)
			m.byAddr[e.addr] = append(m.byAddr[e.addr], &next)
			i = len(mine) - 1
		}
		mine[i].add(p)
	}
}

// compareEndpoints orders by address, then ports.
func compareEndpoints(a, b *endpoint) int {
	return cmp.Or(a.addr.Compare(b.addr), slices.CompareFunc(a.ports, b.ports, func(a, b boundPort) int {
		return cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(a.name, b.name))
	}))
}

// fitWeights scales weights down where Envoy could not add them up.
func fitWeights(endpoints []*endpoint) {
	var sum uint64
	for _, e := range endpoints {
		sum += uint64(e.weight)
	}
	if sum <= math.MaxUint32 {
		return
	}
	divisor := sum/(math.MaxUint32-uint64(len(endpoints))) + 1
	for _, e := range endpoints {
		e.weight = uint32(max(1, uint64(e.weight)/divisor))
	}
}
