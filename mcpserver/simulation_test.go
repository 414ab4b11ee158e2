package mcpserver

import (
	"slices"
	"strconv"
	"strings"
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
	begun   map[store.Kind]time.Time // first states applied on this stream
	ordered bool                     // it asked for services first
	prompt  bool                     // it asked for all kinds at once
	refused bool                     // it has refused something
	ask     []store.Kind             // still to be asked for
	inbox   []wireResponse
	held    map[store.Key]*simHeld
	parts   map[store.Need]*simPart
}

// simHeld is a resource that the client holds, and what is in it as it came over the wire.
type simHeld struct {
	version  string
	parts    []string
	needs    []store.Need
	acquired uint64 // generation of the state that it came with
}

// simPart is what the client knows of a part, whether it holds it or not.
type simPart struct {
	held   bool
	since  time.Time // if it is held
	known  bool      // it came with the first state of this stream, and had not changed for retain
	needed time.Time // when the client last held something that named it
}

func newSimClient(w *world, id int, view View, delta bool) *simClient {
	return &simClient{w: w, id: id, view: view, delta: delta, held: map[store.Key]*simHeld{}, parts: map[store.Need]*simPart{}}
}

// wireResponse is a response as it went over the wire.
type wireResponse struct {
	kind    store.Kind
	nonce   string
	at      *store.Snapshot // the state that it is taken from
	put     []*mcppb.Resource
	removed []string
	full    bool
}

func (c *simClient) act() {
	switch n := c.w.rand.IntN(30); {
	case c.session == nil || n == 0:
		c.connect()
	case n < 9:
		c.update()
	case n < 12 && len(c.ask) > 0:
		c.subscribe()
	default:
		c.process()
	}
}

func (c *simClient) connect() {
	c.session = NewSession(SessionConfig{View: c.view, Delta: c.delta, Settle: propSettle, Retain: propRetain, Since: c.w.began}, current(c.w.store), c.w.now)
	c.begun, c.inbox = map[store.Kind]time.Time{}, nil
	c.ask, c.ordered, c.prompt, c.refused = store.Kinds(), true, true, false
	for _, p := range c.parts {
		p.known = false
	}
	if c.w.rand.IntN(2) == 0 {
		c.ordered = false
		c.ask = []store.Kind{store.DestinationRule, store.ServiceEntry, store.VirtualService} // as istiod does
	}
	if c.w.rand.IntN(4) == 0 {
		c.prompt = false
		for range c.w.rand.IntN(3) {
			c.subscribe()
		}
		return
	}
	for len(c.ask) > 0 {
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
	out := wireResponse{kind: resp.Kind, nonce: resp.Nonce, at: resp.Snapshot, full: !resp.Delta}
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

// process applies and acknowledges the oldest response, or refuses it.
func (c *simClient) process() bool {
	if len(c.inbox) == 0 {
		return false
	}
	resp := c.inbox[0]
	c.inbox = c.inbox[1:]
	req := Request{TypeURL: "networking.istio.io/v1/" + resp.kind.Kind, Nonce: resp.nonce}
	if c.w.refuses && c.has(resp.kind) && len(resp.removed) == 0 && c.w.rand.IntN(8) == 0 {
		req.Rejected, c.refused = true, true
	} else {
		c.apply(resp)
		if !c.has(resp.kind) {
			c.begun[resp.kind] = c.w.now
		}
		c.check()
	}
	c.request(req)
	return true
}

// has reports whether the client has the first state of a kind on this stream.
func (c *simClient) has(kind store.Kind) bool { return !c.begun[kind].IsZero() }

func (c *simClient) apply(resp wireResponse) {
	before := map[store.Key]*simHeld{}
	for k, h := range c.held {
		if k.Kind == resp.kind {
			before[k] = h
		}
	}
	for _, r := range resp.put {
		k := store.Key{Kind: resp.kind, Name: r.Metadata.Name}
		h := &simHeld{version: r.Metadata.Version}
		h.parts, h.needs = simContent(c.w.t, r)
		if c.view.visible(resp.at.Find(k)) != nil { // else it is a former value of what has gone
			h.acquired = resp.at.Generation
		}
		if old := before[k]; old != nil {
			h.acquired = old.acquired
		}
		c.held[k] = h
	}
	gone := resp.removed
	if resp.full {
		gone = nil
		for k := range before {
			if !slices.ContainsFunc(resp.put, func(r *mcppb.Resource) bool { return r.Metadata.Name == k.Name }) {
				gone = append(gone, k.Name)
			}
		}
	}
	for _, name := range gone {
		k := store.Key{Kind: resp.kind, Name: name}
		if h := c.held[k]; h != nil {
			if at := c.w.host(name).present[resp.kind]; at != 0 && at <= h.acquired {
				c.w.t.Errorf("client %d lost %s %s, which was there all the time", c.id, k.Kind.Kind, name)
			}
			delete(c.held, k)
		}
	}
	c.compare(resp, before)
}

// simSpec is a spec whose parts and needs can be read from it.
func simSpec(kind store.Kind, host string, value int, parts []string, needs []store.Need) proto.Message {
	mark := strconv.Itoa(value)
	switch kind {
	case store.DestinationRule:
		rule := &networkingpb.DestinationRule{Host: host, ExportTo: []string{mark}}
		for _, p := range parts {
			rule.Subsets = append(rule.Subsets, &networkingpb.Subset{Name: p})
		}
		return rule
	case store.VirtualService:
		route := &networkingpb.VirtualService{Hosts: []string{host}, Gateways: []string{mark}}
		for _, n := range needs {
			route.ExportTo = append(route.ExportTo, n.Key.Kind.Kind+" "+n.Key.Name+" "+n.Part)
		}
		return route
	}
	entry := &networkingpb.ServiceEntry{Hosts: []string{host}, SubjectAltNames: []string{mark}}
	for _, p := range parts {
		entry.Endpoints = append(entry.Endpoints, &networkingpb.WorkloadEntry{Labels: map[string]string{"version": p}})
	}
	return entry
}

// simContent reads them.
func simContent(t *testing.T, r *mcppb.Resource) (parts []string, needs []store.Need) {
	body, err := r.Body.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	switch m := body.(type) {
	case *networkingpb.ServiceEntry:
		for _, e := range m.Endpoints {
			parts = append(parts, e.Labels["version"])
		}
	case *networkingpb.DestinationRule:
		for _, s := range m.Subsets {
			parts = append(parts, s.Name)
		}
	case *networkingpb.VirtualService:
		for _, text := range m.ExportTo {
			words := strings.Split(text, " ")
			kind := store.Kind{Group: store.DestinationRule.Group, Kind: words[0]}
			needs = append(needs, store.Need{Key: store.Key{Kind: kind, Name: words[1]}, Part: words[2]})
		}
	}
	return parts, needs
}
