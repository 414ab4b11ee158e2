package mcpserver

import (
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"meshbridge/mcpserver/store"
)

// subscribing is how long a stream is given to ask for the kinds that another kind's resources need.
const subscribing = time.Second

// meshConfig is the one kind that is never answered: istiod does not wait for it, and some versions choke on an answer.
var meshConfig = store.Kind{Group: "core", Kind: "MeshConfig"}

// SessionConfig is what a Session is made of.
type SessionConfig struct {
	View  View // the revision is filled in from the first request
	Delta bool // the incremental protocol
	// Settle is how long a client must have held what a resource Needs before it is sent the resource, and how long it keeps
	// that after it has ceased to hold the resource.
	Settle time.Duration
	Retain time.Duration // what has been there for this long is taken to be known to a new client
	// Since is when this process began: nothing is known to have been unchanged for longer.
	Since time.Time
}

// Session decides what one stream is sent. It is pure and has one owner: requests, snapshots and time go in, responses come
// out. Kinds of ours are withheld until the snapshot is open; any other kind is answered with nothing, at once.
type Session struct {
	cfg   SessionConfig
	start time.Time // of the stream
	node  Node

	snap    *store.Snapshot
	subs    []*subscription // by the order of store.Kinds; nil: not asked for
	uses    uses
	foreign map[string]string // type URL of other kinds to the nonce of their empty answer; "" once that was acknowledged
	nonce   int
	nacks   int
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
		uses: uses{by: map[store.Need]*use{}},
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
		return s.answerForeign(req)
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

// subscribe adds a kind. What waits may need the new one, of which the client was taken to know enough until now: a first
// state that has not been sent begins again.
func (s *Session) subscribe(i int, sub *subscription) {
	for _, other := range s.subs {
		if other != nil && !other.sent {
			other.base, other.count, other.needing = nil, 0, nil
			clear(other.held)
		}
	}
	s.subs[i] = sub
}

// answerForeign answers the first request of a kind that is not ours with nothing: istiod waits for every kind.
func (s *Session) answerForeign(req Request) (Result, error) {
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
	nonce := s.nextNonce()
	s.foreign[req.TypeURL] = nonce
	return Result{Responses: []*Response{{TypeURL: req.TypeURL, Nonce: nonce, Delta: s.cfg.Delta, Foreign: true}}}, nil
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
		sub.refuse(d, s.cfg.Delta, req.Error, now, &s.uses)
	} else {
		sub.accept(d, s.cfg.Delta, now, &s.uses)
		if !d.first {
			res.Acked = d.upserts
		}
	}
	sub.forget(now.Add(-s.cfg.Settle))
	s.uses.forget(now.Add(-s.cfg.Settle))
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
	for i, sub := range s.subs {
		if sub == nil || sub.base == nil {
			continue
		}
		// What cannot move yet, because a kind before it has not been acknowledged, waits for that.
		if target := s.target(i); target != nil && target.Generation >= sub.base.Generation {
			next = sub.deadline(next)
		}
	}
	return next, !next.IsZero()
}

// step sends what may be sent: each kind moves to the newest snapshot that all kinds before it have been acknowledged at.
// So the upserts of a state go out in the order of the kinds, and what a kind removes waits for the kinds after it.
func (s *Session) step(now time.Time) []*Response {
	var out []*Response
	for again := true; again; {
		again = false
		for i := range s.subs {
			resp, moved := s.advance(i, now)
			if resp != nil {
				out = append(out, resp)
			}
			again = again || moved
		}
	}
	return out
}

// target is the snapshot that a kind may move to: the oldest at which the kinds before it were acknowledged. It is nil while
// one of them has not been.
func (s *Session) target(i int) *store.Snapshot {
	target := s.snap
	for _, sub := range s.subs[:i] {
		switch {
		case sub == nil:
		case sub.acked == nil:
			return nil
		case sub.acked.Generation < target.Generation:
			target = sub.acked
		}
	}
	return target
}

// advance moves one kind, and reports whether that may let another one move.
func (s *Session) advance(i int, now time.Time) (resp *Response, moved bool) {
	sub := s.subs[i]
	if sub == nil || sub.inflight != nil {
		return nil, false
	}
	target := s.target(i)
	if target == nil || !target.Open {
		return nil, false
	}
	if !sub.sent {
		if was := sub.lacking; sub.base == nil && !s.begin(sub, target, now) {
			return nil, sub.lacking != was
		}
		if now.Before(sub.due) {
			return nil, false
		}
		return s.first(sub, now), true
	}
	if target.Generation < sub.base.Generation {
		return nil, false // it has skipped ahead
	}
	c := s.move(i, target, now)
	if c.empty() {
		moved = sub.acked != target
		sub.acked = target
		return nil, moved
	}
	return s.send(sub, c, now), true
}

// begin fixes the first state of a kind on this stream. The client is taken to hold an older one, in which resources may
// lack what the new ones need: then the whole kind waits, since leaving a resource out would remove it. It is fixed later,
// and begin reports false, while the client does not hold what it will come to hold of that state.
func (s *Session) begin(sub *subscription, target *store.Snapshot, now time.Time) bool {
	sub.due, sub.count, sub.needing, sub.lacking = now, 0, nil, nil
	for r := range target.All(sub.kind, s.cfg.View.Shard) {
		if s.cfg.View.visible(r) == nil {
			continue
		}
		if len(r.Needs) > 0 {
			w := s.readyAt(r, target)
			if w.lacks && s.comes(w.need, r, target) {
				clear(sub.held)
				sub.lacking, sub.need = r, w.need
				return false
			}
			if w.lacks {
				sub.hold(r.Name, &hold{want: r, next: r, need: w.need})
				continue
			}
			if w.at.After(sub.due) {
				sub.due, sub.need = w.at, w.need
			}
			sub.needing = append(sub.needing, r)
		}
		sub.count++
	}
	sub.base = target
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
	for _, r := range sub.needing {
		s.uses.add(r)
	}
	sub.needing = nil
	resp := s.respond(sub, c, now)
	resp.First, resp.Removed, sub.inflight.first = true, vanished, true
	return resp
}

// send makes the response that takes a kind to its base and what it holds back, and counts what that needs.
func (s *Session) send(sub *subscription, c change, now time.Time) *Response {
	for _, r := range c.upserts {
		s.uses.add(r)
	}
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
