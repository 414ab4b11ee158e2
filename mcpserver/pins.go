package mcpserver

import (
	"slices"
	"time"

	"meshbridge/mcpserver/store"
)

// pins tells what of a kind must stay because the client holds, or may hold, something of a later kind that refers to it:
// a part, while it is needed and for settle after, and a resource that was removed, while something that shares its host is
// held. It is made anew for each move and computes what it needs on demand.
type pins struct {
	s      *Session
	after  int // the order of the kind that moves
	target *store.Snapshot
	now    time.Time

	followed bool // hosts and reach are computed
	hosts    map[string]bool
	reach    uint64 // removals of states up to this one have been followed by every later kind

	listed  bool                           // coming and waiting are
	coming  map[store.Need]*store.Resource // what will be sent when something has settled, by what it needs
	waiting map[store.Need]*store.Resource // what waits for something that the client does not hold
}

// pin is why a part must stay.
type pin struct {
	need store.Need
	by   *store.Resource // what needs it, or the last that did; nil: what the client holds of a kind is not known
	kind store.Kind      // that is not known
	due  time.Time       // zero: not before by has gone, or the kind is known

	waits *store.Resource // what waits for the value that lacks the part, while this waits for it
}

// removal reports whether a resource that a state removed must stay, the parts of it apart.
func (p *pins) removal(r *store.Resource, generation uint64) bool {
	p.follow()
	return p.reach < generation || p.hosts[r.Host]
}

// drop is why a client must not come from a value of a resource to another one, or to none: the reason that lasts longest, or
// nil. Reasons that time ends are told apart from those that only an event does.
func (p *pins) drop(has, next *store.Resource) (event, timed *pin) {
	for i := range has.Parts {
		if part := has.Parts[i].Name; next == nil || !next.Has(part) {
			event, timed = p.judge(store.Need{Key: has.Key, Part: part}, event, timed)
		}
	}
	if next == nil {
		event, timed = p.judge(store.Need{Key: has.Key}, event, timed)
	}
	return event, timed
}

func (p *pins) judge(n store.Need, event, timed *pin) (*pin, *pin) {
	switch at := p.on(n); {
	case at == nil:
	case !at.due.IsZero():
		if timed == nil || at.due.After(timed.due) {
			timed = at
		}
	case event == nil || event.by == nil && at.by != nil:
		event = at
	}
	return event, timed
}

// on is why one part must stay, or nil.
func (p *pins) on(n store.Need) *pin {
	timed := &pin{need: n}
	if u := p.s.uses.by[n]; u != nil {
		if len(u.values) > 0 {
			return &pin{need: n, by: u.values[0]}
		}
		timed.by, timed.due = u.last, u.left.Add(p.s.cfg.Settle)
	}
	p.list()
	if r := p.coming[n]; r != nil {
		return &pin{need: n, by: r}
	}
	if n.Part != "" {
		for i := p.after + 1; i < len(p.s.subs); i++ {
			known, ok := p.known(p.s.subs[i])
			if !ok {
				return &pin{need: n, kind: store.Kinds()[i]}
			}
			if known.After(timed.due) {
				*timed = pin{need: n, kind: store.Kinds()[i], due: known}
			}
		}
	}
	if !timed.due.After(p.now) {
		return nil
	}
	return timed
}

// known is when nothing is left of what the client held of a kind before this stream, and of its settle, and false while
// that cannot be said. Until then any part may be needed.
func (p *pins) known(sub *subscription) (time.Time, bool) {
	switch {
	case sub == nil:
		return p.s.start.Add(min(subscribing, p.s.cfg.Settle)), true
	case sub.accepted.IsZero():
		return time.Time{}, false
	default:
		return sub.accepted.Add(p.s.cfg.Settle), true
	}
}

// awaited is what waits for a part that a client would come to hold with next, or nil. values are those of the resource that
// it may hold, nil among them for none.
func (p *pins) awaited(values []*store.Resource, next *store.Resource) *store.Resource {
	p.list()
	for i := range next.Parts {
		part := next.Parts[i].Name
		lacks := func(r *store.Resource) bool { return r == nil || !r.Has(part) }
		if r := p.waiting[store.Need{Key: next.Key, Part: part}]; r != nil && slices.ContainsFunc(values, lacks) {
			return r
		}
	}
	return nil
}

// list finds what later kinds wait for.
func (p *pins) list() {
	if p.listed {
		return
	}
	p.listed, p.coming, p.waiting = true, map[store.Need]*store.Resource{}, map[store.Need]*store.Resource{}
	for _, sub := range p.s.subs[p.after+1:] {
		if sub == nil {
			continue
		}
		if sub.base == nil && sub.lacking != nil {
			for _, n := range sub.lacking.Needs {
				p.waiting[n] = sub.lacking
			}
		}
		for _, h := range sub.held {
			if h.next == nil || h.pin != nil {
				continue
			}
			to := p.coming
			if h.due.IsZero() {
				to = p.waiting
			}
			for _, n := range h.next.Needs {
				if r := to[n]; r == nil || h.next.Name < r.Name { // the same one, in whatever order
					to[n] = h.next
				}
			}
		}
	}
}

// follow finds what later kinds still have of hosts, and how far they have followed.
func (p *pins) follow() {
	if p.followed {
		return
	}
	p.followed, p.hosts, p.reach = true, map[string]bool{}, p.target.Generation
	later := p.s.subs[p.after+1:]
	for _, sub := range later {
		if sub == nil {
			continue
		}
		for _, h := range sub.held {
			p.host(h.former)
			p.host(h.next)
		}
		for _, refused := range sub.refused {
			if refused.sent == nil { // it refused to lose it
				p.host(refused.before)
			}
		}
		if d := sub.inflight; d != nil {
			for _, r := range slices.Concat(d.former, d.removed) {
				p.host(r)
			}
		}
	}
	if p.s.skip(later, p.target) {
		return
	}
	for _, sub := range later {
		switch {
		case sub == nil:
		case sub.acked == nil:
			p.reach = 0
		default:
			p.reach = min(p.reach, sub.acked.Generation)
		}
	}
}

func (p *pins) host(r *store.Resource) {
	if r != nil {
		p.hosts[r.Host] = true
	}
}

// skip takes kinds to a snapshot in which none of them differs from what it has been acknowledged at, and reports whether it
// could. So a state that only removes from one kind goes out at once, and no kind sees the states between.
func (s *Session) skip(subs []*subscription, target *store.Snapshot) bool {
	for _, sub := range subs {
		if sub != nil && (sub.acked == nil || sub.inflight != nil || s.cfg.View.differs(sub.base, target, sub.kind)) {
			return false
		}
	}
	for _, sub := range subs {
		if sub != nil {
			sub.base, sub.acked = target, target
		}
	}
	return true
}
