package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

// rollout is what a host that documents name remembers within the process.
type rollout struct {
	documents []documentAt         // what is known of each document here
	routed    map[string]bool      // subsets that the last routes named
	leaves    map[string]time.Time // subsets that routes named until lately: until when an endpoint of theirs stays
	last      []*endpoint          // the endpoints that were served, with stamps
	populated map[string]time.Time // since when a subset has an endpoint in a ServiceEntry, by the part's name
}

// documentAt is a document at one host, for views.
type documentAt struct {
	key      string
	service  CanaryService
	findings []CanaryFinding
	objects  []store.Key
}

// roll applies the documents in force to a draft whose endpoints and ports are known: stamps, subsets, routes, and the
// endpoints that stay for those who may still be routed to them.
func (d *draft) roll(before memory, past rollout, docs []*document) {
	d.past = past
	var served []canary.Served
	for _, doc := range docs {
		if doc.served != nil && doc.served.Document.names(d.host) && !d.shuns(doc, before.Subsets) {
			d.docs = append(d.docs, doc)
			served = append(served, canary.Served{Document: doc.served.Document.Document, Responding: doc.served.responding()})
		}
	}
	if len(served) > 0 && strings.Contains(d.host, ".") {
		d.plan = d.rules.canaries().Plan(served, d.canaryHost(before.Subsets))
		for i, e := range d.merged.endpoints {
			if stamps := d.plan.Stamps(i); len(stamps) > 0 {
				e.labels = joinLabels(e.labels, stamps)
			}
		}
	}
	d.memory.Subsets = d.holdSubsets(before.Subsets)
	if d.plan != nil {
		d.objects = d.plan.Objects(d.names, d.exportTo())
		for i := range d.objects {
			d.objects[i].Name = d.routeName(d.objects[i])
		}
	}
	d.linger()
}

// shuns reports whether a document that names the host by a glob is not for it: the host has no endpoint of the primary, and no
// route to it either.
func (d *draft) shuns(doc *document, before []heldSubset) bool {
	if slices.Contains(doc.served.Content.Services, d.host) {
		return false
	}
	id := d.rules.canaries().PrimaryID(doc.served.Content)
	if slices.ContainsFunc(before, func(s heldSubset) bool { return s.id() == id && d.past.routed[s.Name] }) {
		return false
	}
	return d.rules.canaries().Shuns(doc.served.Content, d.canaryHost(before))
}

func joinLabels(a, b map[string]string) map[string]string {
	joined := make(map[string]string, len(a)+len(b))
	maps.Copy(joined, a)
	maps.Copy(joined, b)
	return joined
}

// canaryHost is what documents are applied to.
func (d *draft) canaryHost(before []heldSubset) canary.Host {
	h := canary.Host{Name: d.host}
	for _, p := range d.ports {
		h.Ports = append(h.Ports, canary.Port(p))
	}
	for _, e := range d.merged.endpoints {
		ce := canary.Endpoint{Labels: e.labels}
		for _, p := range e.ports {
			ce.Ports = append(ce.Ports, p.name)
		}
		h.Endpoints = append(h.Endpoints, ce)
	}
	for _, s := range before {
		h.Retained = append(h.Retained, s.Labels)
	}
	return h
}

// linger keeps the last endpoints of a subset for settle after the routes to it have left: proxies learn of both at
// different moments.
func (d *draft) linger() {
	if d.plan == nil && len(d.past.routed)+len(d.past.leaves) == 0 {
		return // as of nearly all hosts
	}
	d.depart()
	for _, name := range slices.Sorted(maps.Keys(d.next.leaves)) {
		i := slices.IndexFunc(d.memory.Subsets, func(s heldSubset) bool { return s.Name == name })
		if i < 0 {
			continue
		}
		d.until(d.next.leaves[name])
		labels := d.memory.Subsets[i].Labels
		if slices.ContainsFunc(d.merged.endpoints, func(e *endpoint) bool { return labelled(e, labels) }) {
			continue
		}
		for _, e := range d.past.last {
			if labelled(e, labels) && !d.serves(e) && d.fits(e) {
				d.merged.endpoints = append(d.merged.endpoints, e)
			}
		}
	}
	slices.SortFunc(d.merged.endpoints, compareEndpoints)
	if d.plan != nil || len(d.next.leaves) > 0 {
		d.next.last = d.merged.endpoints
	}
}

