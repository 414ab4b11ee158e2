package convert

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
)

// walkClient is an istiod: one stream for each of its shards.
type walkClient struct {
	w        *walk
	name     string
	revision string
	delta    bool
	streams  []*walkStream

	returned bool // a stream has begun anew since all was settled
	judge    walkJudge
}

func (w *walk) client(name, revision string, delta bool, shards int) *walkClient {
	c := &walkClient{w: w, name: name, revision: revision, delta: delta}
	for i := range shards {
		s := &walkStream{client: c, held: map[store.Key]*store.Resource{}}
		if shards > 1 {
			s.shard = store.Shard{Index: i, Of: shards}
		}
		c.streams = append(c.streams, s)
	}
	c.judge = newWalkJudge(c)
	return c
}

// of is the stream that a host's resources come by.
func (c *walkClient) of(host string) *walkStream {
	return c.streams[store.Slot(host)%len(c.streams)]
}

// holds are the resources of all streams. The same key in two of them is what the first has.
func (c *walkClient) holds() map[store.Key]*store.Resource {
	if len(c.streams) == 1 {
		return c.streams[0].held
	}
	all := map[store.Key]*store.Resource{}
	for _, s := range slices.Backward(c.streams) {
		maps.Copy(all, s.held)
	}
	return all
}

// walkStream is the stream of one shard, over all its connections.
type walkStream struct {
	client *walkClient
	shard  store.Shard
	held   map[store.Key]*store.Resource

	session *mcpserver.Session // nil: not connected
	// The last session that ended after its first routes, of which process, and when.
	former    *mcpserver.Session
	leftWorld *world
	left      time.Time
	replica   *walkReplica
	epoch     int       // of the connection
	last      time.Time // when the client is done with all that was sent
	waking    bool
	alarm     time.Time
	unread    int  // ServiceEntry responses that have not been acknowledged
	begun     bool // the ServiceEntries of this connection are held
	routed    bool // the first routes of this connection are acknowledged

	snapAt  time.Time // when the session was given its newest snapshot
	from    *walkReplica
	entries time.Time // the held ServiceEntries are those of this time, of the replica from
}

// connect begins a new stream with a process that is up; what is held stays.
func (s *walkStream) connect() {
	w, c := s.client.w, s.client
	if s.session != nil {
		return
	}
	var up []*walkReplica
	for _, r := range w.replicas {
		if r.up {
			up = append(up, r)
		}
	}
	if len(up) == 0 {
		s.returns(time.Second)
		return
	}
	s.replica = up[w.rand.IntN(len(up))]
	s.epoch++
	s.last, s.waking, s.alarm, s.unread, s.begun, s.routed, s.snapAt = w.now, false, time.Time{}, 0, false, false, w.now
	snap, _ := s.replica.world.store.Snapshot()
	view := mcpserver.View{Shard: s.shard}
	s.session = walkSession(s.replica.world.engine.rules, view, c.delta, s.replica.began, snap, w.now)
	kinds := slices.Clone(store.Kinds())
	w.rand.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for _, kind := range kinds {
		req := mcpserver.Request{TypeURL: "networking.istio.io/v1/" + kind.Kind, Node: &mcpserver.Node{ID: c.name, Revision: c.revision}}
		if c.delta {
			req.Initial = map[string]string{}
			for key, r := range s.held {
				if key.Kind == kind {
					req.Initial[key.Name] = r.Version
				}
			}
		}
		s.request(req)
	}
}

// cut ends the connection. What was on its way is lost.
func (s *walkStream) cut() {
	if s.session != nil { // as mcpserver.Server remembers it
		if s.routed || s.former == nil || s.leftWorld != s.replica.world {
			s.former, s.leftWorld = s.session, s.replica.world
		}
		s.left = s.client.w.now
	}
	s.session, s.replica = nil, nil
	s.epoch++
	s.client.returned = true
}

// returns has the stream connect again after some time.
func (s *walkStream) returns(after time.Duration) {
	epoch := s.epoch
	s.client.w.after(after, func() {
		if s.epoch == epoch {
			s.connect()
		}
	})
}

func (s *walkStream) request(req mcpserver.Request) {
	res, err := s.session.Request(req, s.client.w.now)
	if err != nil {
		s.client.w.t.Fatalf("%s: %v", s, err)
	}
	s.receive(res)
}

// wake has the session look at the newest state soon, as the pacer does.
func (s *walkStream) wake() {
	if s.waking {
		return
	}
	s.waking = true
	epoch := s.epoch
	delay := time.Duration(0)
	if s.client.w.chance(30) {
		delay = s.client.w.between(0, 200*time.Millisecond)
	}
	s.client.w.after(delay, func() {
		if s.epoch == epoch {
			s.update()
		}
	})
}

func (s *walkStream) update() {
	s.waking, s.snapAt = false, s.client.w.now
	snap, _ := s.replica.world.store.Snapshot()
	s.receive(s.session.Update(snap, s.client.w.now))
	s.current()
	s.client.judge.look()
}

