package watch

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	discoverygrpc "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
)

// serve serves a store over MCP until the test ends, and returns where.
func serve(t *testing.T, s *store.Store) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := mcpserver.Default()
	cfg.Quiet = 0
	server, err := mcpserver.New(cfg, s, mcpserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("MCP server: %v", err)
		}
	})
	return l.Addr().String()
}

// recorder keeps "op kind name" of each event, and hands it to whoever waits.
type recorder struct {
	events chan string
	notes  chan string
}

func newRecorder() recorder {
	return recorder{events: make(chan string, 100), notes: make(chan string, 100)}
}

func (r recorder) Event(e Event) error {
	r.events <- e.Op + " " + kindOf(e.TypeURL) + " " + e.Name
	return nil
}

func (r recorder) Note(text string) { r.notes <- text }

func (r recorder) next(t *testing.T) string {
	t.Helper()
	select {
	case e := <-r.events:
		return e
	case <-t.Context().Done():
		t.Fatal("the test ended")
		return ""
	}
}

// start watches until the test ends.
func start(t *testing.T, opts Options) recorder {
	t.Helper()
	r := newRecorder()
	opts.Credentials = insecure.NewCredentials()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, opts, r) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	return r
}

func protocols(t *testing.T, f func(t *testing.T, delta bool)) {
	for _, delta := range []bool{false, true} {
		t.Run(fmt.Sprintf("delta=%v", delta), func(t *testing.T) { f(t, delta) })
	}
}

func TestAWatchTellsTheStateAndThenEachChange(t *testing.T) {
	protocols(t, func(t *testing.T, delta bool) {
		s := store.NewStore()
		s.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "a.mesh"), admintest.ServiceEntry(t, "b.mesh")}, Open: true})
		r := start(t, Options{Address: serve(t, s), TypeURLs: []string{entries}, Delta: delta})
		got := []string{r.next(t), r.next(t)}
		s.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "a.mesh", "10.0.0.1")}})
		got = append(got, r.next(t))
		s.Apply(store.Change{Remove: []store.Removal{{Key: store.Key{Kind: store.ServiceEntry, Name: "registries/b.mesh"}, Host: "b.mesh"}}})
		got = append(got, r.next(t))
		want := []string{
			"added ServiceEntry registries/a.mesh", "added ServiceEntry registries/b.mesh",
			"changed ServiceEntry registries/a.mesh", "removed ServiceEntry registries/b.mesh",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOnceEndsWhenEveryKindWasAnswered(t *testing.T) {
	protocols(t, func(t *testing.T, delta bool) {
		s := store.NewStore()
		s.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "a.mesh"), admintest.DestinationRule(t, "a.mesh", "v1")}, Open: true})
		all, err := TypeURLs(nil)
		if err != nil {
			t.Fatal(err)
		}
		r := newRecorder()
		opts := Options{Address: serve(t, s), TypeURLs: all, Delta: delta, Once: true, Credentials: insecure.NewCredentials()}
		if err := Run(t.Context(), opts, r); err != nil {
			t.Fatal(err)
		}
		got := []string{r.next(t), r.next(t)}
		if diff := cmp.Diff([]string{"added DestinationRule registries/a.mesh", "added ServiceEntry registries/a.mesh"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheAuthorityPicksTheShardAndTheRevisionWhatIsBound(t *testing.T) {
	s := store.NewStore()
	hosts := []string{"a.mesh", "b.mesh", "c.mesh", "d.mesh", "e.mesh"}
	var put []*store.Resource
	want := 0
	for _, h := range hosts {
		put = append(put, admintest.ServiceEntry(t, h))
		if store.Slot(h)%2 == 1 {
			want++
		}
	}
	s.Apply(store.Change{Put: put, Open: true})
	r := newRecorder()
	opts := Options{
		Address: serve(t, s), TypeURLs: []string{entries}, Once: true, Authority: "mesh-1-of-2.local:16010", Credentials: insecure.NewCredentials(),
	}
	if err := Run(t.Context(), opts, r); err != nil {
		t.Fatal(err)
	}
	if len(r.events) != want || want == 0 || want == len(hosts) {
		t.Errorf("%d resources in the shard, want %d of %d", len(r.events), want, len(hosts))
	}
}

func TestOnceFailsWhenNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	opts := Options{Address: l.Addr().String(), TypeURLs: []string{entries}, Once: true, Credentials: insecure.NewCredentials()}
	if err := Run(t.Context(), opts, newRecorder()); err == nil || !strings.Contains(err.Error(), "connect to "+opts.Address) {
		t.Errorf("error %v", err)
	}
}

// scripted answers each stream by a function.
type scripted struct {
	discoverygrpc.UnimplementedAggregatedDiscoveryServiceServer
	stream func(n int, s discoverygrpc.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error
	count  atomic.Int32
}

func (s *scripted) StreamAggregatedResources(stream discoverygrpc.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {

	return s.stream(int(s.count.Add(1)), stream)
}

func TestALostStreamIsMadeAgainAndOnlyWhatDiffersIsTold(t *testing.T) {
	srv := &scripted{stream: func(n int, s discoverygrpc.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		md, _ := metadata.FromIncomingContext(s.Context())
		if got := req.GetNode().GetMetadata().GetFields()["ISTIO_REVISION"].GetStringValue(); got != "canary" || md.Get(":authority")[0] != "x-0-of-1" {
			return fmt.Errorf("revision %q, authority %q", got, md.Get(":authority"))
		}
		resp := &discoverygrpc.DiscoveryResponse{TypeUrl: entries, Nonce: "1"}
		resp.Resources = append(resp.Resources, wrapped(t, "n/a", "1"))
		if n > 1 {
			resp.Resources = append(resp.Resources, wrapped(t, "n/b", "1"))
		}
		if err := s.Send(resp); err != nil {
			return err
		}
		if _, err := s.Recv(); err != nil { // the ACK
			return err
		}
		if n > 1 {
			<-s.Context().Done()
		}
		return nil
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	discoverygrpc.RegisterAggregatedDiscoveryServiceServer(g, srv)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	r := start(t, Options{Address: l.Addr().String(), TypeURLs: []string{entries}, Revision: "canary", Authority: "x-0-of-1"})
	got := []string{r.next(t), <-r.notes, r.next(t)}
	if !strings.Contains(got[1], "the server closed the stream; reconnecting in") {
		t.Errorf("note %q", got[1])
	}
	got[1] = ""
	if diff := cmp.Diff([]string{"added ServiceEntry n/a", "", "added ServiceEntry n/b"}, got); diff != "" {
		t.Error(diff)
	}
}