// depart notes which subsets routes name now, and which they have left.
func (d *draft) depart() {
	d.next.routed, d.next.leaves = map[string]bool{}, map[string]time.Time{}
	for _, o := range d.objects {
		for _, use := range o.Uses {
			d.next.routed[use.Subset] = true
		}
	}
	for name, until := range d.past.leaves {
		if until.After(d.now) && !d.next.routed[name] {
			d.next.leaves[name] = until
		}
	}
	for name := range d.past.routed {
		if !d.next.routed[name] {
			d.next.leaves[name] = d.now.Add(d.rules.config.Canary.Settle)
		}
	}
}

func labelled(e *endpoint, labels map[string]string) bool {
	for key, value := range labels {
		if e.labels[key] != value {
			return false
		}
	}
	return true
}

// serves reports whether an endpoint's address and one of its ports are there already.
func (d *draft) serves(e *endpoint) bool {
	return slices.ContainsFunc(d.merged.endpoints, func(o *endpoint) bool {
		return o.addr == e.addr && slices.ContainsFunc(o.ports, func(p boundPort) bool { return slices.Contains(e.ports, p) })
	})
}

// fits reports whether an endpoint has the ports that those of the host have now.
func (d *draft) fits(e *endpoint) bool {
	has := func(p servedPort) bool { _, ok := e.offers(p.Name); return ok }
	if d.memory.Split {
		return slices.ContainsFunc(d.ports, has)
	}
	return !slices.ContainsFunc(d.ports, func(p servedPort) bool { return !has(p) })
}

// entryParts are the subsets that have an endpoint in a ServiceEntry, where documents name or named subsets.
func (d *draft) entryParts(o object) []store.Part {
	if !d.rolled() {
		return nil
	}
	if d.next.populated == nil {
		d.next.populated = map[string]time.Time{}
	}
	var parts []store.Part
	for _, s := range d.memory.Subsets {
		if !slices.ContainsFunc(o.endpoints, func(e *endpoint) bool { return labelled(e, s.Labels) }) {
			continue
		}
		key := o.name + "/" + s.Name
		since, ok := d.past.populated[key]
		if !ok {
			since = d.now
		}
		d.next.populated[key] = since
		parts = append(parts, store.Part{Name: s.Name, Since: since})
	}
	slices.SortFunc(parts, func(a, b store.Part) int { return strings.Compare(a.Name, b.Name) })
	return parts
}

// ruleParts are the subsets of the DestinationRule, where documents name or named some.
func (d *draft) ruleParts() []store.Part {
	if !d.rolled() {
		return nil
	}
	var parts []store.Part
	for _, s := range d.memory.Subsets {
		parts = append(parts, store.Part{Name: s.Name, Since: s.added})
	}
	slices.SortFunc(parts, func(a, b store.Part) int { return strings.Compare(a.Name, b.Name) })
	return parts
}

// rolled reports whether a route may name a subset of the host.
func (d *draft) rolled() bool {
	return d.plan != nil || len(d.next.leaves) > 0 || slices.ContainsFunc(d.memory.Subsets, func(s heldSubset) bool { return s.Routed })
}

// routeName is the metadata.name of a VirtualService. A delegate is called as its document says, since others name it.
func (d *draft) routeName(o canary.Object) string {
	switch {
	case o.Name == "":
		return objectName(rulePrefix + d.host)
	case len(o.Spec.Hosts) == 0:
		return objectName(o.Name)
	}
	return objectName(rulePrefix + o.Name)
}

// routes are the VirtualServices of the host. Each needs the subsets that it names, and their endpoints where there are any.
func (d *draft) routes(served []*store.Resource, changed time.Time) []*store.Resource {
	var all []*store.Resource
	for _, o := range d.objects {
		needs, faults := d.needs(o, served)
		faults = append(faults, routeFaults(d.memory.Namespace, o.Spec)...)
		r := d.resource(store.VirtualService, o.Name, changed, faults, func(m store.Meta) (*store.Resource, error) {
			m.Needs = needs
			return store.New(m, o.Spec)
		})
		if r != nil {
			all = append(all, r)
		}
	}
	return all
}

