package convert

import (
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// drop serves nothing of a host any more, and forgets it once nobody wants it.
func (e *engine) drop(s *hostState) {
	e.serve(s, nil)
	e.vips.release(s.name, s.addrs)
	e.lookups(s, nil)
	e.tally(&s.rejected, nil)
	s.memory, s.addrs, s.rollout = memory{}, nil, rollout{}
	for _, doc := range e.documents.at(s.name) {
		e.unsee(doc, s.name)
	}
	s.endpoints, s.ports, s.subsets, s.sources = 0, nil, nil, nil
	e.record(s, false)
	if len(s.wants) == 0 {
		delete(e.hosts.all, s.name)
	}
}

// serve puts the host's resources and removes those that it no longer has.
func (e *engine) serve(s *hostState, resources []*store.Resource) {
	var keys []store.Key
	e.built += len(resources)
	for _, r := range resources {
		keys = append(keys, r.Key)
		e.puts[r.Key] = r
		delete(e.removes, store.Removal{Key: r.Key, Host: s.name})
	}
	for _, old := range s.served {
		if slices.Contains(keys, old) {
			continue
		}
		// A document may lead a gateway to another host; the object keeps its name then and is that host's.
		e.removes[store.Removal{Key: old, Host: s.name}] = true
		if r := e.puts[old]; r != nil && r.Host == s.name {
			delete(e.puts, old)
		}
	}
	s.served = keys
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
