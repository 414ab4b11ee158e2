package convert

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert/rollout"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// drop serves nothing of a host any more, and forgets it once nobody wants it. Where routes lead to it, they go first.
func (e *engine) drop(s *hostState, now time.Time) {
	if len(s.ports) > 0 {
		s.endpoints, s.ports, s.subsets, s.sources, s.documents = 0, nil, nil, nil, nil
		for _, doc := range e.documents.at(s.name).all {
			e.unsee(doc, s.name)
		}
		e.documents.relocated(s.name)
	}
	e.tally(&s.rejected, nil)
	if e.withdraw(s, now) {
		e.record(s, e.vips.moved[s.name])
		return
	}
	e.serve(s, nil, nil, now)
	e.vips.release(s.name, s.addrs)
	e.lookups(s, nil)
	e.disown(s)
	s.memory, s.addrs, s.passage = memory{}, nil, passage{}
	e.record(s, false)
	if len(s.wants) == 0 {
		delete(e.hosts.all, s.name)
	}
}

// withdraw takes a host that nobody wants any more out of service in steps, and reports whether it is still under way: first its
// routes go, settle later its endpoints, and the rest when every client has left the routes.
func (e *engine) withdraw(s *hostState, now time.Time) bool {
	settle := e.rules.config.Canary.Settle
	switch {
	case s.gone.IsZero() && len(s.routes) == 0:
		return false
	case s.gone.IsZero():
		s.gone = now
	case len(s.routes) == 0 && !s.gone.Add(settle).After(now) && e.clients.Reached(s.name, s.changed, now.Add(-settle)):
		return false
	}
	if !s.gone.Add(settle).After(now) {
		s.kept = bare(s.kept)
	}
	e.serve(s, s.kept, nil, now)
	e.wait(s, now.Add(max(settle/2, time.Second)))
	return true
}

// bare are resources of which no ServiceEntry has endpoints.
func bare(resources []*store.Resource) []*store.Resource {
	var all []*store.Resource
	for _, r := range resources {
		if spec, err := r.Spec(); err == nil {
			if entry, ok := spec.(*networkingpb.ServiceEntry); ok && len(entry.Endpoints) > 0 {
				entry.Endpoints = nil
				if made, err := store.New(r.Meta, entry); err == nil {
					r = made
				}
			}
		}
		all = append(all, r)
	}
	return all
}

// serve puts the host's resources and removes those that it no longer has. Of VirtualServices that it no longer has, finish
// decides.
func (e *engine) serve(s *hostState, resources []*store.Resource, made []*rollout.Route, now time.Time) {
	var keys, routes []store.Key
	e.built += len(resources)
	s.kept = nil
	for _, r := range resources {
		if r.Kind == store.VirtualService {
			routes = append(routes, r.Key)
		} else {
			keys = append(keys, r.Key)
			s.kept = append(s.kept, r)
		}
		e.put(r)
	}
	for _, r := range made {
		if before := e.routes.Of(r.ID()); before == nil || before.Resource.Version != r.Resource.Version {
			s.changed = e.generation + 1
		}
		e.routes.Put(r)
		delete(e.left, r.ID())
		for _, other := range e.routes.Namesakes(r.ID()) {
			if other.Copy && !r.Copy {
				e.touch(other.Resource.Host)
			}
		}
	}
	for _, old := range s.served {
		if old.Kind != store.VirtualService && !slices.Contains(keys, old) {
			e.remove(store.Removal{Key: old, Host: s.name})
		}
	}
	for _, old := range s.routes {
		id := rollout.ID{Key: old, Host: s.name}
		if r := e.routes.Of(id); r != nil && !slices.Contains(routes, old) {
			r.Unwanted = true
			e.left[id] = true
			routes = append(routes, old)
		}
	}
	if s.routes = routes; len(routes) == 0 && s.gone.IsZero() {
		s.kept = nil // as of nearly all hosts
	}
	s.served = append(keys, routes...)
}

