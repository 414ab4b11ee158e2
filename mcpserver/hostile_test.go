package mcpserver

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"meshbridge/mcpserver/mcptest"
	"meshbridge/mcpserver/store"
)

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// still shows that a server serves others: a new istiod gets the state, and follows a change.
func still(t *testing.T, s *store.Store, addr string) {
	t.Helper()
	istiod := mcptest.Start(t, addr, mcptest.Options{Node: "an innocent"})
	istiod.Wait(t, "the state", holds(s, View{}))
	s.Apply(store.Change{Put: []*store.Resource{resource(t, store.ServiceEntry, "svc-0.mesh", time.Now().String())}})
	istiod.Wait(t, "a change", holds(s, View{}))
}

func TestGarbageOnThePortHurtsNobody(t *testing.T) {
	s := opened(t, 10)
	_, addr := serve(t, quick(), s, quickly(t))
	for _, garbage := range []string{
		"\x00\x01\x02\xff\xff", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("A", 1<<20),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x01\x02\x03\x04\x05\x06garbage",
		"\x16\x03\x01\x02\x00\x01\x00",
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte(garbage)) // the server may have closed it by now
		defer conn.Close()
	}
	still(t, s, addr)
}

func TestAHugeMessageEndsItsStreamAlone(t *testing.T) {
	s := opened(t, 10)
	_, addr := serve(t, quick(), s, quickly(t))
	stream := dial(t, addr)
	err := stream.Send(&discoverypb.DiscoveryRequest{TypeUrl: seURL, ResourceNames: []string{strings.Repeat("x", 5<<20)}})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the stream ended with %v", err)
	}
	still(t, s, addr)
}

func dial(t *testing.T, addr string, options ...grpc.DialOption) discoverypb.AggregatedDiscoveryService_StreamAggregatedResourcesClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func TestAStreamWithoutANodeOrWithAShardThatIsNoneIsRefused(t *testing.T) {
	_, addr := serve(t, quick(), opened(t, 1), quickly(t))
	stream := dial(t, addr)
	if err := stream.Send(&discoverypb.DiscoveryRequest{TypeUrl: seURL}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "node.id") {
		t.Errorf("without a node: %v", err)
	}
	if _, err := dial(t, addr, grpc.WithAuthority("x-16-of-16.svc")).Recv(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "16 of 16") {
		t.Errorf("shard 16 of 16: %v", err)
	}
}

func TestOneStreamMayNotAskForTypesWithoutEnd(t *testing.T) {
	_, addr := serve(t, quick(), opened(t, 1), quickly(t))
	var types []string
	for i := range maxTypes + 1 {
		types = append(types, fmt.Sprintf("g/v/K%d", i))
	}
	err := mcptest.New(mcptest.Options{Types: types}).Run(t.Context(), addr)
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the stream ended with %v", err)
	}
}

// Hundreds of clients that never read are all given the one shared state, and nobody else notices.
func TestHundredsWhoNeverReadAreBounded(t *testing.T) {
	const hostile = 300
	s := opened(t, 0)
	var c store.Change
	for i := range 1000 {
		c.Put = append(c.Put, resource(t, store.ServiceEntry, fmt.Sprintf("svc-%d.mesh", i), strings.Repeat("x", 1000)))
	}
	s.Apply(c)
	opts := quickly(t)
	opts.Log = textLog(io.Discard)
	srv, addr := serve(t, quick(), s, opts)
	before := heap()
	for i := range hostile {
		mcptest.Start(t, addr, misbehaving(2*i)) // who reads would have memory of its own in this process
	}
	eventually(t, "all have been sent something", func() bool {
		n := 0
		for _, c := range srv.Clients() {
			if len(c.Kinds) == 1 && c.Kinds[0].Bytes > 0 {
				n++
			}
		}
		return n == hostile
	})
	still(t, s, addr)
	for range 50 { // changes merge; none is queued
		s.Apply(store.Change{Put: []*store.Resource{resource(t, store.ServiceEntry, "svc-1.mesh", time.Now().String())}})
	}
	still(t, s, addr)
	for _, c := range srv.Clients() {
		if c.Node != "an innocent" && c.Kinds[0].Bytes > 2<<20 {
			t.Errorf("%s was sent %d bytes", c.Node, c.Kinds[0].Bytes)
		}
	}
	if grown := heap() - before; grown > 150<<20 { // copies would be 300 times 1 MB on the server's side alone
		t.Errorf("the heap has grown by %d MB", grown>>20)
	}
}

