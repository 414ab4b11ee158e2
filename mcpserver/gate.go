package mcpserver

import (
	"slices"
	"time"

	"meshbridge/mcpserver/store"
)

// subscribing is how long a stream is given to ask for the kinds that another kind's resources refer to.
const subscribing = time.Second

// before are the kinds of which a client must hold what a gated resource of a kind refers to.
func before(kind store.Kind) []store.Kind {
	switch kind {
	case store.ServiceEntry:
		return []store.Kind{store.DestinationRule}
	case store.VirtualService:
		return []store.Kind{store.ServiceEntry, store.DestinationRule}
	}
	return nil
}

// wait is how long a resource must wait for its gate.
type wait struct {
	until time.Time  // when the gate is open if nothing changes; zero: it is
	lacks store.Kind // the client has yet to acknowledge a state of this kind; zero: of none
}

func (w wait) over(now time.Time) bool { return w.lacks == store.Kind{} && !w.until.After(now) }

// ready says when a client may be sent a resource.
func (s *Session) ready(r *store.Resource) wait {
	if r.Gate.Generation == 0 {
		return wait{}
	}
	var w wait
	for _, kind := range before(r.Kind) {
		sub := s.of(kind)
		if sub == nil { // The client does not follow the kind, or has yet to ask for it.
			w.until = later(w.until, s.start.Add(min(subscribing, s.cfg.Settle)))
			continue
		}
		at, ok := sub.since(r.Gate.Generation)
		if !ok {
			return wait{lacks: kind}
		}
		// What the store has had for Retain, in this process, when the client acknowledged its first state is taken to be known to
		// its proxies, as is what those of the predecessor knew. All else settles from its ACK, or from when proxies have come back.
		known := later(r.Gate.Since, s.cfg.Since).Add(s.cfg.Retain)
		if r.Kind == store.VirtualService && (r.Gate.Generation > sub.first || known.After(sub.begun)) && !s.cfg.Before.knew(r) {
			at = later(at, s.back).Add(s.cfg.Settle)
		}
		w.until = later(w.until, at)
	}
	return w
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ack is a state of one kind that the client has acknowledged.
type ack struct {
	state      *store.Snapshot
	generation uint64 // up to which nothing was held back: that of the state, or an older one
	at         time.Time
}

// note notes that the client has acknowledged a state, or that one differs in nothing from what it has acknowledged. Of
// the acknowledgements that are at least settle old it keeps the newest. It reports whether the client has come further.
func (sub *subscription) note(state *store.Snapshot, now time.Time, settle time.Duration) (news bool) {
	next := ack{state: state, generation: sub.whole(state), at: now}
	if n := len(sub.acks); n > 0 && sub.acks[n-1].state == state && sub.acks[n-1].generation == next.generation {
		return false
	}
	sub.acks = append(sub.acks, next)
	settled := now.Add(-settle)
	for len(sub.acks) > 1 && !sub.acks[1].at.After(settled) {
		sub.acks = sub.acks[1:]
	}
	for host, at := range sub.released {
		if !at.After(settled) {
			delete(sub.released, host)
		}
	}
	return true
}

// whole is the newest generation of which a client that is sent a state lacks nothing that is held back.
func (sub *subscription) whole(state *store.Snapshot) uint64 {
	generation := state.Generation
	for _, h := range sub.held {
		generation = min(generation, h.next.Gate.Generation-1)
	}
	return generation
}

// since is when the client first acknowledged all of a generation or a newer one, or at least settle ago, and false if it has not.
func (sub *subscription) since(generation uint64) (time.Time, bool) {
	for _, a := range sub.acks {
		if a.generation >= generation {
			return a.at, true
		}
	}
	return time.Time{}, false
}

// begun reports whether the client has acknowledged its first state of VirtualService.
func (s *Session) begun() bool {
	sub := s.of(store.VirtualService)
	return sub != nil && !sub.begun.IsZero()
}

// Reached reports whether the client had acknowledged, at a time, a state of a generation or a newer one in all that lives
// with a host, and nothing of that host was held back. newest is the store's newest snapshot. A client that does not receive
// what lives with the host has always reached it. One that has not asked for a kind within subscribing does not follow it.
func (s *Session) Reached(newest *store.Snapshot, host string, generation uint64, by time.Time) bool {
	slot := store.Slot(host)
	if !s.cfg.View.Shard.Has(slot) {
		return true
	}
	if s.back.After(by) { // its proxies are yet to come back, with what they held
		return false
	}
	for _, sub := range s.subs {
		switch {
		case sub == nil && s.start.Add(subscribing).After(by): // it may yet ask for the kind, and hold an older state of it
			return false
		case sub != nil && !sub.hasReached(newest, s.cfg.View, host, generation, by):
			return false
		}
	}
	return true
}

func (sub *subscription) hasReached(newest *store.Snapshot, view View, host string, generation uint64, by time.Time) bool {
	for _, h := range sub.held {
		if h.want.Host == host || h.former != nil && h.former.Host == host {
			return false
		}
	}
	if sub.released[host].After(by) {
		return false
	}
	if d := sub.inflight; d != nil && slices.Contains(d.released, host) {
		return false
	}
	var at *ack
	for i := range sub.acks {
		if !sub.acks[i].at.After(by) {
			at = &sub.acks[i]
		}
	}
	if at == nil {
		return false
	}
	one := View{Shard: store.Shard{Index: store.Slot(host), Of: store.Slots}, Revision: view.Revision}
	return at.state.Generation >= generation || !one.differs(at.state, newest, sub.kind)
}
