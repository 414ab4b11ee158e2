package mcpserver

import (
	"iter"
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
	sent bool       // the first state has been sent
	due  time.Time  // when it may be
	need store.Need // what settles last until then

	inflight *delivery
	acked    *store.Snapshot // newest state that the client acknowledged, apart from what was held

	acknowledged time.Time            // when the first state was, or was refused
	accepted     time.Time            // when a state was first: what the client held before this stream is gone
	fresh        map[gained]time.Time // when the client came to hold parts since the first state, for as long as it matters
	batches      []batch              // of fresh, oldest first
	refused      map[string]refusal   // by name
	refusedAll   bool                 // it refused the whole of a state of the world
	needing      []*store.Resource    // of the first state, what has Needs, until it is sent
	lacking      *store.Resource      // why there is no first state yet

	// For those who look on.
	count                     int // resources that the client holds
	bytes                     uint64
	sentVersion, ackedVersion string
	sentAt, ackedAt           time.Time
	nack                      string // message of the last refusal; "" after an ACK
}

// gained is a part of a resource that the client came to hold; without a part, the resource.
type gained struct{ name, part string }

// batch is what one ACK brought.
type batch struct {
	at    time.Time
	parts []gained
}

// refusal is a resource of which the client refused a value: it holds the one before, if it does as the protocol has it.
type refusal struct {
	before, sent *store.Resource // nil: none
}

// delivery is a response that awaits its ACK.
type delivery struct {
	change
	nonce   string
	at      time.Time
	target  *store.Snapshot
	first   bool
	version string
	bytes   int

	replaced map[string]*store.Resource // former values and removed ones by name; made when first asked for
}

// replaces is the value of a resource that the delivery replaces or removes, nil if it adds it, and false if it leaves the
// resource alone.
func (d *delivery) replaces(name string) (*store.Resource, bool) {
	if d.replaced == nil {
		d.replaced = make(map[string]*store.Resource, len(d.upserts)+len(d.removed))
		for i, r := range d.upserts {
			d.replaced[r.Name] = d.formerOf(i)
		}
		for _, r := range d.removed {
			d.replaced[r.Name] = r
		}
	}
	r, ok := d.replaced[name]
	return r, ok
}

func newSubscription(kind store.Kind, req Request) *subscription {
	return &subscription{
		typeURL: req.TypeURL, kind: kind, initial: req.Initial,
		held: map[string]*hold{}, fresh: map[gained]time.Time{}, refused: map[string]refusal{},
	}
}

// accept takes the ACK of a delivery.
func (sub *subscription) accept(d *delivery, delta bool, now time.Time, u *uses) {
	sub.inflight, sub.acked = nil, d.target
	sub.ackedVersion, sub.ackedAt, sub.nack = d.version, now, ""
	anew := d.first || !delta && sub.refusedAll
	if anew {
		sub.acknowledged, sub.refusedAll = now, false
	}
	if sub.accepted.IsZero() {
		sub.accepted = now
	}
	for i, r := range d.upserts {
		former := []*store.Resource{d.formerOf(i)}
		if refused, ok := sub.refused[r.Name]; ok {
			former = append(former, refused.before)
			u.drop(refused.before, now)
			delete(sub.refused, r.Name)
		}
		u.drop(former[0], now)
		if !anew {
			sub.gain(r, now, former...)
		}
	}
	for _, r := range d.removed {
		u.drop(sub.refused[r.Name].before, now)
		delete(sub.refused, r.Name)
		u.drop(r, now)
	}
	if !delta { // the response had all that was refused before, and the client has taken it now
		for _, refused := range sub.refused {
			u.drop(refused.before, now)
			if !anew && refused.sent != nil {
				sub.gain(refused.sent, now, refused.before)
			}
		}
		clear(sub.refused)
	}
}

// gain notes which parts the client came to hold with a value, beyond those of all values that it may have held before.
func (sub *subscription) gain(r *store.Resource, now time.Time, former ...*store.Resource) {
	var parts []gained
	add := func(part string) {
		for _, f := range former {
			if f == nil || !f.Has(part) {
				parts = append(parts, gained{name: r.Name, part: part})
				return
			}
		}
	}
	add("")
	for _, p := range r.Parts {
		add(p.Name)
	}
	if len(parts) == 0 {
		return
	}
	for _, p := range parts {
		sub.fresh[p] = now
	}
	sub.batches = append(sub.batches, batch{at: now, parts: parts})
}

// refuse takes the NACK of a delivery. The same version is not sent again, and what needs more than the client held before
// waits.
func (sub *subscription) refuse(d *delivery, delta bool, message string, now time.Time, u *uses) {
	sub.inflight, sub.acked, sub.nack = nil, d.target, message
	if message == "" {
		sub.nack = "refused without a message"
	}
	if d.first {
		sub.acknowledged = now
		sub.refusedAll = !delta
	}
	note := func(name string, former, sent *store.Resource) {
		if old, ok := sub.refused[name]; ok {
			u.drop(former, now) // which the client has refused
			former = old.before
		}
		sub.refused[name] = refusal{before: former, sent: sent}
	}
	for i, r := range d.upserts {
		note(r.Name, d.formerOf(i), r)
	}
	for _, r := range d.removed {
		note(r.Name, r, nil)
	}
}

// forget drops what was acknowledged by a time: it has settled.
func (sub *subscription) forget(by time.Time) {
	for len(sub.batches) > 0 && !sub.batches[0].at.After(by) {
		b := sub.batches[0]
		for _, p := range b.parts {
			if sub.fresh[p].Equal(b.at) {
				delete(sub.fresh, p)
			}
		}
		sub.batches = sub.batches[1:]
	}
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
