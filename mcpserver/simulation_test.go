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

	bridge  *process
	session *Session  // nil: it is away
	since   time.Time // when it connected, or went
	ask     []store.Kind
	lazy    bool                     // it may ask for kinds later than it should
	begun   map[store.Kind]time.Time // first states applied on this stream
	inbox   []wireResponse
	refused bool // it has refused something on this stream
	exempt  bool // it has refused something, or asked late, and has not begun anew since

	held  map[store.Key]*simHeld
	parts map[simRef]*simPart
}

// simHeld is a resource that the client holds, and what is in it as it came over the wire.
type simHeld struct {
	version  string
	parts    []simRef // what is in it, itself among them
	names    []simRef
	acquired int // the moment of the state that it came with
}

// simRef is a resource or, with a name, something in it.
type simRef struct {
	store.Key
	part string
}

// simPart is what the client knows of a part, whether it holds it or not.
type simPart struct {
	held  bool
	since time.Time // if it is held
	known bool      // it was in the first state of this stream, and had not changed for retain
	named time.Time // when the client last held something that named it
}

// wireResponse is a response as it went over the wire.
type wireResponse struct {
	kind    store.Kind
	nonce   string
	moment  int // of the state that it is taken from
	put     []*mcppb.Resource
	removed []string
	full    bool
}

func newSimClient(w *world, id int, view View, delta bool) *simClient {
	return &simClient{w: w, id: id, view: view, delta: delta, since: w.now, held: map[store.Key]*simHeld{}, parts: map[simRef]*simPart{}}
}

func (c *simClient) act() {
	switch n := c.w.any(30); {
	case c.session == nil && n < 3:
		c.connect()
	case c.session == nil:
	case n == 0 && c.w.keep > 0:
		c.disconnect()
	case n < 9:
		c.update()
	case n < 12:
		c.subscribe()
	default:
		c.process()
	}
}

func (c *simClient) disconnect() {
	if c.session == nil {
		return
	}
	for _, p := range c.w.parts() {
		c.w.over(p)
	}
	c.session, c.since, c.inbox, c.ask = nil, c.w.now, nil, nil
}

// hurry does what the client must do before a time.
func (c *simClient) hurry(before time.Time) {
	if c.session == nil && before.Sub(c.since) >= propAway {
		c.connect()
	}
	if c.session == nil || len(c.ask) == 0 || before.Sub(c.since) < subscribing {
		return
	}
	if c.lazy {
		c.exempt = true
		return
	}
	for len(c.ask) > 0 {
		c.subscribe()
	}
}

