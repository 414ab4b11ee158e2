package mcpserver

import (
	"slices"
	"time"

	"meshbridge/mcpserver/store"
)

// wait is how long a resource with Needs must wait, and for which of them the longest.
type wait struct {
	at    time.Time // when the client has held all for settle; zero: it always has, or lacks one
	lacks bool      // the client does not hold one, and nobody knows when it will
	need  store.Need
}

func (w wait) over(now time.Time) bool { return !w.lacks && !w.at.After(now) }

// readyAt is when a resource may be served: once the client has held each part that it Needs for settle. in is where those
// are found that this stream does not follow.
func (s *Session) readyAt(r *store.Resource, in *store.Snapshot) wait {
	var w wait
	for _, n := range r.Needs {
		at, ok := s.settledAt(n, r.Host, in)
		if !ok {
			return wait{lacks: true, need: n}
		}
		if at.After(w.at) {
			w.at, w.need = at, n
		}
	}
	return w
}

// settledAt is when the client has held a part for settle, or the zero time if it is taken to know it: what was in the first
// state of this stream and had not changed for retain by then. It reports false while the client may not hold it.
func (s *Session) settledAt(n store.Need, host string, in *store.Snapshot) (time.Time, bool) {
	sub := s.of(n.Key.Kind)
	var r *store.Resource
	if sub != nil && sub.base != nil {
		r = s.latest(sub, n.Key, host)
	} else {
		r = s.cfg.View.visible(in.Find(n.Key, host))
	}
	if r == nil || !r.Has(n.Part) {
		return time.Time{}, false
	}
	since := later(r.PartSince(n.Part), s.cfg.Since)
	if sub == nil || !s.cfg.View.Shard.Has(store.Slot(r.Host)) {
		// The client knows by another stream, or does not care. This one may yet follow the kind.
		at := s.start.Add(min(subscribing, s.cfg.Settle))
		if held := later(since, s.start); held.Before(since.Add(s.cfg.Retain)) {
			at = later(at, held.Add(s.cfg.Settle))
		}
		return at, true
	}
	if !sub.surely(r, n.Part) {
		return time.Time{}, false
	}
	if at, ok := sub.fresh[gained{name: r.Name, part: n.Part}]; ok {
		return at.Add(s.cfg.Settle), true
	}
	if sub.acknowledged.Before(since.Add(s.cfg.Retain)) {
		return sub.acknowledged.Add(s.cfg.Settle), true
	}
	return time.Time{}, true
}

// comes reports whether the client will hold a part that it lacks, once what is on its way or held back has reached it.
func (s *Session) comes(n store.Need, by *store.Resource, in *store.Snapshot) bool {
	sub := s.of(n.Key.Kind)
	if sub == nil || sub.refusedAll {
		return false
	}
	if _, refused := sub.refused[n.Key.Name]; refused {
		return false
	}
	r := s.cfg.View.visible(in.Find(n.Key, by.Host))
	return r != nil && r.Has(n.Part)
}

// of is the subscription of a kind, or nil.
func (s *Session) of(kind store.Kind) *subscription {
	if i := slices.Index(store.Kinds(), kind); i >= 0 {
		return s.subs[i]
	}
	return nil
}

// latest is the value of a resource that the client was sent last, or nil. A resource of another shard is sent elsewhere.
func (s *Session) latest(sub *subscription, key store.Key, host string) *store.Resource {
	if h := sub.held[key.Name]; h != nil {
		return h.former
	}
	snap := sub.base
	if sub.inflight == nil && sub.acked != nil {
		snap = sub.acked // base may be on its way
	}
	return s.cfg.View.visible(snap.Find(key, host))
}

// surely reports whether the client holds a part of a resource, whose value it was sent last is given, whatever became of
// responses that it has not acknowledged or has refused.
func (sub *subscription) surely(r *store.Resource, part string) bool {
	if sub.acked == nil || sub.refusedAll {
		return false
	}
	has := func(former *store.Resource) bool { return former != nil && former.Has(part) }
	if d := sub.inflight; d != nil {
		if former, ok := d.replaces(r.Name); ok && !has(former) {
			return false
		}
	}
	if refused, ok := sub.refused[r.Name]; ok && !has(refused.before) {
		return false
	}
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
