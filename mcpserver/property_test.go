package mcpserver

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	mcppb "istio.io/api/mcp/v1alpha1"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/store"
)

// The property: whatever happens in whatever order, a client never receives a VirtualService before it has held what that
// needs for settle, never loses what a resource it holds needs, never loses what was there all the time, and ends with
// exactly its view. Here time and the wire are simulated; TestClientsOverTheWireEndWithTheirView has real ones.
func TestAClientNeverLacksWhatItNeedsAndEndsWithItsView(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		w := newWorld(t, uint64(seed))
		for range 300 {
			w.step()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		w.settle()
		w.judge()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

const (
	propSettle = 10 * time.Second
	propRetain = time.Minute
)

// world is a store, the hosts that it is made of, and simulated clients.
type world struct {
	t       *testing.T
	rand    *rand.Rand
	now     time.Time
	began   time.Time
	store   *store.Store
	bodies  *bodies
	hosts   []*host
	clients []*simClient
	needs   map[string][]store.Key // of routes, by version
}

// host is one service: a ServiceEntry, and perhaps a DestinationRule and a VirtualService that needs it and maybe another's.
type host struct {
	name     string
	value    int // counts changes; a DestinationRule of value n satisfies all routes that need n or less
	revision string
	has      map[store.Kind]bool
	changed  map[store.Kind]time.Time
	needs    []string          // hosts whose DestinationRules the VirtualService needs
	made     map[int]time.Time // when a value of the DestinationRule first was
	needed   int               // value of this host's DestinationRule that its VirtualService needs
	present  map[store.Kind]uint64
}

func newWorld(t *testing.T, seed uint64) *world {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: now, began: now, store: store.NewStore(), needs: map[string][]store.Key{}}
	w.bodies = newBodies(func() time.Time { return w.now })
	for i := range 8 {
		w.hosts = append(w.hosts, &host{name: fmt.Sprintf("h%d.mesh", i), has: map[store.Kind]bool{},
			changed: map[store.Kind]time.Time{}, made: map[int]time.Time{}, present: map[store.Kind]uint64{}})
	}
	shards := []store.Shard{{}, {}, {Index: 0, Of: 2}, {Index: 1, Of: 2}, {Index: 1, Of: 3}}
	for i := range 8 {
		view := View{Shard: shards[w.rand.IntN(len(shards))]}
		if w.rand.IntN(2) == 0 {
			view.Revision = "canary"
		}
		w.clients = append(w.clients, &simClient{w: w, id: i, view: view, delta: w.rand.IntN(2) == 0, held: map[store.Key]*simHeld{}})
	}
	return w
}

// step lets one thing happen.
func (w *world) step() {
	switch n := w.rand.IntN(100); {
	case n < 15:
		w.change()
	case n < 25:
		w.now = w.now.Add(time.Duration(w.rand.IntN(4000)) * time.Millisecond)
	case n < 27:
		w.now = w.now.Add(propRetain)
	default:
		w.clients[w.rand.IntN(len(w.clients))].act()
	}
}

// change applies one random state in which nothing needs what is not there.
func (w *world) change() {
	var c store.Change
	for range 1 + w.rand.IntN(3) {
		w.mutate(w.hosts[w.rand.IntN(len(w.hosts))])
	}
	c.Open = w.rand.IntN(3) == 0
	for _, h := range w.hosts {
		for _, kind := range store.Kinds() {
			if h.has[kind] {
				c.Put = append(c.Put, w.resource(h, kind))
			} else {
				c.Remove = append(c.Remove, removal(kind, h.name))
			}
		}
	}
	snap := w.store.Apply(c)
	for _, h := range w.hosts {
		for _, kind := range store.Kinds() {
			switch {
			case !h.has[kind]:
				delete(h.present, kind)
			case h.present[kind] == 0:
				h.present[kind] = snap.Generation
			}
		}
	}
}

func (w *world) mutate(h *host) {
	touch := func(kinds ...store.Kind) {
		for _, k := range kinds {
			h.changed[k] = w.now
		}
		if _, ok := h.made[h.value]; !ok {
			h.made[h.value] = w.now
		}
	}
	se, dr, vs := store.ServiceEntry, store.DestinationRule, store.VirtualService
	needed := slices.ContainsFunc(w.hosts, func(o *host) bool { return o != h && o.has[vs] && slices.Contains(o.needs, h.name) })
	switch w.rand.IntN(7) {
	case 0: // the service alone
		h.has[se] = true
		h.value++
		touch(se)
	case 1: // all of it, the route needing the newest rule
		h.has[se], h.has[dr], h.has[vs] = true, true, true
		h.value++
		h.needed, h.needs = h.value, []string{h.name}
		touch(se, dr, vs)
	case 2: // the rule changes, the route does not
		if h.has[dr] {
			h.value++
			touch(dr)
		}
	case 3: // the route goes
		delete(h.has, vs)
	case 4: // all of it goes
		if !needed {
			clear(h.has)
		}
	case 5: // another revision, with all that is in it
		if !needed && !slices.ContainsFunc(h.needs, func(n string) bool { return n != h.name }) {
			h.revision = []string{"", "canary", "stable"}[w.rand.IntN(3)]
			for _, kind := range store.Kinds() {
				h.present[kind] = 0 // for some it goes, for some it comes
			}
			h.value++
			h.needed = h.value
			touch(se, dr, vs)
		}
	case 6: // the route needs another host's rule too
		o := w.hosts[w.rand.IntN(len(w.hosts))]
		if h.has[vs] && o.has[dr] && o.revision == "" {
			h.needs = slices.Compact(slices.Sorted(slices.Values(append(h.needs, o.name))))
			touch(vs)
		}
	}
}

func (w *world) host(name string) *host {
	i := slices.IndexFunc(w.hosts, func(h *host) bool { return h.name == name })
	return w.hosts[i]
}

func (w *world) resource(h *host, kind store.Kind) *store.Resource {
	options := []option{changedAt(h.changed[kind])}
	if h.revision != "" {
		options = append(options, revision(h.revision))
	}
	value := h.value
	if kind == store.VirtualService {
		value = h.needed
		var keys []store.Key
		for _, n := range h.needs {
			keys = append(keys, key(store.DestinationRule, n))
		}
		options = append(options, needing(keys...), annotated("needs", fmt.Sprint(h.needs)))
	}
	r := resource(w.t, kind, h.name, strconv.Itoa(value), options...)
	w.needs[r.Version] = r.Needs
	return r
}

// settle lets everything come to rest.
func (w *world) settle() {
	w.store.Apply(store.Change{Open: true})
	for range 40 {
		for _, c := range w.clients {
			c.update()
			for c.process() {
			}
		}
		w.now = w.now.Add(propSettle / 4)
	}
}

// judge compares what each client holds with its view.
func (w *world) judge() {
	snap := current(w.store)
	for _, c := range w.clients {
		for _, kind := range store.Kinds() {
			got := map[string]string{}
			for k, h := range c.held {
				if k.Kind == kind {
					got[k.Name] = h.version
				}
			}
			if diff := cmp.Diff(versions(snap, kind, c.view), got); diff != "" {
				w.t.Errorf("client %d (%+v, delta %t) differs in %s (-view +held):\n%s", c.id, c.view, c.delta, kind.Kind, diff)
			}
			if got, want := c.session.subs[slices.Index(store.Kinds(), kind)].count, len(got); got != want {
				w.t.Errorf("client %d counts %d of %s, and holds %d", c.id, got, kind.Kind, want)
			}
		}
		if _, busy := c.session.Busy(); busy {
			w.t.Errorf("client %d is busy", c.id)
		}
	}
}

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
