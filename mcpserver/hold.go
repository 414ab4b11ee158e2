package mcpserver

import (
	"maps"
	"slices"
	"time"

	"meshbridge/mcpserver/store"
)

// hold keeps a client at a resource's former value until the gate of the next one is open. Removals, and resources without a
// gate, are never held.
type hold struct {
	former *store.Resource // what the client has; nil: nothing
	want   *store.Resource // what the snapshot has

	// next is the first value that waits. It is served when its gate is open even if a newer value has come to wait since, so
	// that a resource which changes faster than it settles is not starved.
	next *store.Resource
	wait wait // of next
}

// change is what takes a client from what it was sent to what it may be sent now.
type change struct {
	upserts  []*store.Resource
	removed  []*store.Resource
	released []string // the hosts of what was held back before, by its former value and its next one
}

func (c *change) release(h *hold, host string) {
	if h == nil {
		return
	}
	c.released = append(c.released, host)
	if h.former != nil && h.former.Host != host {
		c.released = append(c.released, h.former.Host)
	}
}

func (c change) empty() bool { return len(c.upserts) == 0 && len(c.removed) == 0 }

// move takes a kind to a newer snapshot, holding back what must wait, and returns what is to be sent.
func (s *Session) move(sub *subscription, target *store.Snapshot, now time.Time) change {
	type pair struct{ has, want *store.Resource }
	pending := map[string]pair{}
	for d := range target.SinceIn(sub.base, sub.kind, s.cfg.View.Shard) {
		name := d.Key().Name
		p := pending[name] // a resource whose host changes is in two slots
		if r := s.cfg.View.visible(d.Old); r != nil {
			p.has = r
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
		p.has = h.former
		pending[name] = p
	}
	sub.base = target
	var c change
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		s.decide(sub, &c, name, pending[name].has, pending[name].want, now)
	}
	return c
}

// decide takes one resource from the value that the client has to the wanted one, or to one on the way, or holds it.
func (s *Session) decide(sub *subscription, c *change, name string, has, want *store.Resource, now time.Time) {
	h := sub.held[name]
	delete(sub.held, name)
	switch {
	case has == want:
	case want == nil:
		c.removed = append(c.removed, has)
		c.release(h, has.Host)
		sub.count--
	case has != nil && has.Version == want.Version: // on the wire they are equal
	default:
		value, next := s.settled(h, want, now)
		if value != nil {
			c.upserts = append(c.upserts, value)
			c.release(h, value.Host)
			if has == nil {
				sub.count++
			}
			has = value
		}
		if next != nil {
			next.former = has
			sub.held[name] = next
		}
	}
}

// settled returns the newest value that may be served, if any, and a hold for what must wait beyond it, if anything.
func (s *Session) settled(h *hold, want *store.Resource, now time.Time) (*store.Resource, *hold) {
	w := s.ready(want)
	if w.over(now) {
		return want, nil
	}
	newest := &hold{want: want, next: want, wait: w}
	if h == nil || h.next == want {
		return nil, newest
	}
	if w := s.ready(h.next); !w.over(now) {
		return nil, &hold{want: want, next: h.next, wait: w}
	}
	return h.next, newest
}
