package mcpserver

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"meshbridge/mcpserver/mcptest"
	"meshbridge/mcpserver/store"
)

// holds is the condition that an istiod holds exactly what a view sees now.
func holds(source Source, view View) func(mcptest.State) bool {
	return func(s mcptest.State) bool {
		for _, kind := range store.Kinds() {
			if !maps.Equal(s.Versions[kind], versions(current(source), kind, view)) {
				return false
			}
		}
		return true
	}
}

const seURL = "networking.istio.io/v1/ServiceEntry"

// 1. An istiod connects and holds the store. 2. A change, 3. a removal reach it.
func TestAnIstiodHoldsTheStoreAndFollowsIt(t *testing.T) {
	for name, opts := range map[string]mcptest.Options{
		"state of the world": {}, "delta": {Delta: true}, "before 1.24": {Types: mcptest.Types("v1alpha3")},
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, 100)
			_, addr := serve(t, quick(), s, quickly(t))
			istiod := mcptest.Start(t, addr, opts)
			istiod.Wait(t, "the first state", holds(s, View{}))
			s.Apply(store.Change{
				Put:    []*store.Resource{resource(t, store.ServiceEntry, "svc-1.mesh", "1"), resource(t, store.DestinationRule, "svc-1.mesh", "1")},
				Remove: []store.Removal{removal(store.ServiceEntry, "svc-2.mesh")},
			})
			istiod.Wait(t, "the change", holds(s, View{}))
			s.Apply(store.Change{Remove: []store.Removal{removal(store.ServiceEntry, "svc-1.mesh"), removal(store.DestinationRule, "svc-1.mesh")}})
			istiod.Wait(t, "the removal", holds(s, View{}))
		})
	}
}

// 1. Before the gate opens the other kinds are answered, ours are not. 2. After it all are.
func TestOurKindsWaitForTheGate(t *testing.T) {
	s := store.NewStore()
	s.Apply(store.Change{Put: []*store.Resource{resource(t, store.ServiceEntry, "a.mesh", "1")}})
	_, addr := serve(t, quick(), s, quickly(t))
	istiod := mcptest.Start(t, addr, mcptest.Options{})
	istiod.Wait(t, "the kinds that are not ours", func(s mcptest.State) bool { return len(s.Counts) == 12 })
	if n := istiod.State().Counts[seURL].Responses; n != 0 {
		t.Errorf("%d responses before the gate opened", n)
	}
	s.Apply(store.Change{Open: true})
	istiod.Wait(t, "all kinds but MeshConfig", func(s mcptest.State) bool { return len(s.Counts) == 15 })
	istiod.Wait(t, "the state", holds(s, View{}))
}

// 1. Sixteen shards together hold what one whole does. 2. A change goes to one of them.
func TestTheShardsTogetherAreTheWhole(t *testing.T) {
	s := opened(t, 200)
	srv, addr := serve(t, quick(), s, quickly(t))
	var parts []*mcptest.Istiod
	union := map[string]string{}
	for i := range 16 {
		part := mcptest.Start(t, addr, mcptest.Options{Authority: fmt.Sprintf("bridge-%d-of-16.svc:80", i)})
		part.Wait(t, "its shard", holds(s, View{Shard: store.Shard{Index: i, Of: 16}}))
		parts = append(parts, part)
		maps.Copy(union, part.Versions(store.ServiceEntry))
	}
	if want := versions(current(s), store.ServiceEntry, View{}); !maps.Equal(union, want) {
		t.Errorf("the shards hold %d services together, the whole has %d", len(union), len(want))
	}
	clients := srv.Clients()
	if len(clients) != 16 || clients[0].Shard != "0-of-16" || clients[0].View != "bridge" {
		t.Errorf("%d clients, the first %+v", len(clients), clients[0])
	}
	s.Apply(store.Change{Put: []*store.Resource{resource(t, store.ServiceEntry, "svc-1.mesh", "1")}})
	hit := store.Slot("svc-1.mesh") % 16
	parts[hit].Wait(t, "the change", holds(s, View{Shard: store.Shard{Index: hit, Of: 16}}))
	for i, p := range parts {
		if n := p.State().Counts[seURL].Responses; i != hit && n != 1 {
			t.Errorf("shard %d was sent %d responses", i, n)
		}
	}
}

func TestAResourceOfAnotherRevisionNeverArrives(t *testing.T) {
	s := opened(t, 3)
	s.Apply(store.Change{Put: []*store.Resource{
		resource(t, store.ServiceEntry, "canary.mesh", "1", revision("canary")), resource(t, store.ServiceEntry, "stable.mesh", "1", revision("stable"))}})
	_, addr := serve(t, quick(), s, quickly(t))
	for _, rev := range []string{"", "canary", "stable"} {
		for _, delta := range []bool{false, true} {
			istiod := mcptest.Start(t, addr, mcptest.Options{Revision: rev, Delta: delta})
			istiod.Wait(t, "the view of "+rev, holds(s, View{Revision: rev}))
		}
	}
}

// An istiod that is cut off and comes back is not told to remove or change anything, though its streams are new.
func TestAnEndOfAgeChangesNothing(t *testing.T) {
	for _, delta := range []bool{false, true} {
		s := opened(t, 50)
		opts := quickly(t)
		opts.MaxAge = 20 * time.Millisecond
		_, addr := serve(t, quick(), s, opts)
		istiod := mcptest.Start(t, addr, mcptest.Options{Delta: delta})
		istiod.Wait(t, "three streams", func(s mcptest.State) bool { return s.Streams > 3 && s.Counts[seURL].Responses >= 3 })
		st := istiod.State()
		if c := st.Counts[seURL]; c.Created != 50 || c.Updated != 0 || c.Deleted != 0 {
			t.Errorf("delta %t: after %d streams: %+v", delta, st.Streams, c)
		}
		if status.Code(st.Stopped) != codes.Unavailable {
			t.Errorf("delta %t: the stream ended with %v", delta, st.Stopped)
		}
	}
}