func (e *engine) put(r *store.Resource) {
	at := store.Removal{Key: r.Key, Host: r.Host}
	e.puts[at] = r
	delete(e.removes, at)
}

func (e *engine) remove(at store.Removal) {
	e.removes[at] = true
	delete(e.puts, at)
}

// finish decides, when all hosts are converted, about the VirtualServices that their hosts no longer want: one whose requests
// another one takes over stays until every client has acknowledged that; the others go.
func (e *engine) finish(now time.Time) {
	settle := e.rules.config.Canary.Settle
	for _, id := range slices.SortedFunc(maps.Keys(e.left), compareIDs) {
		r, s := e.routes.Of(id), e.hosts.all[id.Host]
		if r == nil || s == nil {
			continue
		}
		stays := e.routes.Leave(r, e.generation+1, now)
		if stays && !r.Arrived(e.clients, now, settle) {
			e.put(r.Resource.Succeeded(r.Successor()))
			e.wait(s, now.Add(max(settle/2, time.Second)))
			continue
		}
		e.routes.Remove(id)
		e.remove(store.Removal{Key: id.Key, Host: id.Host})
		isRoute := func(key store.Key) bool { return key == id.Key }
		s.routes, s.served = slices.DeleteFunc(s.routes, isRoute), slices.DeleteFunc(s.served, isRoute)
		s.changed = e.generation + 1
		e.wait(s, now.Add(settle))
	}
}

func compareIDs(a, b rollout.ID) int {
	return cmp.Or(compareStoreKeys(a.Key, b.Key), strings.Compare(a.Host, b.Host))
}

// lookups notes which host names the host needs now.
func (e *engine) lookups(s *hostState, names []string) {
	for _, n := range s.lookups {
		if !slices.Contains(names, n) {
			delete(e.users[n], s.name)
			if len(e.users[n]) == 0 {
				delete(e.users, n)
			}
		}
	}
	for _, n := range names {
		if e.users[n] == nil {
			e.users[n] = map[string]bool{}
		}
		e.users[n][s.name] = true
	}
	s.lookups = names
}

// resolved makes the hosts dirty that need a host name whose addresses changed.
func (e *engine) resolved(names []string, now time.Time) {
	e.event = now
	for _, n := range names {
		for host := range e.users[n] {
			e.touch(host)
		}
	}
}

// show keeps what views show of the host.
func (e *engine) show(s *hostState, d *draft) {
	s.endpoints, s.ports, s.sources, s.namespace = len(d.merged.endpoints), d.ports, d.sources(), d.memory.Namespace
	s.subsets = nil
	for _, sub := range s.memory.Subsets {
		s.subsets = append(s.subsets, sub.Name)
	}
	slices.Sort(s.subsets)
}

// tally replaces rejections and keeps their counts.
func (e *engine) tally(old, next *rejections) {
	for _, c := range old.counts {
		e.count[classCount{source: c.source, class: c.class}] -= c.count
	}
	*old = rejections{}
	if next != nil {
		*old = *next
	}
	for _, c := range old.counts {
		e.count[classCount{source: c.source, class: c.class}] += c.count
	}
}

// adopt takes other rules: everything is converted anew, and what comes out equal is no change.
func (e *engine) adopt(rules *Rules, now time.Time) {
	ranges := e.rules.config.Mesh.VIPs
	e.rules, e.event = rules, now
	if !slices.Equal(ranges, rules.config.Mesh.VIPs) {
		e.vips = newVIPs(rules.ranges, nil)
		for _, s := range e.hosts.all {
			s.addrs = nil
		}
	}
	e.documents.rank(rules)
	for _, doc := range e.documents.all {
		e.recheck(doc)
	}
	for _, ref := range slices.SortedFunc(maps.Keys(e.refs), compareRefs) {
		e.report(ref, e.read(ref), now, true)
	}
	for host := range e.hosts.all {
		e.touch(host)
	}
}

func compareRefs(a, b sources.Ref) int {
	if c := strings.Compare(a.Source, b.Source); c != 0 {
		return c
	}
	return compareKeys(a.Key, b.Key)
}
