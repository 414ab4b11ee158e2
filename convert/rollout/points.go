package rollout

import (
	"maps"
	"time"

	"meshbridge/mcpserver/store"
)

// Points are the states of the store since which it has had things without a break, such as a subset in a DestinationRule.
type Points struct {
	since map[string]store.Gate
	seen  map[string]bool
}

// Clone is a copy.
func (p *Points) Clone() Points { return Points{since: maps.Clone(p.since)} }

// Begin begins a look at what there is now.
func (p *Points) Begin() { p.seen = map[string]bool{} }

// Has notes that a thing is there in the state that is being made, which is the next one.
func (p *Points) Has(thing string, next uint64, now time.Time) {
	p.seen[thing] = true
	if _, ok := p.since[thing]; ok {
		return
	}
	if p.since == nil {
		p.since = map[string]store.Gate{}
	}
	p.since[thing] = store.Gate{Generation: next, Since: now}
}

// End forgets what was not there.
func (p *Points) End() {
	for thing := range p.since {
		if !p.seen[thing] {
			delete(p.since, thing)
		}
	}
	p.seen = nil
}

// Gate is the later of a gate and that of a thing. What is not there leaves it as it is.
func (p *Points) Gate(gate store.Gate, thing string) store.Gate {
	g, ok := p.since[thing]
	if !ok || g.Generation < gate.Generation {
		return gate
	}
	if g.Generation == gate.Generation && g.Since.Before(gate.Since) {
		return gate
	}
	return g
}
