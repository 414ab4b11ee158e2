package mcpserver

import (
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"meshbridge/mcpserver/store"
)

// meshConfig is the one kind that is never answered: istiod does not wait for it, and some versions choke on an answer.
var meshConfig = store.Kind{Group: "core", Kind: "MeshConfig"}

// SessionConfig is what a Session is made of.
type SessionConfig struct {
	View  View // the revision is filled in from the first request
	Delta bool // the incremental protocol
	// Settle is how long a client must have held what a VirtualService refers to before it is sent that.
	Settle time.Duration
	Retain time.Duration // what has been there for this long is taken to be known to a new client
	// Since is when this process began: nothing is known to have been unchanged for longer.
	Since time.Time
	// Before is the last stream with the same view, if the client is a process that has begun since that ended: proxies have yet
	// to come back to it, and hold what that was sent.
	Before Predecessor
	// Reconnect is how long proxies may take to come back.
	Reconnect time.Duration
	// Rest is how long after the last first ACK the kinds that are not ours are answered; 0: at once.
	Rest time.Duration
}

// Session decides what one stream is sent. It is pure and has one owner: requests, snapshots and time go in, responses come
// out. Kinds of ours are withheld until the snapshot is open; any other kind is answered with nothing, at once or after Rest.
type Session struct {
	cfg   SessionConfig
	start time.Time // of the stream
	node  Node

	snap       *store.Snapshot
	subs       []*subscription   // by the order of store.Kinds; nil: not asked for
	foreign    map[string]string // type URL of other kinds to the nonce of their empty answer; "" once that was acknowledged
	unanswered []string          // those whose answer waits
	nonce      int
	nacks      int
	back       time.Time // when proxies may be taken to have come back to the client; zero: they never left
}

// Result is what came of a request, a snapshot or the passing of time.
type Result struct {
	Responses []*Response
	Acked     []*store.Resource // what the client has just acknowledged, apart from its first full state
	Nack      *Nack             // the client refused a response
}

// Nack is a client's refusal.
type Nack struct {
	TypeURL, Nonce, Version, Message string
}

// NewSession makes the session of a stream that began now, on the newest snapshot.
func NewSession(cfg SessionConfig, snap *store.Snapshot, now time.Time) *Session {
	cfg.Retain = max(cfg.Retain, cfg.Settle) // what came within settle has not settled anywhere
	return &Session{
		cfg: cfg, start: now, snap: snap,
		subs: make([]*subscription, len(store.Kinds())), foreign: map[string]string{},
	}
}

// Request takes a client's request. An error is a gRPC status that ends the stream.
func (s *Session) Request(req Request, now time.Time) (Result, error) {
	if s.node.ID == "" {
		if err := req.Node.check(); err != nil {
			return Result{}, err
		}
		s.node = *req.Node
		s.cfg.View.Revision = req.Node.Revision
	}
	if err := req.check(); err != nil {
		return Result{}, err
	}
	kind, ok := store.KindOf(req.TypeURL)
	if ok && kind == meshConfig {
		return Result{}, nil
	}
	i := slices.Index(store.Kinds(), kind)
	if !ok || i < 0 {
		return s.answerForeign(req, now)
	}
	sub := s.subs[i]
	if sub == nil {
		s.subscribe(i, newSubscription(kind, req))
		return Result{Responses: s.step(now)}, nil
	}
	if sub.typeURL != req.TypeURL {
		return Result{}, status.Errorf(codes.InvalidArgument, "%s was asked for as %s before; one stream follows a kind once", req.TypeURL, sub.typeURL)
	}
	return s.answered(sub, req, now), nil
}

// subscribe adds a kind. What waits may refer to the new one, of which the client was taken to know enough until now: a first
// state that has not been sent begins again.
func (s *Session) subscribe(i int, sub *subscription) {
	for _, other := range s.subs {
		if other != nil && !other.sent {
			other.base, other.count = nil, 0
		}
	}
	s.subs[i] = sub
}

