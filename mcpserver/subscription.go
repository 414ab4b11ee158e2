package mcpserver

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/mcpserver/store"
)

// subscription is one kind on one stream. What the client was sent is the view of base, except for the names in held.
type subscription struct {
	typeURL string
	kind    store.Kind
	initial map[string]string // delta: what the client held before, until the first response

	base *store.Snapshot
	held map[string]*hold
	sent bool      // the first state has been sent
	due  time.Time // when it may be

	inflight *delivery
	acked    *store.Snapshot // newest state that the client acknowledged, apart from what was held

	acknowledged time.Time            // when the first state was
	fresh        map[string]time.Time // when resources acknowledged since then were, for as long as it matters
	batches      []batch              // of fresh, oldest first
	refused      map[string]string    // versions that the client refused, by name
	refusedAll   bool                 // it refused the whole of a state of the world

	// For those who look on.
	count                     int // resources that the client holds
	bytes                     uint64
	sentVersion, ackedVersion string
	sentAt, ackedAt           time.Time
	nack                      string // message of the last refusal; "" after an ACK
}

// delivery is a response that awaits its ACK.
type delivery struct {
	nonce   string
	at      time.Time
	target  *store.Snapshot
	first   bool
	upserts []*store.Resource
	dropped []*store.Resource // former values that the response replaces or removes
	version string
	bytes   int
}

type batch struct {
	at    time.Time
	names []string
}

func newSubscription(kind store.Kind, req Request) *subscription {
	return &subscription{
		typeURL: req.TypeURL, kind: kind, initial: req.Initial,
		held: map[string]*hold{}, fresh: map[string]time.Time{}, refused: map[string]string{},
	}
}

// accept takes the ACK of a delivery.
func (sub *subscription) accept(d *delivery, delta bool, now time.Time) {
	sub.inflight, sub.acked = nil, d.target
	sub.ackedVersion, sub.ackedAt, sub.nack = d.version, now, ""
	names := make([]string, 0, len(d.upserts))
	for _, r := range d.upserts {
		names = append(names, r.Name)
		delete(sub.refused, r.Name)
	}
	switch {
	case d.first, !delta && sub.refusedAll:
		sub.acknowledged, names = now, nil
		sub.refusedAll = false
		clear(sub.refused)
	case !delta && len(sub.refused) > 0:
		names = slices.AppendSeq(names, maps.Keys(sub.refused))
		clear(sub.refused)
	}
	if len(names) > 0 {
		sub.batches = append(sub.batches, batch{at: now, names: names})
		for _, name := range names {
			sub.fresh[name] = now
		}
	}
}

// refuse takes the NACK of a delivery. The same version is not sent again, and nothing that needs it is.
func (sub *subscription) refuse(d *delivery, delta bool, message string, now time.Time) {
	sub.inflight, sub.acked, sub.nack = nil, d.target, message
	if message == "" {
		sub.nack = "refused without a message"
	}
	if d.first {
		sub.acknowledged = now
		sub.refusedAll = !delta
	}
	for _, r := range d.upserts {
		sub.refused[r.Name] = r.Version
	}
}

// forget drops what was acknowledged before a time: it has settled.
func (sub *subscription) forget(before time.Time) {
	for len(sub.batches) > 0 && !sub.batches[0].at.After(before) {
		b := sub.batches[0]
		for _, name := range b.names {
			if sub.fresh[name].Equal(b.at) {
				delete(sub.fresh, name)
			}
		}
		sub.batches = sub.batches[1:]
	}
}

// heldSince reports since when the client has held a resource in its value of a snapshot, or in a later one.
func (sub *subscription) heldSince(r *store.Resource, in *store.Snapshot) (time.Time, bool) {
	if sub.acked == nil || sub.refusedAll || sub.refused[r.Name] != "" {
		return time.Time{}, false
	}
	current := sub.acked.Lookup(r.Key, r.Host)
	has := sub.has(r.Name, current)
	switch {
	case has == nil:
		return time.Time{}, false
	case has.Version == r.Version:
	case current != nil && has.Version == current.Version && sub.acked.Generation >= in.Generation: // a later value
	default:
		return time.Time{}, false
	}
	if at, ok := sub.fresh[r.Name]; ok {
		return at, true
	}
	return sub.acknowledged, true
}

// has is the value of a resource that the client has acknowledged, given that of the state it has acknowledged.
func (sub *subscription) has(name string, current *store.Resource) *store.Resource {
	named := func(r *store.Resource) bool { return r.Name == name }
	if d := sub.inflight; d != nil && slices.ContainsFunc(d.upserts, named) {
		if i := slices.IndexFunc(d.dropped, named); i >= 0 {
			return d.dropped[i]
		}
		return nil
	}
	if h := sub.held[name]; h != nil {
		return h.former
	}
	return current
}

// deadline is the earlier of next and the time at which something held back is due.
func (sub *subscription) deadline(next time.Time) time.Time {
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if sub.inflight != nil {
		return next // its ACK comes first
	}
	if !sub.sent {
		earlier(sub.due)
		return next
	}
	for _, h := range sub.held {
		earlier(h.due)
	}
	return next
}

// state yields what the client holds of a kind once it has acknowledged what was sent: by slot and name, former values of
// what is gone last.
func (s *Session) state(sub *subscription) iter.Seq[*store.Resource] {
	return func(yield func(*store.Resource) bool) {
		for r := range sub.base.All(sub.kind, s.cfg.View.Shard) {
			if s.cfg.View.visible(r) == nil {
				continue
			}
			if h := sub.held[r.Name]; h != nil {
				if r = h.former; r == nil || h.want == nil {
					continue
				}
			}
			if !yield(r) {
				return
			}
		}
		var gone []*store.Resource
		for _, h := range sub.held {
			if h.want == nil && h.former != nil {
				gone = append(gone, h.former)
			}
		}
		slices.SortFunc(gone, func(a, b *store.Resource) int { return strings.Compare(a.Name, b.Name) })
		for _, r := range gone {
			if !yield(r) {
				return
			}
		}
	}
}
