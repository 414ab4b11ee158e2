package mcpserver

import (
	"maps"
	"slices"

	"meshbridge/mcpserver/store"
)

// compare looks at what a response changed: parts that came or went, and routes.
func (c *simClient) compare(resp wireResponse, before map[store.Key]*simHeld) {
	keys := maps.Clone(before)
	for k, h := range c.held {
		if k.Kind == resp.kind {
			keys[k] = h
		}
	}
	for k := range keys {
		old, now := before[k], c.held[k]
		swap := false
		for _, n := range now.partsOf(k) {
			if !slices.Contains(old.partsOf(k), n) {
				swap = true
				c.came(n)
			}
		}
		for _, n := range old.partsOf(k) {
			if !slices.Contains(now.partsOf(k), n) {
				c.went(n, swap)
			}
		}
		if r := resp.at.Find(k); r != nil && !c.has(resp.kind) {
			for _, n := range now.partsOf(k) {
				c.part(n).known = !c.w.now.Before(later(r.PartSince(n.Part), c.w.began).Add(propRetain))
			}
		}
		if k.Kind != store.VirtualService {
			continue
		}
		if now != nil && (old == nil || old.version != now.version) {
			c.received(k, now)
		}
		for _, n := range old.needsOf() {
			c.part(n).needed = c.w.now
		}
	}
}

func (h *simHeld) needsOf() []store.Need {
	if h == nil {
		return nil
	}
	return h.needs
}

// partsOf are the parts of a resource, itself among them.
func (h *simHeld) partsOf(k store.Key) []store.Need {
	if h == nil {
		return nil
	}
	parts := []store.Need{{Key: k}}
	for _, p := range h.parts {
		parts = append(parts, store.Need{Key: k, Part: p})
	}
	return parts
}

func (c *simClient) part(n store.Need) *simPart {
	if c.parts[n] == nil {
		c.parts[n] = &simPart{}
	}
	return c.parts[n]
}

func (c *simClient) came(n store.Need) {
	p := c.part(n)
	p.held, p.since, p.known = true, c.w.now, false
}

// went checks that nothing named a part that is lost, nor has for settle. What the first state of a stream takes cannot be
// helped, nor what is lost before the client has said that it follows routes, nor a whole resource so soon after the first
// state of the routes. A value that brings a part as well may be one
// for which a route waited that others had to leave.
func (c *simClient) went(n store.Need, swap bool) {
	p := c.part(n)
	p.held = false
	if !c.has(n.Key.Kind) || !c.prompt || swap && !c.strict() {
		return
	}
	if n.Part == "" && c.w.now.Sub(c.begun[store.VirtualService]) < propSettle {
		return
	}
	for k, h := range c.held {
		if k.Kind == store.VirtualService && slices.Contains(h.needs, n) {
			c.w.t.Errorf("client %d lost %v, which %s names", c.id, n, k.Name)
		}
	}
	if since := c.w.now.Sub(p.needed); since < propSettle {
		c.w.t.Errorf("client %d lost %v %s after it was named last", c.id, n, since)
	}
}

// strict reports whether no value that the client sees can both bring and take a part. One that it refuses to leave lasts
// longer than a phase.
func (c *simClient) strict() bool { return c.w.phases && !c.refused }

// received checks a new route: what it names has been there for settle, or for so long that every client knows it.
func (c *simClient) received(k store.Key, h *simHeld) {
	for _, n := range h.needs {
		if !c.view.Shard.Has(store.Slot(n.Key.Name[len("ns/"):])) {
			continue
		}
		switch p := c.part(n); {
		case !p.held:
			c.w.t.Errorf("client %d received %s, which names %v, and does not hold that", c.id, k.Name, n)
		case c.w.now.Sub(p.since) < propSettle && !p.known:
			c.w.t.Errorf("client %d received %s %s after %v, which it names", c.id, k.Name, c.w.now.Sub(p.since), n)
		}
	}
}

// check looks at what the client holds now. What it holds from before this stream may be old in a way that nobody knows.
func (c *simClient) check() {
	for k := range c.held {
		if k.Kind == store.DestinationRule && c.has(k.Kind) && c.ordered && !c.refused && c.held[store.Key{Kind: store.ServiceEntry, Name: k.Name}] == nil {
			c.w.t.Errorf("client %d holds the rule %s, and not its service", c.id, k.Name)
		}
	}
	if !c.has(store.VirtualService) || !c.strict() {
		return
	}
	for k, h := range c.held {
		for _, n := range h.needs {
			if !c.part(n).held && c.view.Shard.Has(store.Slot(n.Key.Name[len("ns/"):])) {
				c.w.t.Errorf("client %d holds %s, which names %v, and does not hold that", c.id, k.Name, n)
			}
		}
	}
}
