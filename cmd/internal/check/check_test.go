package check_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/check"
	"meshbridge/cmd/internal/client"
	"meshbridge/convert"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

var update = flag.Bool("update", false, "write the golden file")

// healthy is a bridge that serves n services to one istiod.
func healthy(n int) check.Bridge {
	b := check.Bridge{Server: "http://a:16011", Ready: true}
	b.Sources = []api.Source{{Name: "orders", Kind: "file", Required: true, Scopes: []api.Scope{
		{Name: "services", State: sources.Synced, Services: n, Instances: 2 * n, Usable: 2 * n},
	}}}
	for i := range n {
		host := fmt.Sprintf("s%d.mesh", i)
		b.Resources = append(b.Resources, api.Resource{Kind: "ServiceEntry", Namespace: "registries", Name: host, Host: host, Version: "1"})
	}
	b.Clients = []mcpserver.Client{admintest.Client("istiod-0.istio-system", "bridge:16010", "", n)}
	return b
}

// with changes a bridge.
func with(b check.Bridge, change func(*check.Bridge)) check.Bridge {
	change(&b)
	return b
}

// streams are those of one istiod, by shard.
func streams(shards ...string) func(*check.Bridge) {
	return func(b *check.Bridge) {
		b.Clients = nil
		for _, s := range shards {
			authority := "bridge"
			if s != "" {
				authority = "mesh-" + s
			}
			b.Clients = append(b.Clients, admintest.Client("istiod-0.istio-system", authority, s, 1))
		}
	}
}

type example struct {
	name    string
	bridges []check.Bridge
}

