package mcpserver

import (
	"iter"
	"time"

	"meshbridge/mcpserver/store"
)

// subscription is one kind on one stream. What the client was sent is the view of base, except for the names in held.
type subscription struct {
	typeURL string
	kind    store.Kind
	initial map[string]string // delta: what the client held before, until the first response

	base  *store.Snapshot
	held  map[string]*hold
	sent  bool       // the first state has been sent
	due   time.Time  // when it may be, once base is known
	lacks store.Kind // why base is not: the client has yet to acknowledge a state of this kind

	inflight *delivery
	acks     []ack                // states that the client acknowledged, what was held apart, oldest first
	begun    time.Time            // when it acknowledged its first state
	first    uint64               // the generation of that
	released map[string]time.Time // by host: when it last acknowledged something that had been held back; only what is not settled

	// For those who look on.
	count                     int // resources that the client holds
	bytes                     uint64
	sentVersion, ackedVersion string
	sentAt, ackedAt           time.Time
	nack                      string // message of the last refusal; "" after an ACK
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
}

func newSubscription(kind store.Kind, req Request) *subscription {
	return &subscription{
		typeURL: req.TypeURL, kind: kind, initial: req.Initial, held: map[string]*hold{}, released: map[string]time.Time{},
	}
}

// answer takes the ACK or NACK of a delivery. A client that refuses a state is waited for no longer: it is treated as if it had
// acknowledged it, is not sent the same again, and its refusal is told.
func (sub *subscription) answer(d *delivery, refusal *string, now time.Time, settle time.Duration) {
	sub.inflight = nil
	if d.first {
		sub.begun, sub.first = now, d.target.Generation
	}
	sub.note(d.target, now, settle)
	for _, host := range d.released {
		sub.released[host] = now
	}
	switch {
	case refusal == nil:
		sub.ackedVersion, sub.ackedAt, sub.nack = d.version, now, ""
	case *refusal == "":
		sub.nack = "refused without a message"
	default:
		sub.nack = *refusal
	}
}

// deadline is the earlier of next and the time at which something held back is due.
func (sub *subscription) deadline(next time.Time) time.Time {
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	switch {
	case sub.inflight != nil: // its ACK comes first
	case sub.base == nil:
	case !sub.sent:
		earlier(sub.due)
	default:
		for _, h := range sub.held {
			earlier(h.wait.until)
		}
	}
	return next
}

// state yields what the client holds of a kind once it has acknowledged what was sent, by slot and name.
func (s *Session) state(sub *subscription) iter.Seq[*store.Resource] {
	return func(yield func(*store.Resource) bool) {
		for r := range sub.base.All(sub.kind, s.cfg.View.Shard) {
			if s.cfg.View.visible(r) == nil {
				continue
			}
			if h := sub.held[r.Name]; h != nil {
				if r = h.former; r == nil {
					continue
				}
			}
			if !yield(r) {
				return
			}
		}
	}
}
