package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	dialTimeout = 3 * time.Second
	// handshakeTimeout bounds the wait for a server that accepts connections and then says nothing, such as a suspended one.
	handshakeTimeout = 5 * time.Second
	dialRetryMax     = 5 * time.Second
)

// errClosed is returned to a client that dials after it was closed.
var errClosed = errors.New("connection is closed")

// session is one connection with one session. It is used until it breaks and never mended: nothing of ours lives in a
// session, and only reading everything anew leaves no window. A client that resumes a session re-arms its watches as of
// the newest transaction that it has seen, which answers to requests of the new connection may already have moved past
// a change.
type session struct {
	ctx     context.Context // ends when the session is lost; its cause says why
	watches *watches
	cancel  context.CancelCauseFunc
	ended   chan struct{} // closed when nothing of the connection runs any more
}

// close ends the session and waits for all that it started.
func (s *session) close() {
	s.cancel(errClosed)
	<-s.ended
}

// open connects to the ensemble and returns a session that is authenticated and sees everything that was written before.
// Until then it calls failed for each attempt that was in vain. It returns an error when ctx ends, or when the failure
// is not one of connecting.
func (s *Source) open(ctx context.Context, failed func(error)) (*session, error) {
	tlsConfig, err := s.cfg.TLS.Load()
	if err != nil {
		return nil, err
	}
	sctx, cancel := context.WithCancelCause(ctx)
	d := &dialer{
		ctx: sctx, tls: tlsConfig, hosts: newHosts(sctx, s.servers, net.DefaultResolver.LookupHost), failed: make(chan error, 1),
		handshake: min(handshakeTimeout, s.cfg.SessionTimeout),
	}
	sess := &session{ctx: sctx, cancel: cancel, ended: make(chan struct{})}
	up := make(chan struct{})
	var ready sync.Once
	var watches atomic.Pointer[watches]
	callback := func(ev zk.Event) {
		switch {
		case ev.Type != zk.EventSession:
			if w := watches.Load(); w != nil {
				w.event(ev)
			}
		case ev.State == zk.StateHasSession:
			d.established()
			ready.Do(func() { close(up) })
		case ev.State == zk.StateExpired:
			cancel(zk.ErrSessionExpired)
		case ev.State == zk.StateAuthFailed:
			cancel(zk.ErrAuthFailed)
		case ev.State == zk.StateDisconnected && !d.lost(ev.Server):
			cancel(fmt.Errorf("connection to %s is lost", ev.Server))
		}
	}
	conn, events, err := zk.Connect(s.servers, s.cfg.SessionTimeout,
		zk.WithDialer(d.dial), zk.WithHostProvider(d.hosts), zk.WithEventCallback(callback),
		zk.WithLogger(debugLog{s.log}))
	if err != nil {
		cancel(err)
		return nil, fmt.Errorf("connect: %w", err)
	}
	sess.watches = newWatches(conn)
	watches.Store(sess.watches)
	go func() {
		defer close(sess.ended)
		<-sctx.Done()
		if !errors.Is(context.Cause(sctx), errClosed) { // lost: nobody is there to take leave of
			d.abort()
		}
		conn.Close()
		d.abort()
		for range events { // closed by the client's last goroutine
		}
	}()
	if err := sess.begin(conn, s.cfg.Auth, up, d.failed, failed); err != nil {
		sess.close()
		return nil, err
	}
	return sess, nil
}