// misbehaving are the kinds of hostile clients in turn.
func misbehaving(i int) mcptest.Options {
	return mcptest.Options{
		Node: fmt.Sprintf("hostile-%d", i), NeverRead: i%2 == 0, NeverAck: true, Types: []string{seURL}, Delta: i%4 > 1,
		Dial: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithStaticStreamWindowSize(1 << 16), grpc.WithStaticConnWindowSize(1 << 16)},
	}
}

func TestWhoNeverReadsOrAcknowledgesIsCutOff(t *testing.T) {
	s := opened(t, 2000)
	cfg := quick()
	cfg.Stall = 200 * time.Millisecond
	registry := prometheus.NewRegistry()
	opts := quickly(t)
	opts.Registerer = registry
	srv, addr := serve(t, cfg, s, opts)
	ended := make(chan error, 4)
	for i := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { ended <- mcptest.New(misbehaving(i)).Run(ctx, addr) }()
	}
	for range 2 { // those who read are told
		if err := <-ended; status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a stream ended with %v", err)
		}
	}
	eventually(t, "no stream is left", func() bool { return len(srv.Clients()) == 0 })
	eventually(t, "no connection is left, and nothing on it", func() bool {
		srv.mu.Lock()
		defer srv.mu.Unlock()
		return srv.connected == 0 && len(srv.connections) == 0
	})
	if n := metric(t, registry, "meshbridge_mcp_stalls_total").GetCounter().GetValue(); n != 4 {
		t.Errorf("%v stalls are counted", n)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // pools keep what they have for one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestConnectionsAndStreamsBeyondTheBoundAreRefused(t *testing.T) {
	s := opened(t, 5)
	opts := quickly(t)
	opts.MaxConnections, opts.MaxStreams = 3, 2
	srv, addr := serve(t, quick(), s, opts)
	for i := range 2 {
		mcptest.Start(t, addr, mcptest.Options{Node: fmt.Sprint(i)}).Wait(t, "the state", holds(s, View{}))
	}
	if _, err := dial(t, addr).Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the third stream: %v", err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the fourth connection is served")
	}
	if n := len(srv.Clients()); n != 2 {
		t.Errorf("%d streams", n)
	}
}

// A client that never reads, and ends its streams by a mistake of its own, does not pile up what it has not read.
func TestAStreamThatEndsUnreadTakesItsConnectionAlong(t *testing.T) {
	srv, addr := serve(t, quick(), opened(t, 2000), quickly(t))
	stream := dial(t, addr, grpc.WithStaticStreamWindowSize(1<<16), grpc.WithStaticConnWindowSize(1<<16))
	for _, url := range []string{seURL, ""} {
		if err := stream.Send(&discoverypb.DiscoveryRequest{Node: &corepb.Node{Id: "n"}, TypeUrl: url}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the stream has ended", func() bool { return len(srv.Clients()) == 0 && srv.open.Load() == 0 })
	eventually(t, "its connection has", func() bool {
		srv.mu.Lock()
		defer srv.mu.Unlock()
		return srv.connected == 0
	})
}

func TestAStreamThatSaysNothingIsCutOff(t *testing.T) {
	cfg := quick()
	cfg.Stall = 50 * time.Millisecond
	_, addr := serve(t, cfg, opened(t, 1), quickly(t))
	if _, err := dial(t, addr).Recv(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the stream ended with %v", err)
	}
}
