package mcpserver

import (
	"maps"
	"slices"
	"time"

	"meshbridge/mcpserver/store"
)

// hold keeps a client at a resource's former value, although the snapshot has another.
type hold struct {
	former *store.Resource // what the client has; nil: nothing
	want   *store.Resource // what the snapshot has; nil: removed

	// A want with Needs. next is the first value that waits: it is served when due even if a newer one has come to wait
	// since, so that a resource which changes faster than it settles is not starved.
	next *store.Resource
	due  time.Time // zero: what next needs has not been acknowledged

	generation uint64 // a removal: the state that removed it
}

func (sub *subscription) hold(name string, h *hold) { sub.held[name] = h }

// change is what takes a client from what it was sent to what it may be sent now.
type change struct {
	upserts []*store.Resource
	removed []string
	dropped []*store.Resource
}

func (c change) empty() bool { return len(c.upserts) == 0 && len(c.removed) == 0 }

// move takes a kind to a newer snapshot, holding back what must wait, and returns what is to be sent.
func (s *Session) move(i int, target *store.Snapshot, now time.Time) change {
	sub := s.subs[i]
	type pair struct{ old, want *store.Resource }
	pending := map[string]pair{}
	for d := range target.SinceIn(sub.base, sub.kind, s.cfg.View.Shard) {
		name := d.Key().Name
		p := pending[name] // a resource whose host changes is in two slots
		if r := s.cfg.View.visible(d.Old); r != nil {
			p.old = r
		}
		if r := s.cfg.View.visible(d.New); r != nil {
			p.want = r
		}
		pending[name] = p
	}
	for name, h := range sub.held {
		p, changed := pending[name]
		if !changed {
			p.want = h.want
		}
		p.old = h.former
		pending[name] = p
	}
	sub.base = target
	var c change
	m := mover{s: s, sub: sub, target: target, now: now, pins: pins{s: s, after: i, target: target}}
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		p := pending[name]
		m.decide(&c, name, p.old, p.want)
	}
	return c
}

// mover decides resource by resource.
type mover struct {
	s      *Session
	sub    *subscription
	target *store.Snapshot
	now    time.Time
	pins   pins
}

// decide takes one resource from the value that the client has to the wanted one, or to one on the way, or holds it.
func (m *mover) decide(c *change, name string, has, want *store.Resource) {
	h := m.sub.held[name]
	delete(m.sub.held, name)
	switch {
	case has == want, has != nil && want != nil && has.Version == want.Version:
	case want == nil:
		generation := m.target.Generation
		if h != nil && h.want == nil {
			generation = h.generation
		}
		if m.pins.has(has, generation) {
			m.sub.hold(name, &hold{former: has, generation: generation})
			return
		}
		c.removed = append(c.removed, name)
		delete(m.sub.refused, name)
		c.dropped = append(c.dropped, has)
		m.sub.count--
	default:
		value, next := m.settled(h, want)
		if value != nil {
			m.serve(c, has, value)
			has = value
		}
		if next != nil {
			next.former, next.want = has, want
			m.sub.hold(name, next)
		}
	}
}

func (m *mover) serve(c *change, has, value *store.Resource) {
	c.upserts = append(c.upserts, value)
	if has == nil {
		m.sub.count++
	} else {
		c.dropped = append(c.dropped, has)
	}
}

// settled returns the newest value that may be served, if any, and a hold for what must wait beyond it, if anything.
func (m *mover) settled(h *hold, want *store.Resource) (*store.Resource, *hold) {
	if len(want.Needs) == 0 {
		return want, nil
	}
	if h == nil || h.next == nil {
		h = &hold{}
	}
	if h.next == want && !h.due.IsZero() {
		if h.due.After(m.now) {
			return nil, h
		}
		return want, nil
	}
	due, ok := m.s.readyAt(want, m.target)
	if ok && !due.After(m.now) {
		return want, nil
	}
	if !ok {
		due = time.Time{}
	}
	newest := &hold{next: want, due: due}
	switch {
	case h.next == nil, h.due.IsZero():
		return nil, newest
	case h.due.After(m.now):
		return nil, h
	default:
		return h.next, newest
	}
}

// readyAt is when a resource of a snapshot may be served: once the client has held all that it Needs for settle. It reports
// false while that cannot be said, because the client does not hold something yet or there is no such thing.
func (s *Session) readyAt(r *store.Resource, in *store.Snapshot) (time.Time, bool) {
	var at time.Time
	for _, n := range r.Needs {
		need := in.Find(n.Key, r.Host)
		if s.cfg.View.visible(need) == nil {
			return time.Time{}, false
		}
		since := later(need.Changed, s.cfg.Since)
		held, known := later(since, s.start), true // what this stream does not follow is taken to be known to the client by then
		if sub := s.following(need); sub != nil {
			held, known = sub.heldSince(need, in)
		} else {
			at = later(at, s.start.Add(min(subscribing, s.cfg.Settle)))
		}
		if !known {
			return time.Time{}, false
		}
		if held.Before(since.Add(s.cfg.Retain)) {
			at = later(at, held.Add(s.cfg.Settle))
		}
	}
	return at, true
}

// following is the subscription that a resource comes by on this stream, or nil.
func (s *Session) following(r *store.Resource) *subscription {
	if !s.cfg.View.Shard.Has(store.Slot(r.Host)) {
		return nil
	}
	if i := slices.Index(store.Kinds(), r.Kind); i >= 0 {
		return s.subs[i]
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
