package mcpserver

import (
	"slices"
	"strings"

	"meshbridge/mcpserver/store"
)

// compare looks at what a response of a kind changed, and at what the client holds now.
func (c *simClient) compare(kind store.Kind, before map[store.Key]*simHeld) {
	for k, old := range before {
		for _, n := range old.parts {
			if now := c.held[k]; now == nil || !slices.Contains(now.parts, n) {
				c.went(n)
			}
		}
		for _, n := range old.names {
			c.part(n).named = c.w.now
		}
	}
	for k, now := range c.held {
		if k.Kind != kind {
			continue
		}
		old := before[k]
		for _, n := range now.parts {
			if old == nil || !slices.Contains(old.parts, n) {
				*c.part(n) = simPart{held: true, since: c.w.now, named: c.part(n).named}
			}
			if !c.has(kind) {
				c.part(n).known = c.known(n)
			}
		}
		if old == nil || old.version != now.version {
			c.received(k, now)
		}
	}
	if !c.has(kind) {
		c.begun[kind] = c.w.now
		c.restored()
	}
	c.check()
}

func (c *simClient) part(n simRef) *simPart {
	if c.parts[n] == nil {
		c.parts[n] = &simPart{}
	}
	return c.parts[n]
}

// restored ends an exemption with the last first state of a stream.
func (c *simClient) restored() {
	if len(c.begun) < len(store.Kinds()) || c.refused || !c.exempt {
		return
	}
	c.exempt = false
	for _, p := range c.parts {
		p.named = created
	}
}

// known reports whether what comes with a first state has been there, unchanged, for so long that every client knows it.
func (c *simClient) known(n simRef) bool {
	s := c.w.services[n.Name]
	if s == nil {
		return false
	}
	p := s.rule
	if n.part != "" {
		p = s.subsets[n.part]
	}
	return p != nil && !c.w.now.Before(later(p.since[c.bridge].Since, c.bridge.began).Add(propRetain))
}

// sees reports whether something lives in the client's shard.
func (c *simClient) sees(n simRef) bool {
	_, host, _ := strings.Cut(n.Name, "/")
	return c.view.Shard.Has(store.Slot(host))
}

// went checks that nothing names a part that is lost, nor has for settle.
func (c *simClient) went(n simRef) {
	p := c.part(n)
	p.held = false
	if since := c.w.now.Sub(p.named); since < propSettle && !c.exempt {
		c.w.t.Errorf("client %d lost %v %s after it was named last", c.id, n, since)
	}
}

// received checks what a new resource names: it is there; and, for a route, it has been there for settle or is known.
func (c *simClient) received(k store.Key, h *simHeld) {
	for _, n := range h.names {
		if !c.sees(n) || c.exempt {
			continue
		}
		switch p := c.part(n); {
		case !p.held:
			c.w.t.Errorf("client %d received %v, which names %v, and does not hold that", c.id, k, n)
		case k.Kind == store.VirtualService && c.w.now.Sub(p.since) < propSettle && !p.known:
			c.w.t.Errorf("client %d received %v %s after %v, which it names", c.id, k, c.w.now.Sub(p.since), n)
		}
	}
}

// check looks at all that the client holds now.
func (c *simClient) check() {
	for k, h := range c.held {
		for _, n := range h.names {
			if c.sees(n) && !c.part(n).held && !c.exempt {
				c.w.t.Errorf("client %d holds %v, which names %v, and does not hold that", c.id, k, n)
			}
		}
	}
}