// SetTimes replaces Settle and Retain. What waits already is judged by the new ones.
func (s *Session) SetTimes(settle, retain time.Duration) {
	retain = max(retain, settle)
	if s.cfg.Settle == settle && s.cfg.Retain == retain {
		return
	}
	s.cfg.Settle, s.cfg.Retain = settle, retain
	for _, sub := range s.subs {
		if sub == nil {
			continue
		}
		if !sub.sent && sub.base != nil {
			s.begin(sub, sub.base)
		}
		for _, h := range sub.held {
			h.wait = s.ready(h.next)
		}
	}
}

// of is the subscription of a kind, or nil.
func (s *Session) of(kind store.Kind) *subscription {
	if i := slices.Index(store.Kinds(), kind); i >= 0 {
		return s.subs[i]
	}
	return nil
}

// answerForeign answers the first request of a kind that is not ours with nothing: istiod waits for every kind. The answer may
// have to wait.
func (s *Session) answerForeign(req Request, now time.Time) (Result, error) {
	if nonce, ok := s.foreign[req.TypeURL]; ok {
		if nonce == "" || req.Nonce != nonce {
			return Result{}, nil
		}
		s.foreign[req.TypeURL] = ""
		if req.Rejected {
			s.nacks++
			return Result{Nack: &Nack{TypeURL: req.TypeURL, Nonce: nonce, Message: req.Error}}, nil
		}
		return Result{}, nil
	}
	if len(s.foreign) >= maxTypes {
		return Result{}, status.Errorf(codes.ResourceExhausted, "the stream asks for more than %d types", maxTypes)
	}
	s.foreign[req.TypeURL] = "none yet"
	s.unanswered = append(s.unanswered, req.TypeURL)
	return Result{Responses: s.others(now)}, nil
}

// answered takes a request for a kind that the stream follows already: an ACK or NACK of what is in flight, or stale.
func (s *Session) answered(sub *subscription, req Request, now time.Time) Result {
	d := sub.inflight
	if d == nil || req.Nonce != d.nonce {
		return Result{}
	}
	var res Result
	if req.Rejected {
		s.nacks++
		res.Nack = &Nack{TypeURL: sub.typeURL, Nonce: d.nonce, Version: d.version, Message: req.Error}
		sub.answer(d, &req.Error, now, s.cfg.Settle)
	} else {
		sub.answer(d, nil, now, s.cfg.Settle)
		if !d.first {
			res.Acked = d.upserts
		}
	}
	if d.first && s.cfg.Before.Session != nil {
		s.back = now.Add(s.cfg.Reconnect)
	}
	res.Responses = s.step(now)
	return res
}

// Update takes a newer snapshot, and sends what may be sent by now.
func (s *Session) Update(snap *store.Snapshot, now time.Time) Result {
	s.snap = snap
	return Result{Responses: s.step(now)}
}

// Busy reports whether a response awaits its ACK, and since when the oldest has.
func (s *Session) Busy() (since time.Time, busy bool) {
	for _, sub := range s.subs {
		if sub != nil && sub.inflight != nil && (!busy || sub.inflight.at.Before(since)) {
			since, busy = sub.inflight.at, true
		}
	}
	return since, busy
}

// Unread reports whether any response, of whatever kind, has not been acknowledged.
func (s *Session) Unread() bool {
	for _, nonce := range s.foreign {
		if nonce != "" {
			return true
		}
	}
	_, busy := s.Busy()
	return busy
}