func (d *draft) needs(o canary.Object, served []*store.Resource) (needs []store.Need, faults []string) {
	entries := map[string]string{} // by port
	for _, l := range d.layout() {
		for _, p := range l.ports {
			entries[p.Name] = l.name
		}
	}
	want := func(kind store.Kind, name, subset string) bool {
		key := store.Key{Kind: kind, Name: d.memory.Namespace + "/" + name}
		i := slices.IndexFunc(served, func(r *store.Resource) bool { return r.Key == key })
		if i < 0 || !served[i].Has(subset) {
			return false
		}
		if need := (store.Need{Key: key, Part: subset}); !slices.Contains(needs, need) {
			needs = append(needs, need)
		}
		return true
	}
	for _, use := range o.Uses {
		if !want(store.DestinationRule, objectName(rulePrefix+d.host), use.Subset) {
			faults = append(faults, fmt.Sprintf("subset %s is not served", use.Subset))
		}
		want(store.ServiceEntry, entries[use.Port], use.Subset)
	}
	return needs, faults
}

// describe is what views show of the documents at the host.
func (d *draft) describe() []documentAt {
	if d.plan == nil {
		return nil
	}
	var all []documentAt
	for i, doc := range d.docs {
		at := documentAt{key: doc.key, service: CanaryService{Host: d.host, Namespace: d.memory.Namespace}}
		primary, canaries := d.plan.Chosen(i)
		subset := func(j int, isCanary bool) {
			at.service.Subsets = append(at.service.Subsets, CanarySubset{
				Name: d.names[j], Labels: d.plan.Subsets[j].Labels, Endpoints: d.plan.Endpoints(j, ""), Canary: isCanary})
		}
		if primary >= 0 {
			subset(primary, false)
		}
		for _, j := range canaries {
			subset(j, true)
		}
		for _, r := range d.plan.Routes(i) {
			route := CanaryRoute{Name: r.Name, Match: r.Match, Status: r.Status}
			for _, s := range r.Shares {
				route.Destinations = append(route.Destinations, CanaryShare{Subset: d.names[s.Subset], Weight: s.Weight})
			}
			at.service.Routes = append(at.service.Routes, route)
		}
		for _, f := range d.plan.Findings(i) {
			at.findings = append(at.findings, CanaryFinding{Class: string(f.Class), Warning: f.Warning, Host: d.host, Text: f.Text})
		}
		for _, o := range d.objects {
			if slices.Contains(o.Docs, doc.served.Document.Name) {
				at.objects = append(at.objects, store.Key{Kind: store.VirtualService, Name: d.memory.Namespace + "/" + o.Name})
			}
		}
		all = append(all, at)
	}
	return all
}

// canaries is what all documents have in common.
func (r *Rules) canaries() canary.Rules {
	label := ""
	if len(r.config.Subsets.Labels) > 0 {
		label = r.config.Subsets.Labels[0]
	}
	return canary.Rules{Label: label, Respond: r.config.Canary.Respond}
}

// routeFaults says why Istio would refuse a VirtualService (ValidateVirtualService), for the kind that is generated.
func routeFaults(namespace string, vs *networkingpb.VirtualService) []string {
	var f []string
	add := func(format string, args ...any) { f = append(f, fmt.Sprintf(format, args...)) }
	if len(vs.Http)+len(vs.Tcp)+len(vs.Tls) == 0 {
		add("there is no route")
	}
	for _, r := range vs.Http {
		if len(r.Route) == 0 && r.DirectResponse == nil {
			add("route %s leads nowhere", r.Name)
		}
		sum := int32(0)
		for _, dest := range r.Route {
			sum += dest.Weight
		}
		if len(r.Route) > 1 && sum == 0 {
			add("route %s has weights of 0 only", r.Name)
		}
	}
	exportFaults(namespace, vs.ExportTo, add)
	return f
}
