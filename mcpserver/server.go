package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	discoverygrpc "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"meshbridge/mcpserver/store"
)

// Source is where the server takes its state from: the current snapshot, and a channel closed when it no longer is.
type Source interface {
	Snapshot() (*store.Snapshot, <-chan struct{})
}

// Server serves a store over MCP.
type Server struct {
	discoverygrpc.UnimplementedAggregatedDiscoveryServiceServer

	// Set once.
	cfg      Config
	opts     Options
	source   Source
	metrics  *metrics
	creds    credentials.TransportCredentials // nil: plaintext
	bodies   *bodies
	began    time.Time
	draining chan struct{} // closed when Run is to return
	pumps    sync.WaitGroup

	open   atomic.Int64 // streams
	times  atomic.Pointer[times]
	absent absent

	mu          sync.Mutex
	pacers      map[pacerKey]*pacerRun
	streams     map[*stream]bool
	connections map[string]*connection // by peer
	connected   int
	left        map[string]Predecessor // by view
}

// New makes a server; Run starts it. An unreadable certificate is an error.
func New(cfg Config, source Source, opts Options) (*Server, error) {
	s := &Server{
		cfg: cfg, opts: opts.withDefaults(), source: source, metrics: newMetrics(), bodies: newBodies(time.Now),
		began: time.Now(), draining: make(chan struct{}), pacers: map[pacerKey]*pacerRun{}, streams: map[*stream]bool{},
		connections: map[string]*connection{}, absent: absent{sessions: map[clientKey]*absence{}}, left: map[string]Predecessor{},
	}
	s.SetTimes(s.opts.Settle, s.opts.Retain)
	if cfg.TLS.Cert != "" {
		creds, err := newCredentials(cfg.TLS, s.opts.Log)
		if err != nil {
			return nil, err
		}
		s.creds = creds
	}
	if err := s.metrics.register(s.opts.Registerer); err != nil {
		return nil, fmt.Errorf("register the metrics of the MCP server: %w", err)
	}
	return s, nil
}

// Run serves a listener until ctx ends: then clients are told to leave, what is in flight is awaited for a bounded time,
// and Run returns nil. It is called once, and closes the listener.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{}),
		grpc.MaxRecvMsgSize(s.opts.MaxRequestBytes),
		grpc.MaxConcurrentStreams(s.opts.MaxStreamsPerConnection),
		grpc.MaxHeaderListSize(64 << 10),
		grpc.ConnectionTimeout(20 * time.Second),
		grpc.ReadBufferSize(4 << 10),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: time.Minute, Time: 30 * time.Second, Timeout: 20 * time.Second}),
	}
	if s.creds != nil {
		options = append(options, grpc.Creds(s.creds))
	}
	server := grpc.NewServer(options...)
	discoverygrpc.RegisterAggregatedDiscoveryServiceServer(server, s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(&limited{Listener: ln, server: s}) }()
	var err error
	select {
	case err = <-served:
		close(s.draining)
		s.stop(server)
	case <-ctx.Done():
		close(s.draining)
		s.stop(server)
		if err = <-served; errors.Is(err, grpc.ErrServerStopped) { // it had not begun
			err = nil
		}
	}
	s.pumps.Wait()
	if err != nil {
		return fmt.Errorf("serve MCP on %s: %w", ln.Addr(), err)
	}
	return nil
}

// stop waits for streams to leave, for a bounded time.
func (s *Server) stop(server *grpc.Server) {
	cut := time.AfterFunc(s.opts.Drain, server.Stop)
	defer cut.Stop()
	server.GracefulStop()
}

// age is how old a stream may become: MaxAge, give or take a fifth, so that streams begun together do not end together.
func (s *Server) age() time.Duration {
	return time.Duration(float64(s.opts.MaxAge) * (0.8 + 0.4*rand.Float64()))
}

// guard turns a panic into an error, and logs its stack.
func (s *Server) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.metrics.panics.Inc()
			s.opts.Log.Error("panic in an MCP stream", "panic", r, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "a fault of the bridge; its log has the details")
		}
	}()
	return f()
}

// StreamAggregatedResources serves a state-of-the-world stream.
func (s *Server) StreamAggregatedResources(grpcStream discoverygrpc.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return s.stream(grpcStream, false, func() (Request, error) {
		req, err := grpcStream.Recv()
		if err != nil {
			return Request{}, err
		}
		return SotWRequest(req), nil
	})
}

// DeltaAggregatedResources serves an incremental stream.
func (s *Server) DeltaAggregatedResources(grpcStream discoverygrpc.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.stream(grpcStream, true, func() (Request, error) {
		req, err := grpcStream.Recv()
		if err != nil {
			return Request{}, err
		}
		return DeltaRequest(req), nil
	})
}

func (s *Server) stream(grpcStream grpc.ServerStream, delta bool, recv func() (Request, error)) error {
	ctx := grpcStream.Context()
	if s.open.Add(1) > int64(s.opts.MaxStreams) {
		s.open.Add(-1)
		s.metrics.refused.WithLabelValues("streams").Inc()
		return status.Errorf(codes.ResourceExhausted, "%d streams are open, and no more are served", s.opts.MaxStreams)
	}
	defer s.open.Add(-1)
	st := &stream{
		server: s, delta: delta, since: time.Now(), recv: recv, retimed: make(chan struct{}, 1),
		send: func(f *frame) error { return grpcStream.SendMsg(f) },
	}
	if md, ok := metadata.FromIncomingContext(ctx); ok && len(md[":authority"]) > 0 {
		st.authority = md[":authority"][0]
	}
	if p, ok := peer.FromContext(ctx); ok {
		st.peer = p.Addr.String()
	}
	name, shard, err := parseAuthority(st.authority)
	if err != nil {
		s.metrics.refused.WithLabelValues("authority").Inc()
		return status.Error(codes.InvalidArgument, err.Error())
	}
	st.view = View{Name: name, Shard: shard}

	s.mu.Lock()
	s.streams[st] = true
	s.mu.Unlock()
	protocol := s.metrics.streams.WithLabelValues(protocolName(delta))
	protocol.Inc()
	defer func() {
		protocol.Dec()
		s.mu.Lock()
		delete(s.streams, st)
		s.leaveOver(st, time.Now())
		s.mu.Unlock()
	}()
	err = s.guard(func() error { return st.serve(ctx) })
	if ctx.Err() == nil && st.unread() {
		s.hangUp(st.peer)
	}
	s.opts.Log.Debug("an MCP stream has ended", "peer", st.peer, "authority", st.authority, "err", err)
	return err
}

func protocolName(delta bool) string {
	if delta {
		return "delta"
	}
	return "sotw"
}

// hostOf is the host of a peer's address.
func hostOf(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}
