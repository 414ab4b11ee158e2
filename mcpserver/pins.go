package mcpserver

import "meshbridge/mcpserver/store"

// pins tells which resources of a kind must stay because the client still holds, of a later kind, something that may refer
// to them: what names them among its Needs, or shares their host. It is made anew for each move and computes what it needs
// on demand.
type pins struct {
	s      *Session
	after  int // the order of the kind that moves
	target *store.Snapshot

	ready bool
	keys  map[store.Key]bool
	hosts map[string]bool
	reach uint64 // removals of states up to this one have been followed by every later kind
}

// has reports whether a resource that a state removed must stay.
func (p *pins) has(r *store.Resource, generation uint64) bool {
	if !p.ready {
		p.compute()
	}
	return p.reach < generation || p.keys[r.Key] || p.hosts[r.Host]
}

func (p *pins) compute() {
	p.ready, p.keys, p.hosts, p.reach = true, map[store.Key]bool{}, map[string]bool{}, p.target.Generation
	later := p.s.subs[p.after+1:]
	for _, sub := range later {
		if sub == nil {
			continue
		}
		for _, h := range sub.held {
			p.pin(h.former)
			p.pin(h.next)
		}
		if sub.inflight != nil {
			for _, r := range sub.inflight.dropped {
				p.pin(r)
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

func (p *pins) pin(r *store.Resource) {
	if r == nil {
		return
	}
	p.hosts[r.Host] = true
	for _, n := range r.Needs {
		p.keys[n.Key] = true
	}
}