func examples() []example {
	ago := func(d time.Duration) *time.Time {
		at := admintest.Now().Add(-d)
		return &at
	}
	other := func(b *check.Bridge) { b.Server = "http://b:16011" }
	return []example{
		{"all is well", []check.Bridge{healthy(3)}},
		{"nobody answers", []check.Bridge{{Server: "http://a:16011", Err: errors.New("ask http://a:16011: connection refused; is the bridge running there?")}}},
		{"the gate is closed", []check.Bridge{with(healthy(0), func(b *check.Bridge) {
			b.Ready, b.Missing = false, []string{"source orders: not read yet"}
			b.Sources[0].Scopes = nil
			b.Sources[0].Error = "open services: no such file or directory"
		})}},
		{"sources in trouble", []check.Bridge{with(healthy(3), func(b *check.Bridge) {
			b.Sources = append(b.Sources, api.Source{Name: "dubbo", Error: "connection refused", Scopes: []api.Scope{
				{Name: "/dubbo", State: sources.Unknown, Error: "session expired", Since: ago(5 * time.Minute), Services: 12, Instances: 4, Usable: 4},
				{Name: "/optional", State: sources.Unread},
				{Name: "/sick", State: sources.Synced, Services: 1, Instances: 7},
				{Name: "/broken", State: sources.Synced, Faults: []api.Fault{{Where: "a.yaml:1", Reason: "x"}, {Where: "b.yaml:1", Reason: "x"}, {Where: "c.yaml:1", Reason: "x"}, {Where: "d.yaml:1", Reason: "x\x1b[0m"}}},
			}})
		})}},
		{"a loss is held, and a registry is down since the start", []check.Bridge{with(healthy(3), func(b *check.Bridge) {
			b.Sources[0].Scopes = []api.Scope{
				{Name: "gone", State: sources.Synced, Services: 10, Instances: 20, Usable: 20, Held: &api.Held{Instances: 20, Services: 10, Most: 20, Since: *ago(time.Hour)}},
				{Name: "part", State: sources.Synced, Services: 10, Instances: 20, Usable: 20, Held: &api.Held{Instances: 12, Services: 6, Most: 20, Now: 8, Since: *ago(time.Minute), Until: ago(-9 * time.Minute)}},
				{Name: "down", State: sources.Stale, Error: "connection refused", LastReport: ago(2 * time.Hour), Services: 3, Instances: 6, Usable: 6},
			}
		})}},
		{"things left out", []check.Bridge{with(healthy(3), func(b *check.Bridge) {
			b.Rejected = []api.Rejection{
				{Source: "orders", Service: "A", Instance: "10.0.0.1:80", Class: convert.ClassPort, Reason: "port 0"},
				{Source: "orders", Service: "B", Class: convert.ClassClash, Reason: "a.mesh is A's; this one is a-1f2e.mesh"},
				{Source: "orders", Host: "c.mesh", Class: convert.ClassVIP, Reason: "244.0.0.1 is a.mesh's"},
				{Source: "orders", Instance: "a.yaml:3", Class: convert.ClassRead, Reason: "told among the sources"},
			}
		})}},
		{"only details left out", []check.Bridge{with(healthy(3), func(b *check.Bridge) {
			b.Rejected = []api.Rejection{{Source: "orders", Service: "A", Class: convert.ClassLabel, Reason: "zone: too long"}}
		})}},
		{"clients in trouble", []check.Bridge{with(healthy(3), func(b *check.Bridge) {
			b.Clients[0].Kinds[0].Nack = "unknown field"
			slow := admintest.Client("istiod-1.istio-system", "bridge:16010", "", 3)
			slow.Kinds[0].InFlightSince = ago(time.Minute)
			brisk := admintest.Client("istiod-2.istio-system", "bridge:16010", "", 3)
			brisk.Kinds[0].InFlightSince = ago(time.Second)
			b.Clients = append(b.Clients, slow, brisk)
		})}},
		{"nobody is connected", []check.Bridge{with(healthy(3), streams())}},
		{"people who watch are no istiods", []check.Bridge{with(healthy(3), func(b *check.Bridge) {
			b.Clients = append(b.Clients, admintest.Client("meshbridge-watch.default", "mesh-1-of-2", "1-of-2", 1))
		})}},
		{"all shards are held", []check.Bridge{with(healthy(600), streams("1-of-2", "0-of-2"))}},
		{"shards are lacking", []check.Bridge{with(healthy(2400), streams("0-of-8", "3-of-8"))}},
		{"two counts of shards", []check.Bridge{with(healthy(900), streams("0-of-2", "1-of-2", "0-of-4", "1-of-4", "2-of-4", "3-of-4"))}},
		{"the whole beside a part", []check.Bridge{with(healthy(300), streams("", "0-of-1", "0-of-2", "1-of-2"))}},
		{"several streams of one authority", []check.Bridge{with(healthy(600), streams("0-of-2", "1-of-2", "1-of-2"))}},
		{"shards that are too large", []check.Bridge{with(healthy(10000), streams(""))}},
		{"shards that are too small", []check.Bridge{with(healthy(100), streams("0-of-2", "1-of-2"))}},
		{"documents are served", []check.Bridge{with(healthy(3), func(b *check.Bridge) { b.Canaries = []api.Canary{document("echo", "blue")} })}},
		{"documents with faults", []check.Bridge{with(healthy(3), invalid(ago))}},
		{"rollouts to know of", []check.Bridge{with(healthy(3), rollouts)}},
		{"rollouts in trouble", []check.Bridge{with(healthy(3), astray)}},
		{"objects that meet others", []check.Bridge{with(healthy(3), func(b *check.Bridge) { b.Resources = append(b.Resources, rules(1)...) })}},
		{"all see very many hosts", []check.Bridge{with(healthy(2002), func(b *check.Bridge) { b.Resources[0].ExportTo = []string{"."}; streams("0-of-8")(b) })}},
		{"replicas share the shards", []check.Bridge{
			with(healthy(600), streams("0-of-2")), with(with(healthy(600), streams("1-of-2")), other),
		}},
		{"replicas differ", []check.Bridge{healthy(3), with(with(healthy(4), other), func(b *check.Bridge) { b.Resources[1].Version = "2" })}},
		{"replicas differ, and why", whyReplicasDiffer(ago)},
		{"replicas follow other sources", []check.Bridge{healthy(2), with(with(healthy(2), other), func(b *check.Bridge) {
			b.Sources[0].Name = "stock"
		})}},
		{"one replica of two answers", []check.Bridge{healthy(3), {Server: "http://b:16011", Err: errors.New("ask http://b:16011: connection refused")}}},
	}
}