// current notes that the ServiceEntries are those of the newest state, if none is on its way.
func (s *walkStream) current() {
	if s.unread == 0 && s.begun {
		s.entries = s.snapAt
	}
}

// receive takes responses over the wire, and plans when the client applies and when it acknowledges each, in their order.
func (s *walkStream) receive(res mcpserver.Result) {
	w := s.client.w
	for _, resp := range res.Responses {
		d := walkDelivery{kind: resp.Kind, typeURL: resp.TypeURL, nonce: resp.Nonce, at: s.snapAt, removed: slices.Clone(resp.Removed)}
		if s.client.delta {
			d.put = slices.Clone(resp.Upserts)
		} else {
			d.whole, d.put = true, slices.Collect(resp.Resources())
		}
		if d.kind == store.ServiceEntry {
			s.unread++
		}
		delay := w.delay()
		begin := s.last
		if begin.Before(w.now) {
			begin = w.now
		}
		applied := begin.Add(time.Duration(float64(delay) * w.rand.Float64()))
		s.last = begin.Add(delay)
		epoch := s.epoch
		w.at(applied, func() {
			if s.epoch == epoch {
				s.apply(d)
			}
		})
		w.at(s.last, func() {
			if s.epoch == epoch {
				s.acknowledge(d)
			}
		})
	}
	s.plan()
}

// plan has the session look again when what it holds back is due.
func (s *walkStream) plan() {
	at, ok := s.session.Deadline()
	if !ok || s.alarm.Equal(at) {
		return
	}
	s.alarm = at
	epoch := s.epoch
	s.client.w.at(at, func() {
		if s.epoch == epoch && s.alarm.Equal(at) {
			s.alarm = time.Time{}
			s.update()
		}
	})
}

// walkDelivery is a response on its way.
type walkDelivery struct {
	kind    store.Kind
	typeURL string
	nonce   string
	at      time.Time // of the state that it is taken from
	whole   bool
	put     []*store.Resource
	removed []string
}

func (s *walkStream) apply(d walkDelivery) {
	if d.whole {
		maps.DeleteFunc(s.held, func(key store.Key, _ *store.Resource) bool { return key.Kind == d.kind })
	}
	for _, r := range d.put {
		if d.whole && s.held[r.Key] != nil {
			s.client.w.fault("two resources of one key", "%s is sent %s %s twice in one state", s, r.Kind.Kind, r.Name)
		}
		s.held[r.Key] = r
	}
	for _, name := range d.removed {
		delete(s.held, store.Key{Kind: d.kind, Name: name})
	}
	if d.kind == store.ServiceEntry {
		s.from, s.entries, s.begun = s.replica, d.at, true
	}
	if len(d.put)+len(d.removed) > 0 {
		s.client.w.tell("%s applies %s", s, d)
	}
	s.client.judge.changed()
	s.client.judge.look()
}

func (s *walkStream) acknowledge(d walkDelivery) {
	if d.kind == store.ServiceEntry {
		s.unread--
	}
	if d.kind == store.VirtualService && !s.routed {
		s.routed = true
		if s.leftWorld == s.replica.world {
			s.former = nil
		}
	}
	s.request(mcpserver.Request{TypeURL: d.typeURL, Nonce: d.nonce})
	s.current()
	s.client.judge.look()
}

func (d walkDelivery) String() string {
	var names []string
	for _, r := range d.put {
		names = append(names, r.Name+"@"+r.Version[:4])
	}
	return fmt.Sprintf("%s %v without %v", d.kind.Kind, names, d.removed)
}

func (s *walkStream) String() string {
	if s.shard.Of > 1 {
		return fmt.Sprintf("%s shard %d", s.client.name, s.shard.Index)
	}
	return s.client.name
}

// settled reports whether the client has been sent and has acknowledged all that is there.
func (c *walkClient) settled() bool {
	for _, s := range c.streams {
		if s.session == nil || s.waking {
			return false
		}
		if _, busy := s.session.Busy(); busy {
			return false
		}
	}
	return c.lacks() == ""
}

// lacks says in what a client differs from the state that is there, or "".
func (c *walkClient) lacks() string {
	for _, s := range c.streams {
		snap, _ := s.replica.world.store.Snapshot()
		n := 0
		for _, kind := range store.Kinds() {
			for r := range snap.All(kind, s.shard) {
				if rev := r.Revision(); rev != "" && rev != c.revision {
					continue
				}
				n++
				if has := s.held[r.Key]; has == nil || has.Version != r.Version {
					return fmt.Sprintf("%s does not hold the newest %s %s", s, kind.Kind, r.Name)
				}
			}
		}
		if n != len(s.held) {
			return fmt.Sprintf("%s holds %d resources, of %d that are there", s, len(s.held), n)
		}
	}
	return ""
}