// 1. A response is in flight when the server is told to end. 2. It waits for the ACK, and then ends the stream.
func TestADrainWaitsForWhatIsInFlight(t *testing.T) {
	opts := quickly(t)
	opts.Drain = 20 * time.Second
	srv, err := New(quick(), opened(t, 5), opts)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	served, ended := make(chan error, 1), make(chan error, 1)
	go func() { served <- srv.Run(ctx, ln) }()
	told := make(chan struct{})
	istiod := mcptest.New(mcptest.Options{Types: []string{seURL}, Seen: func(mcptest.Response) { <-told }})
	go func() { ended <- istiod.Run(t.Context(), ln.Addr().String()) }()
	eventually(t, "a response is in flight", func() bool {
		c := srv.Clients()
		return len(c) == 1 && len(c[0].Kinds) == 1 && c[0].Kinds[0].InFlightSince != nil
	})
	end()
	<-srv.draining
	time.Sleep(100 * time.Millisecond) // a server that did not wait would have ended the stream by now
	close(told)
	if err := <-ended; status.Code(err) != codes.Unavailable || istiod.State().Acked[seURL] == "" {
		t.Errorf("the stream ended with %v, the ACK is of %q", err, istiod.State().Acked[seURL])
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// 1. A client refuses; it is counted and shown, and nothing is sent again. 2. The next change is.
func TestARefusalIsCountedAndShown(t *testing.T) {
	s := opened(t, 2)
	registry := prometheus.NewRegistry()
	opts := quickly(t)
	opts.Registerer = registry
	srv, addr := serve(t, quick(), s, opts)
	istiod := mcptest.Start(t, addr, mcptest.Options{Types: []string{seURL}, Refuse: func(r mcptest.Response) string {
		if len(r.Resources) == 2 {
			return "two are too many"
		}
		return ""
	}})
	istiod.Wait(t, "the first response", func(s mcptest.State) bool { return s.Counts[seURL].Responses == 1 })
	s.Apply(store.Change{Put: []*store.Resource{resource(t, store.ServiceEntry, "c.mesh", "1", changedAt(time.Now()))}})
	istiod.Wait(t, "the change", holds(s, View{}))
	if c := srv.Clients()[0]; c.Nacks != 1 || istiod.State().Counts[seURL].Responses != 2 {
		t.Errorf("%+v after %d responses", c, istiod.State().Counts[seURL].Responses)
	}
	if n := metric(t, registry, "meshbridge_mcp_nacks_total").GetCounter().GetValue(); n != 1 {
		t.Errorf("%v refusals are counted", n)
	}
	eventually(t, "an event's way to the ACK is measured", func() bool {
		return metric(t, registry, "meshbridge_event_to_ack_seconds").GetHistogram().GetSampleCount() == 1
	})
}

// metric is the first of a name.
func metric(t *testing.T, g prometheus.Gatherer, name string) *dto.Metric {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0]
		}
	}
	return &dto.Metric{}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func TestClientsShowWhatEachStreamHolds(t *testing.T) {
	s := opened(t, 7)
	srv, addr := serve(t, quick(), s, quickly(t))
	istiod := mcptest.Start(t, addr, mcptest.Options{Authority: "gold-0-of-1.svc", Revision: "canary", Delta: true, Types: mcptest.Types("v1alpha3")})
	istiod.Wait(t, "the state", holds(s, View{}))
	var c Client
	eventually(t, "the ACK of a service is shown", func() bool {
		c = srv.Clients()[0]
		return len(c.Kinds) == 3 && c.Kinds[0].Acked != ""
	})
	k := c.Kinds[0]
	if c.Protocol != "delta" || c.Revision != "canary" || c.View != "gold" || c.TypeVersion != "v1alpha3" || c.Shard != "0-of-1" ||
		k.Resources != 7 || k.Bytes == 0 || k.Sent != k.Acked || k.AckedAt == nil || k.InFlightSince != nil || !strings.HasPrefix(c.Peer, "127.0.0.1:") {
		t.Errorf("%+v", c)
	}
}

func TestAFaultOfOursEndsTheStreamAndNoMore(t *testing.T) {
	var log strings.Builder
	opts := quickly(t)
	opts.Log = textLog(&log)
	srv, _ := serve(t, quick(), opened(t, 1), opts)
	err := srv.guard(func() error { panic("broken invariant") })
	if status.Code(err) != codes.Internal || !strings.Contains(log.String(), "broken invariant") || !strings.Contains(log.String(), "server_test.go") {
		t.Errorf("%v; log: %s", err, log.String())
	}
}

func TestAMisuseOfTheConfigurationIsSaidAllAtOnce(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	bad := Config{Address: "16010", Quiet: -time.Second, TLS: TLSConfig{Key: "k", ClientCA: "c", Allow: []string{"me"}}}
	want := []string{
		`mcp.address: "16010" is no host:port, such as 127.0.0.1:16010`,
		`mcp.quiet: -1s is negative; 0s is no pause`,
		`mcp.stall: 0s is not positive`,
		`mcp.tls.cert: is missing beside tls.key`,
		`mcp.tls.clientCA: needs tls.cert and tls.key`,
		`mcp.tls.allow[0]: "me" is no SPIFFE ID, such as spiffe://cluster.local/ns/istio-system/sa/istiod`,
	}
	if got := fmt.Sprint(bad.Validate()); got != strings.Join(want, "\n") {
		t.Errorf("got:\n%s", got)
	}
}