func (c *simClient) connect() {
	c.bridge, c.since = c.w.processes[c.w.any(len(c.w.processes))], c.w.now
	cfg := SessionConfig{View: c.view, Delta: c.delta, Settle: propSettle, Retain: propRetain, Since: c.bridge.began}
	c.session = NewSession(cfg, current(c.bridge.store), c.w.now)
	c.begun, c.inbox, c.refused = map[store.Kind]time.Time{}, nil, false
	c.ask, c.lazy = store.Kinds(), c.w.any(8) == 0
	for _, p := range c.parts {
		p.known = false
	}
	c.w.rand.Shuffle(len(c.ask), func(i, j int) { c.ask[i], c.ask[j] = c.ask[j], c.ask[i] })
	for range []int{3, 3, 1, 2}[c.w.any(4)] {
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

// update brings the newest state, to a client that follows all kinds by then.
func (c *simClient) update() {
	if c.session == nil {
		c.connect()
	}
	for len(c.ask) > 0 && (!c.lazy || c.w.any(3) == 0 || !c.w.refuses) {
		c.subscribe()
	}
	c.receive(c.session.Update(current(c.bridge.store), c.w.now))
}

// receive takes responses over the wire, as bytes.
func (c *simClient) receive(res Result) {
	for _, resp := range res.Responses {
		f := encode(resp, c.bridge.bodies)
		resp.Sent(f.version, f.bytes)
		if n := f.data.Len(); n != f.bytes {
			c.w.t.Errorf("a frame of %d bytes says it has %d", n, f.bytes)
		}
		out := decodeFrame(c.w.t, resp, f)
		out.moment = c.bridge.moments[resp.Snapshot.Generation]
		c.inbox = append(c.inbox, out)
	}
}

func decodeFrame(t *testing.T, resp *Response, f *frame) wireResponse {
	out := wireResponse{kind: resp.Kind, nonce: resp.Nonce, full: !resp.Delta}
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
	if c.session == nil || len(c.inbox) == 0 {
		return false
	}
	resp := c.inbox[0]
	c.inbox = c.inbox[1:]
	req := Request{TypeURL: "networking.istio.io/v1/" + resp.kind.Kind, Nonce: resp.nonce}
	if c.w.refuses && c.has(resp.kind) && len(resp.removed) == 0 && c.w.any(8) == 0 {
		req.Rejected, c.refused, c.exempt = true, true, true
	} else {
		c.apply(resp)
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
	gone := resp.removed
	if resp.full {
		for k := range before {
			if !slices.ContainsFunc(resp.put, func(r *mcppb.Resource) bool { return r.Metadata.Name == k.Name }) {
				gone = append(gone, k.Name)
			}
		}
	}
	for _, r := range resp.put {
		k := store.Key{Kind: resp.kind, Name: r.Metadata.Name}
		h := simContent(c.w.t, k, r)
		h.acquired = resp.moment
		if old := before[k]; old != nil {
			h.acquired = old.acquired
		}
		c.held[k] = h
	}
	for _, name := range gone {
		k := store.Key{Kind: resp.kind, Name: name}
		if h := c.held[k]; h != nil && c.w.gone[k] <= h.acquired {
			c.w.t.Errorf("client %d lost %s %s, which was there all the time", c.id, k.Kind.Kind, name)
		}
		delete(c.held, k)
	}
	c.compare(resp.kind, before)
}

// simSpec is a spec whose parts can be read from it.
func simSpec(kind store.Kind, host string, value int, subsets []string) proto.Message {
	mark := strconv.Itoa(value)
	if kind == store.DestinationRule {
		rule := &networkingpb.DestinationRule{Host: host, ExportTo: []string{mark}}
		for _, s := range subsets {
			rule.Subsets = append(rule.Subsets, &networkingpb.Subset{Name: s})
		}
		return rule
	}
	entry := &networkingpb.ServiceEntry{Hosts: []string{host}, SubjectAltNames: []string{mark}}
	for _, s := range subsets {
		entry.Endpoints = append(entry.Endpoints, &networkingpb.WorkloadEntry{Labels: map[string]string{"version": s}})
	}
	return entry
}

// simRoute is a spec that says what it names.
func simRoute(host string, value int, names []ref) proto.Message {
	out := &networkingpb.VirtualService{Hosts: []string{host}, Gateways: []string{strconv.Itoa(value)}}
	for _, n := range names {
		out.ExportTo = append(out.ExportTo, n.service+" "+n.subset)
	}
	return out
}

// simContent reads them.
func simContent(t *testing.T, k store.Key, r *mcppb.Resource) *simHeld {
	body, err := r.Body.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	h := &simHeld{version: r.Metadata.Version, parts: []simRef{{k, ""}}}
	switch m := body.(type) {
	case *networkingpb.ServiceEntry:
		h.names = []simRef{{store.Key{Kind: store.DestinationRule, Name: k.Name}, ""}}
		for _, e := range m.Endpoints {
			h.parts = append(h.parts, simRef{k, e.Labels["version"]})
		}
	case *networkingpb.DestinationRule:
		for _, s := range m.Subsets {
			h.parts = append(h.parts, simRef{k, s.Name})
		}
	case *networkingpb.VirtualService:
		for _, text := range m.ExportTo {
			name, subset, _ := strings.Cut(text, " ")
			for _, kind := range []store.Kind{store.ServiceEntry, store.DestinationRule} {
				h.names = append(h.names, simRef{store.Key{Kind: kind, Name: name}, subset})
			}
		}
	}
	return h
}
