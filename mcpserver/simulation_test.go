package mcpserver

import (
	"maps"
	"strconv"
	"testing"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	mcppb "istio.io/api/mcp/v1alpha1"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/store"
)

// simClient is an istiod whose stream is a queue.
type simClient struct {
	w     *world
	id    int
	view  View
	delta bool

	session *Session
	begun   map[store.Kind]bool // first states applied on this stream
	ordered bool                // it asked for services first
	ask     []store.Kind        // still to be asked for
	inbox   []wireResponse
	held    map[store.Key]*simHeld
}

type simHeld struct {
	version  string
	value    int
	since    map[int]time.Time // DestinationRule: when it came to satisfy a value
	acquired uint64            // generation of the state that it came with
}

// wireResponse is a response as it went over the wire.
type wireResponse struct {
	kind    store.Kind
	nonce   string
	at      uint64 // generation of the state that it is taken from
	put     []*mcppb.Resource
	removed []string
	full    bool
}

func (c *simClient) act() {
	switch n := c.w.rand.IntN(20); {
	case c.session == nil || n == 0:
		c.connect()
	case n < 6:
		c.update()
	case n < 9 && len(c.ask) > 0:
		c.subscribe()
	default:
		c.process()
	}
}

func (c *simClient) connect() {
	c.session = NewSession(SessionConfig{View: c.view, Delta: c.delta, Settle: propSettle, Retain: propRetain, Since: c.w.began}, current(c.w.store), c.w.now)
	c.begun, c.inbox = map[store.Kind]bool{}, nil
	c.ask, c.ordered = store.Kinds(), true
	if c.w.rand.IntN(2) == 0 {
		c.ordered = false
		c.ask = []store.Kind{store.DestinationRule, store.ServiceEntry, store.VirtualService} // as istiod does
	}
	for range c.w.rand.IntN(4) {
		c.subscribe()
	}
}

func (c *simClient) subscribe() {
	if len(c.ask) == 0 {
		return
	}
	kind := c.ask[0]
	c.ask = c.ask[1:]
	req := Request{TypeURL: "networking.istio.io/v1/" + kind.Kind, Nonce: "junk", Node: &Node{ID: "istiod", Revision: c.view.Revision}}
	if c.delta {
		req.Initial = map[string]string{}
		for k, h := range c.held {
			if k.Kind == kind {
				req.Initial[k.Name] = h.version
			}
		}
	}
	c.request(req)
}

func (c *simClient) request(req Request) {
	res, err := c.session.Request(req, c.w.now)
	if err != nil {
		c.w.t.Fatal(err)
	}
	c.receive(res)
}

func (c *simClient) update() {
	if c.session == nil {
		c.connect()
	}
	for len(c.ask) > 0 {
		c.subscribe()
	}
	c.receive(c.session.Update(current(c.w.store), c.w.now))
}

// receive takes responses over the wire, as bytes.
func (c *simClient) receive(res Result) {
	for _, resp := range res.Responses {
		f := encode(resp, c.w.bodies)
		resp.Sent(f.version, f.bytes)
		if n := f.data.Len(); n != f.bytes {
			c.w.t.Errorf("a frame of %d bytes says it has %d", n, f.bytes)
		}
		c.inbox = append(c.inbox, decodeFrame(c.w.t, resp, f))
	}
}

func decodeFrame(t *testing.T, resp *Response, f *frame) wireResponse {
	out := wireResponse{kind: resp.Kind, nonce: resp.Nonce, at: resp.Snapshot.Generation, full: !resp.Delta}
	raw := f.data.Materialize()
	add := func(r *mcppb.Resource, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out.put = append(out.put, r)
	}
	if resp.Delta {
		var msg discoverypb.DeltaDiscoveryResponse
		if err := proto.Unmarshal(raw, &msg); err != nil {
			t.Fatal(err)
		}
		for _, r := range msg.Resources {
			m := new(mcppb.Resource)
			add(m, r.Resource.UnmarshalTo(m))
		}
		out.removed = msg.RemovedResources
		return out
	}
	var msg discoverypb.DiscoveryResponse
	if err := proto.Unmarshal(raw, &msg); err != nil {
		t.Fatal(err)
	}
	for _, a := range msg.Resources {
		m := new(mcppb.Resource)
		add(m, a.UnmarshalTo(m))
	}
	return out
}