// begin waits for the session, shows the identity, and has the server catch up with the ensemble, so that a connection to
// a server that lags behind the one before does not turn time back.
func (s *session) begin(conn *zk.Conn, auth Auth, up <-chan struct{}, failures <-chan error, failed func(error)) error {
	for connected := false; !connected; {
		select {
		case <-up:
			connected = true
		case err := <-failures:
			failed(err)
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
	if auth.Credentials != "" {
		if err := conn.AddAuth(auth.Scheme, []byte(auth.Credentials.Reveal())); err != nil {
			return s.why("authenticate by "+auth.Scheme, err)
		}
	}
	if _, err := conn.Sync("/"); err != nil {
		return s.why("sync", err)
	}
	return nil
}

// why prefers the reason for which the session ended to that of the request that noticed.
func (s *session) why(act string, err error) error {
	if s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	}
	return fmt.Errorf("%s: %w", act, err)
}

// dialer makes the TCP and TLS connections of one client and paces them.
type dialer struct {
	ctx       context.Context
	tls       *tls.Config
	hosts     *hosts
	handshake time.Duration
	failed    chan error // the last failure that nobody has looked at

	mu       sync.Mutex
	current  *boundConn // guarded by mu
	attempts int        // in vain, one after the other; guarded by mu
	up       bool       // a session was had; guarded by mu
}

// dial implements [zk.Dialer]. After a failed time round all servers it waits, longer each time.
func (d *dialer) dial(network, address string, _ time.Duration) (net.Conn, error) {
	d.mu.Lock()
	rounds := d.attempts / max(d.hosts.Len(), 1)
	d.attempts++
	d.mu.Unlock()
	if rounds > 0 {
		timer := time.NewTimer(backoff(rounds, retryMin, dialRetryMax))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-d.ctx.Done():
		}
	}
	if d.ctx.Err() != nil {
		return nil, errClosed
	}
	conn, err := d.connect(network, address)
	if err != nil {
		d.fail(fmt.Errorf("connect to %s: %w", d.describe(address), err))
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current = conn
	if d.ctx.Err() != nil { // abort came before there was something to abort
		conn.Close()
	}
	return conn, nil
}

func (d *dialer) connect(network, address string) (*boundConn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, dialTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if d.tls == nil {
		return &boundConn{Conn: raw, bound: d.handshake}, nil
	}
	config := d.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = d.hosts.name(address)
	}
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &boundConn{Conn: secure, bound: d.handshake}, nil
}

// describe names a server by what was configured and what it was resolved to.
func (d *dialer) describe(address string) string {
	host, _, err := net.SplitHostPort(address)
	if name := d.hosts.name(address); err == nil && name != "" && name != host {
		return name + " (" + address + ")"
	}
	return address
}

// fail leaves a failure for open to see, in place of one that it has not seen.
func (d *dialer) fail(err error) {
	select {
	case <-d.failed: //nolint:errcheck // the newer one stands
	default:
	}
	select {
	case d.failed <- err:
	default:
	}
}

// established says that the server answered the handshake.
func (d *dialer) established() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.up = true
	if d.current != nil {
		d.current.unbound.Store(true)
	}
}

// lost reports whether a connection that broke never had a session, which is one more attempt in vain.
func (d *dialer) lost(address string) bool {
	d.mu.Lock()
	up := d.up
	d.mu.Unlock()
	if !up {
		d.fail(fmt.Errorf("connect to %s: the server closed the connection or kept silent: it may be without a quorum, or out of connections", d.describe(address)))
	}
	return !up
}

// abort breaks what is under way.
func (d *dialer) abort() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != nil {
		d.current.Close()
	}
}

// boundConn bounds the client's deadlines during the handshake: its own are ten times the session timeout.
type boundConn struct {
	net.Conn
	bound   time.Duration
	unbound atomic.Bool
}

func (c *boundConn) clamp(t time.Time) time.Time {
	if limit := time.Now().Add(c.bound); !c.unbound.Load() && t.After(limit) {
		return limit
	}
	return t
}

// SetReadDeadline sets the deadline, or the end of the handshake's time if that is sooner.
func (c *boundConn) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.clamp(t)) }

// SetWriteDeadline sets the deadline, or the end of the handshake's time if that is sooner.
func (c *boundConn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.clamp(t)) }

// debugLog takes the client's log, which tells nothing that is not reported as a state.
type debugLog struct{ log *slog.Logger }

func (l debugLog) Printf(format string, args ...any) {
	l.log.Debug(fmt.Sprintf(format, args...), "component", "zookeeper client")
}
