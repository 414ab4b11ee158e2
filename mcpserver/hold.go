package mcpserver

import (
	"cmp"
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
	need store.Need // of next, what is lacked or settles last

	pin    *pin      // why parts of former must stay; nil: that is not what holds it
	mutual time.Time // since when that waits for what waits for this

	due        time.Time // when it is served if nothing changes; zero: not before something does
	generation uint64    // a removal: the state that removed it
}

func (sub *subscription) hold(name string, h *hold) { sub.held[name] = h }

// change is what takes a client from what it was sent to what it may be sent now.
type change struct {
	upserts []*store.Resource
	former  []*store.Resource // what upserts replace, in their order; nil: nothing
	removed []*store.Resource
}

// formerOf is what upsert i replaces, or nil. A first state replaces nothing that is known.
func (c change) formerOf(i int) *store.Resource {
	if i < len(c.former) {
		return c.former[i]
	}
	return nil
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
	m := mover{s: s, sub: sub, target: target, now: now, pins: pins{s: s, after: i, target: target, now: now}}
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
	case has == want:
		return
	case want == nil:
		m.remove(c, h, name, has)
		return
	}
	same := has != nil && has.Version == want.Version // on the wire; what it needs or has for others may differ
	value, next := want, (*hold)(nil)
	if !same {
		value, next = m.settled(h, want)
	}
	if value != nil {
		if kept := m.keep(h, has, value); kept != nil {
			kept.want = want
			m.sub.hold(name, kept)
			return
		}
		if same {
			m.exchange(has, value)
		} else {
			m.serve(c, has, value)
		}
		has = value
	}
	if next != nil {
		next.former, next.want = has, want
		m.sub.hold(name, next)
	}
}

func (m *mover) serve(c *change, has, value *store.Resource) {
	c.upserts, c.former = append(c.upserts, value), append(c.former, has)
	if has == nil {
		m.sub.count++
	}
}

// exchange takes the client to a value that it does not tell from the one it has. It has had all that is in it since the
// last ACK, at the latest.
func (m *mover) exchange(has, value *store.Resource) {
	m.sub.gain(value, m.sub.ackedAt, has)
	m.s.uses.add(value)
	m.s.uses.drop(has, m.now)
}

func (m *mover) remove(c *change, h *hold, name string, has *store.Resource) {
	gone := &hold{former: has, generation: m.target.Generation}
	if h != nil && h.want == nil {
		gone.generation = h.generation
	}
	if kept := m.keep(h, has, nil); kept != nil {
		gone.pin, gone.due = kept.pin, kept.due
	} else if !m.pins.removal(has, gone.generation) {
		c.removed = append(c.removed, has)
		m.sub.count--
		return
	}
	m.sub.hold(name, gone)
}

// keep holds back a value, or a removal, by which the client would lose a part that it needs or has only just ceased to need.
//
// A value may bring what the client must hold before it can cease to need what the value takes: then each waits for the
// other. Converted services have no such values, as a subset is retained longer than any route to it; endpoints that are
// replaced by others in one event may make one. It is served when it has waited like that for twice settle: the routes to
// come are what is wanted, and the routes that are cut off lead to what the registry says has gone.
func (m *mover) keep(h *hold, has, value *store.Resource) *hold {
	if has == nil {
		return nil
	}
	event, timed := m.pins.drop(has, value)
	if event == nil && timed == nil {
		return nil
	}
	kept := &hold{former: has}
	if value != nil && len(value.Needs) > 0 {
		kept.next = value
	}
	if kept.mutual = m.mutual(h, event, has, value); !kept.mutual.IsZero() {
		if event.due = kept.mutual.Add(2 * m.s.cfg.Settle); !event.due.After(m.now) {
			event = nil
		}
	}
	if kept.pin = cmp.Or(event, timed); kept.pin == nil {
		return nil
	}
	kept.due = kept.pin.due
	return kept
}

// mutual is since when a value waits for something that waits for it, or zero, and notes what that is.
func (m *mover) mutual(h *hold, event *pin, has, value *store.Resource) time.Time {
	if event == nil || value == nil || event.by == nil && m.s.of(event.kind).base != nil {
		return time.Time{}
	}
	values := []*store.Resource{has}
	if refused, ok := m.sub.refused[has.Name]; ok {
		values = append(values, refused.before)
	}
	if event.waits = m.pins.awaited(values, value); event.waits == nil {
		return time.Time{}
	}
	if h != nil && !h.mutual.IsZero() {
		return h.mutual
	}
	return m.now
}

// settled returns the newest value that may be served, if any, and a hold for what must wait beyond it, if anything.
func (m *mover) settled(h *hold, want *store.Resource) (*store.Resource, *hold) {
	if len(want.Needs) == 0 {
		return want, nil
	}
	w := m.s.readyAt(want, m.target)
	if w.over(m.now) {
		return want, nil
	}
	newest := &hold{next: want, need: w.need, due: w.at}
	if h == nil || h.next == nil || h.next == want {
		return nil, newest
	}
	switch w := m.s.readyAt(h.next, m.target); {
	case w.over(m.now):
		return h.next, newest
	case w.lacks:
		return nil, newest
	default:
		return nil, &hold{next: h.next, need: w.need, due: w.at}
	}
}
