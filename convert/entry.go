package convert

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

// servedPort is a service port with its number.
type servedPort struct {
	Name     string
	Protocol string
	Number   uint32
}

// draft is a host on its way to resources.
type draft struct {
	rules  *Rules
	host   string
	parts  []part // in order of precedence, never empty
	merged *merged
	memory memory
	ports  []servedPort
	due    time.Time // when time alone changes it
	now    time.Time

	// Of hosts that documents name.
	docs    []*document // in force, by name
	plan    *canary.Plan
	names   []string // of the plan's subsets
	objects []canary.Object
	past    rollout
	next    rollout
}

// draft joins the parts of a host and decides its ports. A draft without ports is not served.
func (r *Rules) draft(host string, parts []part, docs []*document, before memory, past rollout, now time.Time, lookup func(string) []netip.Addr) *draft {
	slices.SortFunc(parts, compareParts)
	d := &draft{rules: r, host: host, parts: parts, merged: r.merge(host, parts, r.labelKeys(docs), lookup), now: now}
	d.hold(before)
	d.number()
	if len(d.ports) == 0 {
		return d
	}
	d.merged.endpoints = slices.DeleteFunc(d.merged.endpoints, func(e *endpoint) bool {
		e.ports = slices.DeleteFunc(e.ports, func(p boundPort) bool { return !d.has(p.name) })
		return len(e.ports) == 0
	})
	fitWeights(d.merged.endpoints)
	d.memory.Split = before.Split
	if len(d.merged.endpoints) > 0 {
		d.memory.Split = slices.ContainsFunc(d.merged.endpoints, func(e *endpoint) bool { return len(e.ports) < len(d.ports) })
	}
	d.memory.Namespace = d.namespace(before.Namespace)
	d.roll(before, past, docs)
	return d
}

// top is the part that decides service-level fields.
func (d *draft) top() *settings { return d.parts[0].set }

func (d *draft) has(port string) bool {
	return slices.ContainsFunc(d.ports, func(p servedPort) bool { return p.Name == port })
}

// hold joins the ports that endpoints offer with those that were served and are retained.
func (d *draft) hold(before memory) {
	for _, name := range slices.Sorted(maps.Keys(d.merged.ports)) {
		if slices.ContainsFunc(d.merged.endpoints, func(e *endpoint) bool { _, has := e.offers(name); return has }) {
			p := d.merged.ports[name]
			// Copies, as a part of a report would keep all of it in memory.
			p.Name, p.Registry = strings.Clone(p.Name), strings.Clone(p.Registry)
			d.memory.Ports = append(d.memory.Ports, heldPort{port: p})
		}
	}
	offered := len(d.memory.Ports)
	for _, p := range before.Ports {
		if slices.ContainsFunc(d.memory.Ports[:offered], func(o heldPort) bool { return o.Name == p.Name }) {
			continue
		}
		if p.order = 0; p.Since.IsZero() {
			p.Since = d.now
		}
		if gone := p.Since.Add(d.rules.config.RetainEmpty); gone.After(d.now) {
			d.memory.Ports = append(d.memory.Ports, p)
			d.until(gone)
		}
	}
	slices.SortFunc(d.memory.Ports, func(a, b heldPort) int { return strings.Compare(a.Name, b.Name) })
}

// until notes that time alone changes the host then.
func (d *draft) until(at time.Time) {
	if d.due.IsZero() || at.Before(d.due) {
		d.due = at
	}
}

// number gives every port its number. Those with endpoints come first, then those that a service declares, then by precedence;
// a port whose number is taken is dropped.
func (d *draft) number() {
	byRank := slices.Clone(d.memory.Ports)
	slices.SortStableFunc(byRank, func(a, b heldPort) int {
		return cmp.Or(cmp.Compare(emptied(a), emptied(b)), cmp.Compare(rank(a.port), rank(b.port)), cmp.Compare(a.order, b.order))
	})
	taken := map[uint32]string{}
	for _, p := range byRank {
		n := cmp.Or(p.Number, d.top().number(p.Registry))
		if owner, clash := taken[n]; clash {
			if p.Since.IsZero() {
				d.reject(ClassPort, fmt.Sprintf("port %s would have number %d, which port %s has; set another under ports", p.Name, n, owner))
			}
			d.memory.Ports = slices.DeleteFunc(d.memory.Ports, func(o heldPort) bool { return o.Name == p.Name })
			continue
		}
		taken[n] = p.Name
		d.ports = append(d.ports, servedPort{Name: p.Name, Protocol: p.protocol(), Number: n})
	}
	slices.SortFunc(d.ports, func(a, b servedPort) int { return cmp.Compare(a.Number, b.Number) })
}

func emptied(p heldPort) int {
	if p.Since.IsZero() {
		return 0
	}
	return 1
}

func rank(p port) int {
	if p.Number != 0 {
		return 0
	}
	return 1
}

// namespace is the least of those that the first part with any asks for, else the one from before, else the mesh's. While a part
// is retained that decided it, it stays.
func (d *draft) namespace(before string) string {
	if d.merged.retained && before != "" {
		return before
	}
	candidates := slices.DeleteFunc(slices.Clone(d.merged.namespaces), func(ns string) bool { return ns == "" })
	if len(candidates) > 0 {
		return slices.Min(candidates)
	}
	if before != "" {
		return before
	}
	if ns, err := d.rules.fallback.eval(fields{Domain: d.rules.config.Mesh.Domain}); err == nil && toNamespace(ns) != "" {
		return toNamespace(ns)
	}
	return Default().Mesh.Namespace
}

