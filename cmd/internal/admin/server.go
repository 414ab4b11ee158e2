// Package admin serves what operators ask of a running bridge over HTTP: health, metrics, profiles and the API of package
// api. Its invariant: nothing changes anything but a POST, which lets go what the guard holds back, and a DELETE, which has a
// canary document forgotten whose file has vanished; no request can hold up those who change what is served.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"meshbridge/cmd/internal/build"
	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// Snapshots is what is served.
type Snapshots interface {
	// Snapshot returns the present state and a channel that is closed when it no longer is.
	Snapshot() (*store.Snapshot, <-chan struct{})
}

// Sources tells how the sources are; a *sources.Mirror does.
type Sources interface {
	// Sources is the state of every source, sorted by name.
	Sources() []sources.SourceStatus
	// Waiting says what the gate still waits for; nothing once it is open.
	Waiting() []string
	// Release lets go what the guard holds back in a source; sources.ErrNoSource if there is none of that name.
	Release(source string) ([]sources.Released, error)
}

// Services tells what the registries' services became; a *convert.Converter does.
type Services interface {
	// Services are all hosts that services want, sorted.
	Services() []convert.ServiceView
	// Service is one of them.
	Service(host string) (convert.ServiceView, bool)
	// Rejected is what is not served as the registries say it, sorted.
	Rejected() []convert.Rejection
}

// Clients tells who is connected; a *mcpserver.Server does.
type Clients interface {
	// Clients lists the streams, sorted.
	Clients() []mcpserver.Client
}

// Canaries tells of the canary documents; a *convert.Converter does.
type Canaries interface {
	// Canaries are the documents that the files have, by name and file.
	Canaries() []convert.CanaryView
	// Preview is what would come of the entries if they took the place of those of the same names.
	Preview(ctx context.Context, entries []canary.Entry) (convert.CanaryPreview, error)
	// ForgetCanary forgets a document that is served though its file has vanished. The error says why it is not forgotten.
	ForgetCanary(team, name string) error
}

// noCanaries are those of a bridge without any.
type noCanaries struct{}

func (noCanaries) Canaries() []convert.CanaryView { return nil }
func (noCanaries) Preview(context.Context, []canary.Entry) (convert.CanaryPreview, error) {
	return convert.CanaryPreview{}, nil
}
func (noCanaries) ForgetCanary(string, string) error { return errors.New("there are no documents") }

// Options says where to listen and what to tell. All are set once.
type Options struct {
	Address       string         // host:port of the API; other than loopback only with Token or TLS
	Token         sources.Secret // the bearer token that every request must carry; "" asks for none
	TLS           *tls.Config    // nil: plain HTTP
	HealthAddress string         // host:port of a second listener for health and metrics alone; "" for none

	Snapshots Snapshots
	Sources   Sources
	Services  Services
	Clients   Clients
	Canaries  Canaries // nil: there are none, and ParseCanaries is not asked
	// ParseCanaries reads the text of a file of that name, "" where it has none, as if it were one of the files of canaries.
	ParseCanaries func(file string, data []byte) []canary.Entry
	Metrics       prometheus.Gatherer
	Build         build.Info
	Now           func() time.Time // nil: time.Now
	Log           *slog.Logger
}

// Limits on what one peer can make the server hold.
const (
	maxConnections  = 512
	maxHeaderBytes  = 16 << 10
	maxBodyBytes    = 1 << 20 // a file of canary documents
	headerTimeout   = 5 * time.Second
	readTimeout     = 10 * time.Second
	writeTimeout    = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 3 * time.Second
	maxStreams      = 64 // of events
)

// Server answers operators. Listen, then Run.
type Server struct {
	opts    Options
	streams chan struct{} // holds one for each event stream
	secret  atomic.Value  // of sources.Secret: the token of the moment

	// Set by Listen.
	main, health net.Listener
}

// New makes a server that does not listen yet. It refuses an address that others than this machine can reach when neither a
// token nor TLS is set.
func New(opts Options) (*Server, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Canaries == nil {
		opts.Canaries, opts.ParseCanaries = noCanaries{}, func(string, []byte) []canary.Entry { return nil }
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if err := CheckAddress(opts.Address, opts.Token != "" || opts.TLS != nil); err != nil {
		return nil, fmt.Errorf("admin.address: %w", err)
	}
	s := &Server{opts: opts, streams: make(chan struct{}, maxStreams)}
	s.secret.Store(opts.Token)
	return s, nil
}

// SetToken replaces the token; requests that are being answered go on. An address that others can reach keeps the token it
// has rather than none.
func (s *Server) SetToken(token sources.Secret) error {
	if err := CheckAddress(s.opts.Address, token != "" || s.opts.TLS != nil); err != nil {
		return fmt.Errorf("admin.token: %w", err)
	}
	s.secret.Store(token)
	return nil
}

func (s *Server) token() sources.Secret { return s.secret.Load().(sources.Secret) }

// CheckAddress says what is wrong with an address for the API, protected by a token or TLS or not.
func CheckAddress(address string, protected bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port: %w", address, err)
	}
	if !protected && !isLoopback(host) {
		return fmt.Errorf("%s can be reached from other machines: set admin.token, or listen on 127.0.0.1", address)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Listen opens the listeners.
func (s *Server) Listen(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.opts.Address)
	if err != nil {
		return fmt.Errorf("listen for the admin API: %w", err)
	}
	s.main = netutil.LimitListener(l, maxConnections)
	if s.opts.TLS != nil {
		s.main = tls.NewListener(s.main, s.opts.TLS)
	}
	if s.opts.HealthAddress == "" {
		return nil
	}
	l, err = lc.Listen(ctx, "tcp", s.opts.HealthAddress)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for health checks: %w", err), s.main.Close())
	}
	s.health = netutil.LimitListener(l, maxConnections)
	return nil
}

// Addr is where the API listens, after Listen.
func (s *Server) Addr() net.Addr { return s.main.Addr() }

// HealthAddr is where the health checks listen, after Listen, or nil.
func (s *Server) HealthAddr() net.Addr {
	if s.health == nil {
		return nil
	}
	return s.health.Addr()
}

// Run serves until ctx ends, and closes the listeners. It returns nil when ctx ended it.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.serve(ctx, s.main, s.Handler()) })
	if s.health != nil {
		g.Go(func() error { return s.serve(ctx, s.health, s.HealthHandler()) })
	}
	return g.Wait()
}

func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Ends the event streams, which Shutdown would wait for.
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	g := new(errgroup.Group)
	stopped := make(chan struct{})
	g.Go(func() error {
		select {
		case <-stopped: // Serve failed by itself
			return nil
		case <-ctx.Done():
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			return srv.Close()
		}
		return nil
	})
	g.Go(func() error {
		defer close(stopped)
		if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the admin API on %s: %w", l.Addr(), err)
		}
		return nil
	})
	return g.Wait()
}