// whyReplicasDiffer are two bridges that differ for every reason there is.
func whyReplicasDiffer(ago func(time.Duration) *time.Time) []check.Bridge {
	one := func(server string) check.Bridge {
		b := check.Bridge{Server: server, Ready: true}
		for _, name := range []string{"held", "stale", "polled", "plain"} {
			b.Sources = append(b.Sources, api.Source{Name: name, Scopes: []api.Scope{{State: sources.Synced, Services: 1, Instances: 1, Usable: 1, LastReport: ago(time.Second)}}})
			host := name + ".mesh"
			b.Resources = append(b.Resources, api.Resource{Kind: "ServiceEntry", Namespace: "registries", Name: host, Host: host, Version: "1", Sources: []string{name}})
			b.Services = append(b.Services, api.Service{Host: host, Addresses: []string{"244.0.0.1"}})
		}
		return b
	}
	plain := func(b *check.Bridge, host, version string) *api.Service {
		b.Resources = append(b.Resources, api.Resource{Kind: "ServiceEntry", Namespace: "registries", Name: host, Host: host, Version: version, Sources: []string{"plain"}})
		b.Services = append(b.Services, api.Service{Host: host, Addresses: []string{"244.0.0.1"}})
		return &b.Services[len(b.Services)-1]
	}
	return []check.Bridge{with(one("http://a:16011"), func(b *check.Bridge) {
		plain(b, "empty.mesh", "1").EmptySince = ago(time.Minute)
		plain(b, "moved.mesh", "1").Addresses = []string{"244.0.0.9"}
		plain(b, "subset.mesh", "1")
		b.Resources = append(b.Resources, api.Resource{Kind: "DestinationRule", Namespace: "registries", Name: "mb-subset.mesh", Host: "subset.mesh", Version: "1", Sources: []string{"plain"}})
	}), with(one("http://b:16011"), func(b *check.Bridge) {
		for i := range b.Resources {
			b.Resources[i].Version = "2"
		}
		b.Sources[0].Scopes[0].Held = &api.Held{Instances: 20, Services: 10, Most: 20, Since: *ago(time.Minute)}
		b.Sources[1].Scopes[0].State = sources.Stale
		b.Sources[1].Scopes[0].LastReport = ago(time.Hour)
		b.Sources[2].Scopes[0].LastReport = ago(31 * time.Second)
		plain(b, "moved.mesh", "2")
		plain(b, "subset.mesh", "1")
	})}
}

// The golden file holds what check says of each example.
func TestReport(t *testing.T) {
	const path = "testdata/report.txtar"
	got := &txtar.Archive{Comment: []byte("What meshbridge check says, by what is wrong.\n\n")}
	for _, e := range examples() {
		var out bytes.Buffer
		if _, err := check.Print(&out, check.Judge(e.bridges, nil, admintest.Now())); err != nil {
			t.Fatal(err)
		}
		got.Files = append(got.Files, txtar.File{Name: e.name, Data: out.Bytes()})
	}
	golden(t, path, got)
}

func TestARunningBridgeIsAskedForAllThatIsJudged(t *testing.T) {
	b := admintest.New()
	b.SetSources(admintest.Healthy("orders"))
	b.SetRejected(convert.Rejection{Source: "orders", Service: "A", Class: convert.ClassLabel, Reason: "x"})
	b.SetClients(admintest.Client("istiod-0.istio-system", "bridge", "", 1))
	b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "a.mesh"), admintest.DestinationRule(t, "a.mesh", "v1"), admintest.VirtualService(t, "a.mesh", "v1")}, Open: true})
	b.SetCanaries(admintest.Canary("a", "", "a.mesh", 50))
	c, err := client.New(b.Start(t, nil), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := check.Ask(t.Context(), c, true, true)
	if got.Err != nil || len(got.Services) != 1 || !got.Ready || len(got.Sources) != 1 || len(got.Rejected) != 1 || len(got.Clients) != 1 || len(got.Resources) != 3 || len(got.Canaries) != 1 || len(got.Objects) != 2 || got.Objects[1].Object == nil {
		t.Errorf("%+v", got)
	}
}

func TestRoutesThatAreNotForAllAreReadWithoutACluster(t *testing.T) {
	for to, want := range map[string]int{"*": 0, ".": 1} {
		b := admintest.New()
		b.Store.Apply(store.Change{Put: []*store.Resource{admintest.DestinationRule(t, "a.mesh", "v1"), admintest.Resource(t, store.VirtualService, "a.mesh",
			&networkingpb.VirtualService{Hosts: []string{"a.mesh"}, Gateways: []string{"edge/gw"}, ExportTo: []string{to}})}, Open: true})
		c, err := client.New(b.Start(t, nil), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := check.Ask(t.Context(), c, false, false); got.Err != nil || len(got.Objects) != want {
			t.Errorf("exported to %s: %v %+v", to, got.Err, got.Objects)
		}
	}
}

func TestPortsAreAskedForWhereThereAreDocuments(t *testing.T) {
	for n := range 2 {
		b := admintest.New()
		b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "a.mesh")}, Open: true})
		b.SetCanaries(slices.Repeat([]convert.CanaryView{admintest.Canary("a", "", "a.mesh", 50)}, n)...)
		c, err := client.New(b.Start(t, nil), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := check.Ask(t.Context(), c, false, false); got.Err != nil || len(got.Services) != n {
			t.Errorf("with %d documents: %v %+v", n, got.Err, got.Services)
		}
	}
}

func TestABridgeThatDoesNotAnswerIsTrouble(t *testing.T) {
	c, err := client.New("http://127.0.0.1:1", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := check.Ask(t.Context(), c, false, false); got.Err == nil {
		t.Error("no error")
	}
}