// reject tells what holds for the whole host, in the name of the part that decides.
func (d *draft) reject(class, reason string) {
	ref := d.parts[0].ref
	d.merged.rejected.add(Rejection{Source: ref.Source, Service: ref.Key.Name, Host: d.host, Class: class, Reason: reason})
}

// object is a ServiceEntry to be.
type object struct {
	name      string
	host      string
	ports     []servedPort
	endpoints []*endpoint
}

// layout divides a host into objects. Istio calls an endpoint that has no number for a port at the number of the service
// port, so an endpoint may appear only where all of its object's ports are its own.
func (d *draft) layout() []object {
	if !d.memory.Split {
		return []object{{name: objectName(d.host), host: d.host, ports: d.ports, endpoints: d.merged.endpoints}}
	}
	objects := make([]object, 0, len(d.ports))
	for _, p := range d.ports {
		o := object{name: objectName(d.host + "-" + p.Name), host: d.host, ports: []servedPort{p}}
		for _, e := range d.merged.endpoints {
			if _, has := e.offers(p.Name); has {
				o.endpoints = append(o.endpoints, e)
			}
		}
		objects = append(objects, o)
	}
	return objects
}

// resources are what is served of the host at the given addresses. What Istio would refuse is left out, with the reason.
func (d *draft) resources(addrs []netip.Addr, changed time.Time) []*store.Resource {
	var all []*store.Resource
	for _, o := range d.layout() {
		spec := d.entry(o, addrs)
		if r := d.resource(store.ServiceEntry, o.name, changed, entryFaults(d.memory.Namespace, spec), func(m store.Meta) (*store.Resource, error) {
			m.Parts = d.entryParts(o)
			return store.New(m, spec)
		}); r != nil {
			all = append(all, r)
		}
	}
	if spec := d.rule(); spec != nil && len(all) > 0 {
		if r := d.resource(store.DestinationRule, objectName(rulePrefix+d.host), changed, ruleFaults(d.memory.Namespace, spec), func(m store.Meta) (*store.Resource, error) {
			m.Parts = d.ruleParts()
			return store.New(m, spec)
		}); r != nil {
			all = append(all, r)
		}
	}
	return append(all, d.routes(all, changed)...)
}

func (d *draft) resource(kind store.Kind, name string, changed time.Time, faults []string, encode func(store.Meta) (*store.Resource, error)) *store.Resource {
	if len(faults) > 0 {
		d.reject(ClassInvalid, fmt.Sprintf("%s %s: %s", kind.Kind, name, strings.Join(faults, "; ")))
		return nil
	}
	meta := store.Meta{
		Key:     store.Key{Kind: kind, Name: d.memory.Namespace + "/" + name},
		Host:    d.host,
		Labels:  d.top().meta,
		Created: d.rules.created(kind),
		Sources: d.sources(),
		Changed: changed,
	}
	r, err := encode(meta)
	if err != nil {
		d.reject(ClassInvalid, err.Error())
		return nil
	}
	return r
}

// sources names those that the host comes from. Hosts of one source share the list.
func (d *draft) sources() []string {
	first := d.parts[0].set.source
	if !slices.ContainsFunc(d.parts, func(p part) bool { return p.set.source != first }) {
		return first.alone
	}
	var names []string
	for _, p := range d.parts {
		names = append(names, p.ref.Source)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d *draft) entry(o object, addrs []netip.Addr) *networkingpb.ServiceEntry {
	spec := &networkingpb.ServiceEntry{
		Hosts:      []string{o.host},
		Location:   networkingpb.ServiceEntry_Location(networkingpb.ServiceEntry_Location_value[d.rules.config.Mesh.Location]),
		Resolution: static,
		ExportTo:   d.exportTo(),
		Ports:      make([]*networkingpb.ServicePort, 0, len(o.ports)),
		Endpoints:  make([]*networkingpb.WorkloadEntry, 0, len(o.endpoints)),
	}
	for _, addr := range addrs {
		spec.Addresses = append(spec.Addresses, addr.String())
	}
	for _, p := range o.ports {
		spec.Ports = append(spec.Ports, &networkingpb.ServicePort{Name: p.Name, Protocol: p.Protocol, Number: p.Number})
	}
	for _, e := range o.endpoints {
		w := &networkingpb.WorkloadEntry{
			Address:        e.addr.String(),
			Ports:          make(map[string]uint32, len(o.ports)),
			Labels:         e.labels,
			Network:        e.set.network,
			Locality:       e.locality,
			Weight:         e.weight,
			ServiceAccount: e.set.serviceAccount,
		}
		for _, p := range o.ports {
			w.Ports[p.Name], _ = e.offers(p.Name)
		}
		spec.Endpoints = append(spec.Endpoints, w)
	}
	return spec
}

// exportTo leaves out the host's own namespace beside ".", which Istio refuses as a duplicate.
func (d *draft) exportTo() []string {
	list := d.top().exportTo
	if !slices.Contains(list, ".") {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(e string) bool { return e == d.memory.Namespace })
}