// Deadline is when Update is due although nothing changes, because something held back has settled; false: never.
func (s *Session) Deadline() (time.Time, bool) {
	var next time.Time
	for _, sub := range s.subs {
		if sub != nil {
			next = sub.deadline(next)
		}
	}
	if len(s.unanswered) > 0 {
		if at, ok := s.rested(); ok && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, !next.IsZero()
}

// step sends what may be sent.
func (s *Session) step(now time.Time) []*Response {
	out := s.others(now)
	if !s.snap.Open {
		return out
	}
	for again := true; again; {
		again = false
		for _, sub := range s.subs {
			if sub == nil || sub.inflight != nil {
				continue
			}
			resp, moved := s.advance(sub, now)
			if resp != nil {
				out = append(out, resp)
			}
			again = again || moved // it may be what another kind waits for
		}
	}
	return out
}

// advance takes one kind to the newest snapshot, and reports whether the client has reached a newer one without being sent
// anything.
func (s *Session) advance(sub *subscription, now time.Time) (resp *Response, moved bool) {
	if !sub.sent {
		if sub.base == nil && !s.begin(sub, s.acknowledged(sub.kind)) || now.Before(sub.due) {
			return nil, false
		}
		return s.first(sub, now), false
	}
	c := s.move(sub, s.snap, now)
	if !c.empty() {
		return s.send(sub, c, now), false
	}
	return nil, sub.note(s.snap, now, s.cfg.Settle)
}

// acknowledged is the newest state, or the one that the client has come to in the kinds that a kind refers to: with that its
// first state can begin, however fast newer ones come.
func (s *Session) acknowledged(kind store.Kind) *store.Snapshot {
	state := s.snap
	for _, kind := range before(kind) {
		if sub := s.of(kind); sub != nil && len(sub.acks) > 0 {
			if last := sub.acks[len(sub.acks)-1].state; last.Generation < state.Generation {
				state = last
			}
		}
	}
	return state
}

// begin fixes the first state of a kind on this stream. The client is taken to hold an older one, in which resources may lack
// what the new ones refer to: then the whole kind waits for their gates, since leaving a resource out would remove it. Where
// the session before is known, the resource has the value of then in place of waiting.
func (s *Session) begin(sub *subscription, snap *store.Snapshot) bool {
	due, count := s.start, 0
	sub.lacks = store.Kind{}
	clear(sub.held)
	for r := range snap.All(sub.kind, s.cfg.View.Shard) {
		if s.cfg.View.visible(r) == nil {
			continue
		}
		count++
		w := s.ready(r)
		if sub.lacks = w.lacks; w.lacks != (store.Kind{}) {
			return false
		}
		if s.cfg.Before.Session != nil && w.until.After(s.start) {
			h := &hold{want: r, next: r, wait: w, former: s.cfg.Before.had(r.Key, r.Host)}
			if h.former == nil {
				count--
			}
			sub.held[r.Name] = h
			continue
		}
		due = later(due, w.until)
	}
	sub.base, sub.due, sub.count = snap, due, count
	return true
}

// first sends the first state of a kind.
func (s *Session) first(sub *subscription, now time.Time) *Response {
	var c change
	var vanished []string
	if s.cfg.Delta {
		names := sub.initial
		sub.initial = nil
		have := make(map[string]bool, len(names))
		for r := range s.state(sub) {
			if v, ok := names[r.Name]; ok {
				have[r.Name] = true
				if v == r.Version {
					continue
				}
			}
			c.upserts = append(c.upserts, r)
		}
		for name := range names {
			if !have[name] {
				vanished = append(vanished, name)
			}
		}
		slices.Sort(vanished)
	}
	sub.sent = true
	resp := s.respond(sub, c, now)
	resp.First, resp.Removed, sub.inflight.first = true, vanished, true
	return resp
}

// send makes the response that takes a kind to its base, what is held back apart.
func (s *Session) send(sub *subscription, c change, now time.Time) *Response {
	resp := s.respond(sub, c, now)
	for _, r := range c.removed {
		resp.Removed = append(resp.Removed, r.Name)
	}
	return resp
}

func (s *Session) respond(sub *subscription, c change, now time.Time) *Response {
	nonce := s.nextNonce()
	sub.inflight = &delivery{change: c, nonce: nonce, at: now, target: sub.base}
	return &Response{
		TypeURL: sub.typeURL, Nonce: nonce, Kind: sub.kind, Delta: s.cfg.Delta,
		Upserts: c.upserts, View: s.cfg.View, Snapshot: sub.base, sub: sub, session: s,
	}
}

func (s *Session) nextNonce() string {
	s.nonce++
	return strconv.Itoa(s.nonce)
}
