// Package admintest holds a scripted bridge behind the real admin API, for tests of those who ask it.
package admintest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/cmd/internal/admin"
	"meshbridge/cmd/internal/build"
	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/mcpserver"
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
	waiting  []string
	clients  []mcpserver.Client
	rejected []convert.Rejection
	unserved []convert.ServiceView
	canaries []convert.CanaryView
	changes  []convert.CanaryChange
	refused  map[string][]canary.Fault

	previewBy func([]canary.Entry) convert.CanaryPreview
}

// New makes a bridge that knows nothing and whose gate is closed.
func New() *Bridge { return &Bridge{Store: store.NewStore()} }

// Options are those of the admin API of this bridge.
func (b *Bridge) Options() admin.Options {
	return admin.Options{
		Address: "127.0.0.1:0", Snapshots: b.Store, Sources: b,
		Services: b, Clients: b, Canaries: b, ParseCanaries: parse, Now: Now,
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
	return b.Do(t, http.MethodGet, target)
}

// Do answers one request of a method to the bridge's API.
func (b *Bridge) Do(t testing.TB, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	return b.Post(t, method, target, "")
}

// Post answers one request of a method with a body to the bridge's API.
func (b *Bridge) Post(t testing.TB, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	s, err := admin.New(b.Options())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, target, strings.NewReader(body))
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

// Release lets go what SetSources said is held.
func (b *Bridge) Release(source string) ([]sources.Released, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.status {
		if b.status[i].Name != source {
			continue
		}
		var all []sources.Released
		for j, sc := range b.status[i].Scopes {
			if sc.Held != nil {
				all = append(all, sources.Released{Scope: sc.Name, Instances: sc.Held.Instances, Services: sc.Held.Services})
				b.status[i].Scopes[j].Held = nil
			}
		}
		return all, nil
	}
	return nil, sources.ErrNoSource
}

// Kept says that all is on disk.
func (b *Bridge) Kept() sources.KeptStatus {
	return sources.KeptStatus{Path: "/state/last-good.db", Saved: Now()}
}

// Waiting is what SetWaiting said last.
func (b *Bridge) Waiting() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.waiting)
}

// SetWaiting says what the gate waits for.
func (b *Bridge) SetWaiting(list ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = list
}

// Clients is what SetClients said last.
func (b *Bridge) Clients() []mcpserver.Client {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.clients)
}

// SetClients says who is connected.
func (b *Bridge) SetClients(list ...mcpserver.Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients = list
}

// Rejected is what SetRejected said last.
func (b *Bridge) Rejected() []convert.Rejection {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.rejected)
}

// SetRejected says what was left out.
func (b *Bridge) SetRejected(list ...convert.Rejection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rejected = list
}

// SetUnserved names hosts of which nothing is served.
func (b *Bridge) SetUnserved(hosts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unserved = nil
	for _, host := range hosts {
		b.unserved = append(b.unserved, convert.ServiceView{Host: host, Namespace: "registries", Sources: []string{"orders"}, Slot: store.Slot(host)})
	}
}

// Services are the hosts of the store and those of SetUnserved.
func (b *Bridge) Services() []convert.ServiceView {
	b.mu.Lock()
	list := slices.Clone(b.unserved)
	b.mu.Unlock()
	snap, _ := b.Store.Snapshot()
	for r := range snap.All(store.ServiceEntry, store.Shard{}) {
		list = append(list, view(snap, r))
	}
	slices.SortFunc(list, func(a, b convert.ServiceView) int { return strings.Compare(a.Host, b.Host) })
	return list
}

// Service is one of Services.
func (b *Bridge) Service(host string) (convert.ServiceView, bool) {
	for _, v := range b.Services() {
		if v.Host == strings.ToLower(host) {
			return v, true
		}
	}
	return convert.ServiceView{}, false
}

func view(snap *store.Snapshot, r *store.Resource) convert.ServiceView {
	msg, err := r.Message()
	if err != nil {
		panic(err)
	}
	se := new(networkingpb.ServiceEntry)
	if err := msg.GetBody().UnmarshalTo(se); err != nil {
		panic(err)
	}
	namespace, _, _ := strings.Cut(r.Name, "/")
	name, _, _ := strings.Cut(r.Host, ".")
	v := convert.ServiceView{
		Host: r.Host, Namespace: namespace, Sources: r.Sources, Slot: store.Slot(r.Host), Endpoints: len(se.Endpoints),
		Addresses: []netip.Addr{netip.MustParseAddr(se.Addresses[0])},
		Refs:      []sources.Ref{{Source: r.Sources[0], Key: sources.Key{Scope: "services", Name: name, Group: "blue"}}},
		Resources: []store.Key{r.Key},
	}
	if rule := snap.Lookup(store.Key{Kind: store.DestinationRule, Name: r.Name}, r.Host); rule != nil {
		v.Resources, v.Subsets = append([]store.Key{rule.Key}, r.Key), []string{"v1"}
	}
	for _, p := range se.Ports {
		v.Ports = append(v.Ports, convert.PortView{Name: p.Name, Protocol: p.Protocol, Number: p.Number})
	}
	return v
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
	return Resource(t, store.ServiceEntry, host, se)
}

// DestinationRule is the rule of a host with a subset.
func DestinationRule(t testing.TB, host, subset string) *store.Resource {
	t.Helper()
	return Resource(t, store.DestinationRule, host, &networkingpb.DestinationRule{
		Host: host, Subsets: []*networkingpb.Subset{{Name: subset, Labels: map[string]string{"version": subset}}},
	})
}

// Resource is an object of a kind and host.
func Resource(t testing.TB, kind store.Kind, host string, spec proto.Message) *store.Resource {
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

// Client is a stream that holds what it should. The shard is "" for the whole.
func Client(pod, authority, shard string, resources int) mcpserver.Client {
	return mcpserver.Client{
		Node: "sidecar~10.0.0.1~" + pod + "~istio-system.svc.cluster.local", Peer: "10.0.0.1:4242", Authority: authority,
		Shard: shard, TypeVersion: "v1", Protocol: "sotw", Connected: Now().Add(-time.Hour),
		Kinds: []mcpserver.ClientKind{{Kind: "ServiceEntry", TypeURL: "networking.istio.io/v1/ServiceEntry", Resources: resources, Bytes: 1000}},
	}
}
