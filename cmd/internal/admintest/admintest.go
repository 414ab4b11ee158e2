// Package admintest holds a scripted bridge behind the real admin API, for tests of those who ask it.
package admintest

import (
	"context"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/cmd/internal/admin"
	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/build"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// Now is when everything here happens.
func Now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// Bridge is what a bridge knows, to be scripted.
type Bridge struct {
	Store *store.Store

	mu       sync.Mutex
	status   []sources.SourceStatus
	clients  []api.Client
	rejected []api.Rejection
}

// New makes a bridge that knows nothing and whose gate is closed.
func New() *Bridge { return &Bridge{Store: store.NewStore()} }

// Options are those of the admin API of this bridge.
func (b *Bridge) Options() admin.Options {
	return admin.Options{
		Address: "127.0.0.1:0", Snapshots: b.Store, Sources: b,
		Clients: b.Clients, Rejected: b.Rejected,
		Metrics: prometheus.NewRegistry(), Build: build.Info{Version: "v0.0.0", Go: "go", Platform: "test"},
	}
}

// Start serves the bridge's API until the test ends, and returns its address.
func (b *Bridge) Start(t testing.TB, change func(*admin.Options)) string {
	t.Helper()
	opts := b.Options()
	if change != nil {
		change(&opts)
	}
	s, err := admin.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	// The requests in flight end with the test, event streams too.
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("admin API: %v", err)
		}
	})
	return "http://" + s.Addr().String()
}

// Serve answers one request to the bridge's API.
func (b *Bridge) Serve(t testing.TB, target string) *httptest.ResponseRecorder {
	t.Helper()
	s, err := admin.New(b.Options())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", target, nil)
	r.Host = "127.0.0.1:16011"
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// Sources is what SetSources said last.
func (b *Bridge) Sources() []sources.SourceStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.status)
}

// SetSources says how the sources are.
func (b *Bridge) SetSources(list ...sources.SourceStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = list
}

// Clients is what SetClients said last.
func (b *Bridge) Clients() []api.Client {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.clients)
}

// SetClients says who is connected.
func (b *Bridge) SetClients(list ...api.Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients = list
}

// Rejected is what SetRejected said last.
func (b *Bridge) Rejected() []api.Rejection {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.rejected)
}

// SetRejected says what was left out.
func (b *Bridge) SetRejected(list ...api.Rejection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rejected = list
}

// ServiceEntry is the entry of a host with HTTP endpoints at the addresses, from the source named orders.
func ServiceEntry(t testing.TB, host string, addresses ...string) *store.Resource {
	t.Helper()
	se := &networkingpb.ServiceEntry{
		Hosts: []string{host}, Addresses: []string{"244.0.0.1"}, Location: networkingpb.ServiceEntry_MESH_INTERNAL,
		Ports: []*networkingpb.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}}, Resolution: networkingpb.ServiceEntry_STATIC,
	}
	for _, a := range addresses {
		se.Endpoints = append(se.Endpoints, &networkingpb.WorkloadEntry{Address: a, Ports: map[string]uint32{"http": 8080}, Labels: map[string]string{"version": "v1"}})
	}
	return resource(t, store.ServiceEntry, host, se)
}

// DestinationRule is the rule of a host with a subset.
func DestinationRule(t testing.TB, host, subset string) *store.Resource {
	t.Helper()
	return resource(t, store.DestinationRule, host, &networkingpb.DestinationRule{
		Host: host, Subsets: []*networkingpb.Subset{{Name: subset, Labels: map[string]string{"version": subset}}},
	})
}

func resource(t testing.TB, kind store.Kind, host string, spec proto.Message) *store.Resource {
	t.Helper()
	r, err := store.New(store.Meta{
		Key: store.Key{Kind: kind, Name: "registries/" + host}, Host: host, Sources: []string{"orders"},
		Created: Now().Add(-time.Hour), Changed: Now().Add(-time.Minute),
		Labels: map[string]string{"app.kubernetes.io/managed-by": "meshbridge"},
	}, spec)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Healthy is a source whose one scope is read.
func Healthy(name string) sources.SourceStatus {
	return sources.SourceStatus{Name: name, Kind: "file", Required: true, Scopes: []sources.ScopeStatus{{
		Name: "services", State: sources.Synced, Since: Now().Add(-time.Hour), LastReport: Now().Add(-30 * time.Second),
		Services: 2, Instances: 4, Usable: 3, Events: 7,
	}}}
}

// Client is a stream that holds what it should.
func Client(pod, authority string, shard api.Shard, resources int) api.Client {
	since := Now().Add(-time.Hour)
	return api.Client{
		ID: "sidecar~10.0.0.1~" + pod + "~istio-system.svc.cluster.local", Peer: "10.0.0.1:4242", Authority: authority,
		Shard: shard, Protocol: "sotw", Since: &since,
		Kinds: []api.ClientKind{{Kind: "ServiceEntry", Resources: resources, Bytes: 1000, Pushes: 3}},
	}
}
