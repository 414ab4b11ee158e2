package convert

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert/canary"
	"meshbridge/convert/rollout"
	"meshbridge/mcpserver/store"
)

// servedPort is a service port with its number.
type servedPort struct {
	Name     string
	Protocol string
	Number   uint32
	leaving  bool // no endpoint offers it any more, and routes lead there no longer
}

// moment is what a draft is made in.
type moment struct {
	now        time.Time
	opened     time.Time // when the process began to serve
	generation uint64    // of the state of the store that is being made
	lookup     func(string) []netip.Addr
	clients    rollout.Clients
	routes     *rollout.Routes
	taken      func(host string, e *endpoint) bool // another host has come to have one of the endpoint's addresses
}

// draft is a host on its way to resources.
type draft struct {
	moment
	rules  *Rules
	host   string
	parts  []part // in order of precedence, never empty
	merged *merged
	memory memory
	ports  []servedPort
	due    time.Time // when time alone changes it

	// Of hosts that documents name.
	world   canary.Host // what documents are applied to, without what they make of it
	docs    []*document // that take part, by precedence
	lost    []loss      // what documents take from each other
	plan    *canary.Plan
	names   []string // of the plan's subsets
	objects []canary.Object
	past    passage
	next    passage
	made    []*rollout.Route // of the resources
	stayed  []*endpoint      // endpoints that are served although no registry reports them
}

// draft joins the parts of a host and decides its ports. A draft without ports is not served.
func (r *Rules) draft(host string, parts []part, docs candidates, before memory, past passage, m moment) *draft {
	slices.SortFunc(parts, compareParts)
	keys := r.labelKeys(docs.all)
	for _, s := range before.Subsets {
		keys = append(keys, s.Keys()...)
	}
	d := &draft{moment: m, rules: r, host: host, parts: parts, merged: r.merge(host, parts, keys, m.lookup), past: past}
	d.next = passage{routes: past.routes, changed: past.changed, kept: past.kept}
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
	d.placeNamespace(before)
	d.roll(before, docs)
	return d
}

// top is the part that decides service-level fields.
func (d *draft) top() *settings { return d.parts[0].set }

func (d *draft) has(port string) bool {
	return slices.ContainsFunc(d.ports, func(p servedPort) bool { return p.Name == port })
}

// hold joins the ports that endpoints offer with those that were served and are retained, or to which routes led until lately.
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
		if !slices.ContainsFunc(d.memory.Ports[:offered], func(o heldPort) bool { return o.Name == p.Name }) && d.retained(&p) {
			p.order = 0
			d.memory.Ports = append(d.memory.Ports, p)
		}
	}
	slices.SortFunc(d.memory.Ports, func(a, b heldPort) int { return strings.Compare(a.Name, b.Name) })
}

// retained reports whether a port stays that no endpoint offers any more.
func (d *draft) retained(p *heldPort) bool {
	if p.Since.IsZero() {
		p.Since = d.now
	}
	if gone := p.Since.Add(d.rules.config.RetainEmpty); gone.After(d.now) {
		d.until(gone)
		return true
	}
	if len(d.past.routes) == 0 && p.Left.IsZero() {
		return false
	}
	left := !p.Left.IsZero() // by a former state of the store
	if !left {
		p.Left = d.now
	}
	settle := d.rules.config.Canary.Settle
	gone := p.Left.Add(rollout.Keep(settle))
	switch {
	case gone.After(d.now):
		d.until(gone)
	case left && d.left():
		return false
	default:
		d.until(d.now.Add(max(settle, time.Second)))
	}
	return true
}

// left reports whether every client has followed the routes of the host to where they are now.
func (d *draft) left() bool {
	return d.clients.Reached(d.host, d.past.changed, d.now.Add(-d.rules.config.Canary.Settle))
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
		d.ports = append(d.ports, servedPort{Name: p.Name, Protocol: p.protocol(), Number: n, leaving: !p.Left.IsZero()})
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

// resources are what is served of the host at the given addresses. What Istio would refuse is left out, with the reason.
func (d *draft) resources(addrs []netip.Addr, changed time.Time) []*store.Resource {
	rule := d.resource(store.DestinationRule, d.memory.Namespace, objectName(rulePrefix+d.host), 0, changed, d.rule)
	d.mark(rule)
	var all []*store.Resource
	add := func(r *store.Resource) {
		if r != nil {
			all = append(all, r)
		}
	}
	gate := d.moving(rule)
	for _, o := range d.layout() {
		entry := func(namespace string) (proto.Message, []string) {
			spec := d.entry(namespace, o, addrs)
			return spec, entryFaults(namespace, spec)
		}
		r := d.resource(store.ServiceEntry, d.memory.Namespace, o.name, o.later, changed, entry)
		if r != nil {
			r.Gate = gate
		}
		add(r)
		for _, h := range d.memory.Homes {
			if !h.Bare {
				add(d.resource(store.ServiceEntry, h.Namespace, o.name, o.later, changed, entry))
			}
		}
	}
	if len(all) == 0 || rule == nil {
		return all
	}
	add(rule)
	for _, h := range d.memory.Homes {
		add(d.resource(store.DestinationRule, h.Namespace, objectName(rulePrefix+d.host), 0, changed, d.rule))
	}
	return append(all, d.virtualServices(changed)...)
}

// resource makes a resource of what spec says, nil if that says nothing or has faults.
func (d *draft) resource(kind store.Kind, namespace, name string, later time.Duration, changed time.Time, spec func(namespace string) (proto.Message, []string)) *store.Resource {
	content, faults := spec(namespace)
	if content == nil {
		return nil
	}
	if len(faults) > 0 {
		d.reject(ClassInvalid, fmt.Sprintf("%s %s: %s", kind.Kind, name, strings.Join(faults, "; ")))
		return nil
	}
	r, err := store.New(store.Meta{
		Key:     store.Key{Kind: kind, Name: namespace + "/" + name},
		Host:    d.host,
		Labels:  d.top().meta,
		Created: d.rules.created(kind).Add(later),
		Sources: d.sources(),
		Changed: changed,
	}, content)
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

func (d *draft) entry(namespace string, o object, addrs []netip.Addr) *networkingpb.ServiceEntry {
	exportTo := d.exportTo(namespace)
	if o.hidden {
		exportTo = nobody
	}
	spec := &networkingpb.ServiceEntry{
		Hosts:      []string{o.host},
		Location:   networkingpb.ServiceEntry_Location(networkingpb.ServiceEntry_Location_value[d.rules.config.Mesh.Location]),
		Resolution: static,
		ExportTo:   exportTo,
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
			Labels:         d.stamped(e),
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

// exportTo leaves out an object's own namespace beside ".", which Istio refuses as a duplicate.
func (d *draft) exportTo(namespace string) []string {
	list := d.top().exportTo
	if !slices.Contains(list, ".") {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(e string) bool { return e == namespace })
}
