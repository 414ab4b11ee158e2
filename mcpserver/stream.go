package mcpserver

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"meshbridge/mcpserver/store"
)

// stream is one client's stream. Its session is owned by serve.
type stream struct {
	server    *Server
	peer      string
	authority string
	delta     bool
	since     time.Time
	view      View
	recv      func() (Request, error)
	send      func(*frame) error
	retimed   chan struct{} // size 1: the server's times have changed

	mu      sync.Mutex // for those who look on; not held while sending
	session *Session   // nil until the first request

	// Owned by serve.
	member *member
	pacer  *pacer
	queue  []*frame          // to be sent: one of each kind at most
	nacks  map[string]string // last refusal of each type, so that it is logged once
	asked  bool              // a turn has been asked for since the last one
	back   bool              // the client has acknowledged its first routes
}

// serve runs the stream until the client leaves, stalls or errs, the stream is too old, or the server drains. It starts two
// pumps, which end when it has returned; the server waits for them.
func (st *stream) serve(ctx context.Context) error {
	requests, outbox, failed := make(chan Request), make(chan *frame), make(chan error, 2)
	st.pump(failed, func() error { return st.receive(ctx, requests) })
	st.pump(failed, func() error { return st.transmit(ctx, outbox) })
	defer st.leave()

	age := st.since.Add(st.server.age())
	draining, leaving := st.server.draining, false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var out chan<- *frame
		var next *frame
		if len(st.queue) > 0 {
			out, next = outbox, st.queue[0]
		} else if leaving && !st.busy() {
			return status.Error(codes.Unavailable, "the server asks the client to connect again")
		}
		timer.Reset(time.Until(st.alarm(age, leaving)))
		// What can happen: room to send, a request, a turn in a burst, time, other times, the server's end, the client's.
		select {
		case out <- next:
			st.queue[0] = nil
			st.queue = st.queue[1:]
		case req := <-requests:
			if err := st.request(req); err != nil {
				return err
			}
		case <-st.woken(leaving):
			st.asked = false
			st.update(st.pacer.take(st.member))
		case <-timer.C:
			now := time.Now()
			if err := st.stalled(now); err != nil {
				return err
			}
			leaving = leaving || !now.Before(age)
			st.turn(now)
		case <-st.retimed:
			st.mu.Lock()
			st.retime()
			st.mu.Unlock()
		case <-draining:
			draining, leaving = nil, true
		case err := <-failed:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pump runs f in a goroutine of the server.
func (st *stream) pump(failed chan<- error, f func() error) {
	st.server.pumps.Go(func() {
		failed <- st.server.guard(f)
	})
}

func (st *stream) receive(ctx context.Context, requests chan<- Request) error {
	for {
		req, err := st.recv()
		if err != nil {
			return err
		}
		select {
		case requests <- req:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (st *stream) transmit(ctx context.Context, outbox <-chan *frame) error {
	for {
		select {
		case f := <-outbox:
			if err := st.send(f); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// woken is the channel of turns, or nil while there is none to wait for.
func (st *stream) woken(leaving bool) <-chan struct{} {
	if st.member == nil || leaving {
		return nil
	}
	return st.member.wake
}

// alarm is the next time at which the stream must look at the clock.
func (st *stream) alarm(age time.Time, leaving bool) time.Time {
	next := st.since.Add(st.server.cfg.Stall)
	if st.session != nil {
		next = age
		if leaving {
			next = age.Add(st.server.opts.MaxAge)
		}
		if since, busy := st.session.Busy(); busy {
			next = earlier(next, since.Add(st.server.cfg.Stall))
		}
		if at, ok := st.session.Deadline(); ok && !st.asked {
			next = earlier(next, at)
		}
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// stalled returns an error if the client has not said in time what it was to say.
func (st *stream) stalled(now time.Time) error {
	stall := st.server.cfg.Stall
	if st.session == nil {
		if now.Sub(st.since) < stall {
			return nil
		}
		return status.Errorf(codes.DeadlineExceeded, "no request within %s", stall)
	}
	if since, busy := st.session.Busy(); busy && now.Sub(since) >= stall {
		st.server.metrics.stalls.Inc()
		st.server.opts.Log.Warn("an MCP client does not acknowledge; its stream is closed",
			"node", st.session.node.ID, "peer", st.peer, "authority", st.authority, "since", since)
		return status.Errorf(codes.DeadlineExceeded, "a response was not acknowledged within %s", stall)
	}
	return nil
}

// turn asks the pacer for one if something held back has settled.
func (st *stream) turn(now time.Time) {
	if st.session == nil || st.asked {
		return
	}
	if at, ok := st.session.Deadline(); ok && !at.After(now) {
		st.asked = true
		st.pacer.due(st.member)
	}
}

func (st *stream) busy() bool {
	if st.session == nil {
		return false
	}
	_, busy := st.session.Busy()
	return busy
}

// unread reports whether the client may not have read all that it was sent.
func (st *stream) unread() bool {
	return st.session != nil && (len(st.queue) > 0 || st.session.Unread())
}

// request hands a request to the session, which the first one makes.
func (st *stream) request(req Request) error {
	now := time.Now()
	if st.session == nil {
		if err := req.Node.check(); err != nil {
			return err
		}
		st.join(*req.Node, req.Nonce, now)
	}
	st.mu.Lock()
	st.retime()
	res, err := st.session.Request(req, now)
	st.mu.Unlock()
	if err != nil {
		return err
	}
	if !st.back && st.session.begun() {
		st.back = true
		st.server.absent.back(st.key())
	}
	st.server.metrics.acked(res.Acked, now)
	if res.Nack != nil {
		st.refused(res.Nack)
	}
	st.enqueue(res, now)
	return nil
}

// update moves the session to a newer snapshot.
func (st *stream) update(snap *store.Snapshot) {
	now := time.Now()
	st.mu.Lock()
	st.retime()
	res := st.session.Update(snap, now)
	st.mu.Unlock()
	st.enqueue(res, now)
}

// retime takes over the times that a reload may have changed. A stream without a session begins it with those of then.
func (st *stream) retime() {
	if st.session == nil {
		return
	}
	t := st.server.times.Load()
	st.session.SetTimes(t.settle, t.retain)
}

// enqueue encodes what the session sends, and tells the pacer.
func (st *stream) enqueue(res Result, now time.Time) {
	for _, resp := range res.Responses {
		f := encode(resp, st.server.bodies)
		st.mu.Lock()
		resp.Sent(f.version, f.bytes)
		st.mu.Unlock()
		st.server.metrics.pushed(resp.Kind, f.bytes)
		st.queue = append(st.queue, f)
	}
	st.pacer.report(st.member, st.busy(), now)
}

func (st *stream) join(node Node, nonce string, now time.Time) {
	st.view.Revision = node.Revision
	st.member = &member{wake: make(chan struct{}, 1), view: st.view}
	snap, _ := st.server.source.Snapshot()
	st.pacer, snap = st.server.join(pacerKey{node: node.ID, host: hostOf(st.peer)}, st.member, snap, now)
	t := st.server.times.Load()
	session := NewSession(SessionConfig{
		View: st.view, Delta: st.delta, Settle: t.settle, Retain: t.retain, Since: st.server.began,
		Before: st.server.before(st.view).of(nonce, now), Reconnect: min(3*t.settle, maxReconnect), Rest: restOf(nonce),
	}, snap, now)
	st.mu.Lock()
	st.session = session
	st.mu.Unlock()
	st.server.opts.Log.Debug("an MCP client has connected",
		"node", node.ID, "peer", st.peer, "authority", st.authority, "revision", node.Revision, "protocol", protocolName(st.delta))
}

// key tells the streams of one client from those of others.
func (st *stream) key() clientKey {
	return clientKey{node: st.session.node.ID, authority: st.authority}
}

func (st *stream) leave() {
	if st.member != nil {
		st.server.leave(st.pacer, st.member)
		st.server.absent.leave(st.key(), st.session, time.Now(), st.server.times.Load().retain)
	}
}

// refused counts a NACK, and logs it unless the client said the same before.
func (st *stream) refused(n *Nack) {
	kind, _ := store.KindOf(n.TypeURL)
	if !ours(kind) {
		kind = store.Kind{}
	}
	st.server.metrics.nacks.WithLabelValues(kindLabel(kind)).Inc()
	message := n.Message[:min(len(n.Message), 1000)]
	if last, ok := st.nacks[n.TypeURL]; ok && last == message {
		return
	}
	if st.nacks == nil {
		st.nacks = map[string]string{}
	}
	st.nacks[n.TypeURL] = message
	st.server.opts.Log.Warn("an MCP client refused a response",
		"node", st.session.node.ID, "peer", st.peer, "type", n.TypeURL, "version", n.Version, "message", message)
}
