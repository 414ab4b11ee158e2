package convert

import (
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/convert/canary"
	"meshbridge/convert/rollout"
	"meshbridge/mcpserver/store"
)

// passage is what a host remembers, within the process, of its way from one plan to the next. A host that no document names
// has none.
type passage struct {
	documents []documentAt         // what is known of each document here
	points    rollout.Points       // since when there are subsets, and endpoints in them
	routes    []store.Key          // the VirtualServices that are served
	changed   uint64               // the first state of the store with these routes
	last      []*endpoint          // the endpoints that were served
	emptied   map[string]time.Time // by a subset's ID, when it lost its last endpoint while routes led there
	kept      []*store.Resource    // the ServiceEntries and DestinationRules that were served
	gone      time.Time            // when nobody wanted the host any more, while routes still led there
}

// documentAt is a document at one host, for views.
type documentAt struct {
	key      string
	service  CanaryService
	findings []CanaryFinding
	objects  []store.Key
}

// roll applies the documents that take part to a draft whose endpoints and ports are known: subsets, routes, and the endpoints
// that stay for a moment.
func (d *draft) roll(before memory, docs candidates) {
	var served []canary.Served
	if len(docs.all) > 0 {
		d.world = d.canaryHost(before.Subsets)
		var taken []participant
		taken, d.lost = d.active(docs, before)
		for _, p := range taken {
			d.docs = append(d.docs, p.document)
			served = append(served, canary.Served{Document: p.served.Document.Document, Team: p.served.Team, Responding: p.served.responding(), Superseded: p.superseded})
		}
	}
	if len(served) > 0 && len(d.world.Ports) > 0 && strings.Contains(d.host, ".") {
		d.plan = d.rules.canaries().Plan(served, d.world)
	}
	d.holdSubsets(before.Subsets)
	if d.plan != nil {
		d.objects = d.plan.Objects(d.names, d.exportTo(d.memory.Namespace))
	}
	d.follow(before)
	d.linger()
}

// canaryHost is what documents are applied to.
func (d *draft) canaryHost(before []rollout.Subset) canary.Host {
	h := canary.Host{Name: d.host}
	for _, p := range d.ports {
		if !p.leaving {
			h.Ports = append(h.Ports, canary.Port{Name: p.Name, Protocol: p.Protocol, Number: p.Number})
		}
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

// placeNamespace decides the namespace of the host, and where else it is still served.
func (d *draft) placeNamespace(before memory) {
	d.memory.Namespace = d.namespace(before.Namespace)
	d.memory.Homes = before.Homes
	if before.Namespace != d.memory.Namespace && before.Namespace != "" {
		d.memory.Homes = rollout.Move(before.Homes, before.Namespace, d.memory.Namespace, d.generation, d.now)
	}
	if len(d.memory.Homes) == 0 {
		return
	}
	busy := map[string]bool{}
	for _, r := range d.leaving() {
		namespace, _, _ := strings.Cut(r.Resource.Name, "/")
		busy[namespace] = true
	}
	var due time.Time
	settle := d.rules.config.Canary.Settle
	// A replica that retains a service which this one has never seen still has the host in its old namespace.
	rest := rollout.Keep(settle) + d.rules.config.RetainEmpty
	d.memory.Homes, due = rollout.Tidy(d.memory.Homes, d.host, busy, d.clients, d.generation, d.now, settle, rest)
	if !due.IsZero() {
		d.until(due)
	}
}

// leaving are the routes of the host that are served only until others have taken over.
func (d *draft) leaving() []*rollout.Route {
	var all []*rollout.Route
	for _, key := range d.past.routes {
		if r := d.routes.Of(rollout.ID{Key: key, Host: d.host}); r != nil && r.Leaves() {
			all = append(all, r)
		}
	}
	return all
}

// needed are the names of the subsets that leaving routes name.
func (d *draft) needed() map[string]bool {
	names := map[string]bool{}
	for _, r := range d.leaving() {
		for _, use := range r.Uses {
			names[use.Subset] = true
		}
	}
	return names
}

// follow notes in which namespaces delegates have been served: a root of somebody else may name them there.
func (d *draft) follow(before memory) {
	for _, o := range d.objects {
		if len(o.Spec.Hosts) > 0 {
			continue
		}
		homes := slices.Clone(before.Delegates[o.Name])
		if !slices.Contains(homes, d.memory.Namespace) {
			homes = append(homes, d.memory.Namespace)
			slices.Sort(homes)
		}
		if d.memory.Delegates == nil {
			d.memory.Delegates = map[string][]string{}
		}
		d.memory.Delegates[o.Name] = homes
	}
}

// linger keeps the last endpoints of a subset, to which routes lead or led until lately, for settle after they have left: proxies
// learn of endpoints and routes at different moments. An address that belongs to another service by now is not kept.
func (d *draft) linger() {
	if d.plan == nil && len(d.past.routes) == 0 && len(d.past.last) == 0 {
		return // as of nearly all hosts
	}
	routed := false
	for _, s := range d.memory.Subsets {
		if !s.Routed || !s.Since.IsZero() && !d.lingering(s.Since).After(d.now) {
			continue
		}
		routed = true
		if slices.ContainsFunc(d.merged.endpoints, func(e *endpoint) bool { return s.Selects(e.labels) }) {
			continue
		}
		since, known := d.past.emptied[s.ID()]
		if !known {
			since = d.now
		}
		if d.next.emptied == nil {
			d.next.emptied = map[string]time.Time{}
		}
		d.next.emptied[s.ID()] = since
		until := d.lingering(since)
		if !until.After(d.now) {
			continue
		}
		for _, e := range d.past.last {
			if s.Selects(e.labels) && !d.serves(e) && d.fits(e) && !d.taken(d.host, e) {
				d.merged.endpoints, d.stayed = append(d.merged.endpoints, e), append(d.stayed, e)
				d.until(until)
			}
		}
	}
	slices.SortFunc(d.merged.endpoints, compareEndpoints)
	if routed {
		d.next.last = d.merged.endpoints
	}
}

// lingering is until when the last endpoints of a subset stay, or are to be looked at again, if they or the routes to them left
// at a time. They go after settle. While some client, such as an istiod that is being restarted, has not acknowledged the current
// routes settle ago, they stay longer, up to rollout.Keep; no other client has a route to them by then.
func (d *draft) lingering(since time.Time) time.Time {
	settle := d.rules.config.Canary.Settle
	until := since.Add(settle)
	if until.After(d.now) || !d.starting() && d.left() {
		return until
	}
	if last := since.Add(rollout.Keep(settle)); last.Before(d.now.Add(settle / 4)) {
		return last
	}
	return d.now.Add(settle / 4)
}

// starting reports whether clients are yet to come back to a process that has only just begun to serve.
func (d *draft) starting() bool {
	_, alone := d.clients.(rollout.Nobody)
	return !alone && d.now.Before(d.opened.Add(3*d.rules.config.Canary.Settle))
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

// stamped are the labels of an endpoint with those that the bridge puts there.
func (d *draft) stamped(e *endpoint) map[string]string {
	labels := e.labels
	for _, s := range d.memory.Subsets {
		if s.Stamp == nil || !s.Stamp.Fits(e.labels) {
			continue
		}
		if len(labels) == len(e.labels) {
			labels = maps.Clone(e.labels)
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[s.Stamp.Key()] = canary.StampValue
	}
	return labels
}