// process applies and acknowledges the oldest response.
func (c *simClient) process() bool {
	if len(c.inbox) == 0 {
		return false
	}
	resp := c.inbox[0]
	c.inbox = c.inbox[1:]
	c.apply(resp)
	c.begun[resp.kind] = true
	c.check()
	c.request(Request{TypeURL: "networking.istio.io/v1/" + resp.kind.Kind, Nonce: resp.nonce})
	return true
}

func (c *simClient) apply(resp wireResponse) {
	seen := map[string]bool{}
	for _, r := range resp.put {
		name := r.Metadata.Name
		seen[name] = true
		k := store.Key{Kind: resp.kind, Name: name}
		old := c.held[k]
		if old != nil && old.version == r.Metadata.Version {
			continue
		}
		h := &simHeld{version: r.Metadata.Version, value: valueOf(c.w.t, r), acquired: resp.at, since: map[int]time.Time{}}
		if old != nil {
			h.acquired = old.acquired
			maps.Copy(h.since, old.since)
		}
		for v := range h.value + 1 {
			if _, ok := h.since[v]; !ok {
				h.since[v] = c.w.now
			}
		}
		c.held[k] = h
		if resp.kind == store.VirtualService {
			c.acquired(k, h)
		}
	}
	gone := resp.removed
	if resp.full {
		for k := range c.held {
			if k.Kind == resp.kind && !seen[k.Name] {
				gone = append(gone, k.Name)
			}
		}
	}
	for _, name := range gone {
		k := store.Key{Kind: resp.kind, Name: name}
		if h := c.held[k]; h != nil {
			if at := c.w.host(name[len("ns/"):]).present[resp.kind]; at != 0 && at <= h.acquired {
				c.w.t.Errorf("client %d lost %s %s, which was there all the time", c.id, k.Kind.Kind, name)
			}
			delete(c.held, k)
		}
	}
}

// acquired checks a new route: what it needs has been there for settle, or for so long that every client knows it.
func (c *simClient) acquired(k store.Key, h *simHeld) {
	own := key(store.DestinationRule, k.Name[len("ns/"):])
	rule := c.held[own]
	if rule == nil || rule.value < h.value {
		c.w.t.Errorf("client %d received %s, which needs its rule at %d, and holds %+v", c.id, k.Name, h.value, rule)
		return
	}
	known := !c.w.now.Before(later(c.w.host(k.Name[len("ns/"):]).made[h.value], c.w.began).Add(propRetain))
	if settled := c.w.now.Sub(rule.since[h.value]); settled < propSettle && !known {
		c.w.t.Errorf("client %d received %s %s after what it needs", c.id, k.Name, settled)
	}
}

// check looks at what the client holds now. What it holds from before this stream may be old in a way that nobody knows.
func (c *simClient) check() {
	for k := range c.held {
		if k.Kind == store.DestinationRule && c.begun[k.Kind] && c.ordered && c.held[store.Key{Kind: store.ServiceEntry, Name: k.Name}] == nil {
			c.w.t.Errorf("client %d holds the rule %s, and not its service", c.id, k.Name)
		}
	}
	if !c.begun[store.VirtualService] {
		return
	}
	for k, h := range c.held {
		if k.Kind != store.VirtualService {
			continue
		}
		if rule := c.held[key(store.DestinationRule, k.Name[len("ns/"):])]; rule == nil || rule.value < h.value {
			c.w.t.Errorf("client %d holds %s, which needs its rule at %d, beside %+v", c.id, k.Name, h.value, rule)
		}
		for _, need := range c.w.needs[h.version] {
			if c.held[need] == nil && c.view.Shard.Has(store.Slot(need.Name[len("ns/"):])) {
				c.w.t.Errorf("client %d holds %s, which needs %s, and does not hold that", c.id, k.Name, need.Name)
			}
		}
	}
}

func valueOf(t *testing.T, r *mcppb.Resource) int {
	body, err := r.Body.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	var s string
	switch m := body.(type) {
	case *networkingpb.ServiceEntry:
		s = m.SubjectAltNames[0]
	case *networkingpb.DestinationRule:
		s = m.Subsets[0].Name
	case *networkingpb.VirtualService:
		s = m.Gateways[0]
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
