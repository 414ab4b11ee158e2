//go:build integration

package consul

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"meshbridge/sources"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

// as says what the only instance of a service looks like.
func as(name string, ok func(sources.Instance) bool) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool {
		s := p.Service(name)
		return s != nil && len(s.Instances) == 1 && ok(s.Instances[0])
	}
}

func TestMaintenanceOfAServiceAndOfANodeTakesTrafficAway(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		if err := server.Agent().ServiceRegister(&api.AgentServiceRegistration{Name: "orders", ID: "o1", Address: "10.0.0.1", Port: 8080}); err != nil {
			t.Fatal(err)
		}
		r := follow(t, way(config(server.Addr)))
		enabled := func(i sources.Instance) bool { return i.Enabled && i.Healthy }
		r.Wait(t, "the instance", as("orders", enabled))
		for _, m := range []struct {
			what string
			set  func(on bool) error
		}{
			{"service", func(on bool) error {
				if on {
					return server.Agent().EnableServiceMaintenance("o1", "test")
				}
				return server.Agent().DisableServiceMaintenance("o1")
			}},
			{"node", func(on bool) error {
				if on {
					return server.Agent().EnableNodeMaintenance("test")
				}
				return server.Agent().DisableNodeMaintenance()
			}},
		} {
			if err := m.set(true); err != nil {
				t.Fatal(err)
			}
			r.Wait(t, m.what+" in maintenance", as("orders", func(i sources.Instance) bool { return !i.Enabled }))
			if err := m.set(false); err != nil {
				t.Fatal(err)
			}
			r.Wait(t, m.what+" out of maintenance", as("orders", enabled))
		}
	})
}

func TestChecksDecideHealthAndWeight(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		i := instance("orders", 1)
		i.Weights = api.AgentWeights{Passing: 5, Warning: 2}
		server.Register(i)
		r := follow(t, way(config(server.Addr)))
		for _, want := range []struct {
			status  string
			healthy bool
			weight  uint32
		}{{api.HealthPassing, true, 500}, {api.HealthWarning, true, 200}, {api.HealthCritical, false, 500}, {api.HealthPassing, true, 500}} {
			i.Status = want.status
			server.Register(i)
			r.Wait(t, "an instance that is "+want.status, as("orders", func(i sources.Instance) bool {
				return i.Healthy == want.healthy && i.Weight == want.weight && i.Enabled
			}))
		}
		i.Weights = api.AgentWeights{Passing: 7, Warning: 1}
		server.Register(i)
		r.Wait(t, "another weight", as("orders", func(i sources.Instance) bool { return i.Weight == 700 }))
	})
}

func TestAnInstanceWithoutChecksIsHealthyAndHasTheDefaultWeight(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		i := instance("orders", 1)
		i.Status = "none"
		i.Change = func(r *api.CatalogRegistration) { r.Service.Weights = api.AgentWeights{} }
		server.Register(i)
		got := only(t, follow(t, way(config(server.Addr))).Wait(t, "orders", has("orders", 1)), "orders")
		if !got.Healthy || !got.Enabled || got.Weight != sources.DefaultWeight {
			t.Errorf("got %+v", got)
		}
	})
}

func TestAServiceWithoutAnAddressIsAtItsNodesAndFollowsIt(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		i := harness.ConsulInstance{Service: "orders", ID: "o1", Port: 8080}
		server.Register(i)
		r := follow(t, way(config(server.Addr)))
		at := func(address string) func(sourcetest.Picture) bool {
			return as("orders", func(i sources.Instance) bool { return i.Address == address })
		}
		r.Wait(t, "the node's address", at("10.0.1.1"))
		// The list of services does not count this.
		if _, err := server.Catalog().Register(&api.CatalogRegistration{Node: "node-1", Address: "10.0.1.9", SkipNodeUpdate: false}, nil); err != nil {
			t.Fatal(err)
		}
		r.Wait(t, "the node's new address", at("10.0.1.9"))
	})
}

func TestANodeThatFailsMakesItsInstancesUnhealthyAndOneThatLeavesTakesThemAlong(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		alive := func(status string) {
			t.Helper()
			check := &api.AgentCheck{Node: "node-1", CheckID: "serfHealth", Name: "Serf Health Status", Status: status}
			if _, err := server.Catalog().Register(&api.CatalogRegistration{Node: "node-1", Address: "10.0.1.1", Check: check}, nil); err != nil {
				t.Fatal(err)
			}
		}
		server.Register(instance("orders", 1), instance("stock", 2))
		alive(api.HealthPassing)
		r := follow(t, way(config(server.Addr)))
		healthy := func(want bool) func(sourcetest.Picture) bool {
			is := func(i sources.Instance) bool { return i.Healthy == want }
			return func(p sourcetest.Picture) bool { return as("orders", is)(p) && as("stock", is)(p) }
		}
		r.Wait(t, "healthy instances", healthy(true))
		alive(api.HealthCritical)
		r.Wait(t, "unhealthy instances", healthy(false))
		alive(api.HealthPassing)
		r.Wait(t, "healthy instances again", healthy(true))
		server.DeregisterNode("node-1")
		r.Wait(t, "no services", func(p sourcetest.Picture) bool { return len(p.Services) == 0 })
	})
}

func TestTagsMetaAndLocalityArrive(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		i := instance("orders", 1)
		i.Tags, i.Meta = []string{"zone=a", "team|pay", "canary", "version=v1"}, map[string]string{"version": "v2"}
		i.Change = func(r *api.CatalogRegistration) {
			r.NodeMeta = map[string]string{"rack": "7"}
			r.Service.Locality = &api.Locality{Region: "eu", Zone: "eu-1"}
			r.Service.TaggedAddresses = map[string]api.ServiceAddress{"wan": {Address: "192.0.2.1", Port: 9090}}
		}
		server.Register(i)
		r := follow(t, way(config(server.Addr)))
		p := r.Wait(t, "orders", has("orders", 1))
		got := only(t, p, "orders")
		want := sources.Instance{
			ID: "node-1/orders-10.0.0.1-8080", Address: "10.0.0.1", Ports: []sources.Port{{Number: 8080}}, Weight: 100, Healthy: true, Enabled: true, Locality: "eu/eu-1",
			Metadata: map[string]string{"zone": "a", "team": "pay", "tag.canary": "true", "version": "v2", "node.rack": "7"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if dc := p.Service("orders").Datacenter; dc != "dc1" {
			t.Errorf("datacenter %q", dc)
		}
		i.Meta = map[string]string{"version": "v3"}
		server.Register(i)
		r.Wait(t, "other metadata", as("orders", func(i sources.Instance) bool { return i.Metadata["version"] == "v3" }))

		c := way(config(server.Addr))
		c.TaggedAddress = "wan"
		got = only(t, follow(t, c).Wait(t, "orders", has("orders", 1)), "orders")
		if got.Address != "192.0.2.1" || got.Ports[0].Number != 9090 {
			t.Errorf("wan: got %s:%d", got.Address, got.Ports[0].Number)
		}
	})
}

func TestProxiesAndGatewaysOfConsulsMeshAreLeftOut(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		proxy, gateway := instance("orders-sidecar-proxy", 1), instance("gateway", 2)
		proxy.Port = 20000
		proxy.Change = func(r *api.CatalogRegistration) {
			r.Service.Kind, r.Service.Proxy = api.ServiceKindConnectProxy, &api.AgentServiceConnectProxyConfig{DestinationServiceName: "orders"}
		}
		gateway.Change = func(r *api.CatalogRegistration) { r.Service.Kind = api.ServiceKindMeshGateway }
		server.Register(instance("orders", 1), proxy, gateway)
		r := follow(t, way(config(server.Addr)))
		p := r.Wait(t, "orders", has("orders", 1))
		if len(p.Services) != 1 {
			t.Errorf("got %d services", len(p.Services))
		}
	})
}

func TestAnInstanceWithoutAPortIsSkippedWithAReasonAndItsNeighboursStay(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		none, named := instance("orders", 2), instance("orders", 3)
		none.Port, named.Port, named.Address = 0, 9090, "orders.example.com"
		named.Meta = map[string]string{"protocol": "grpc"}
		bad := instance("orders", 4)
		bad.Address = "not an address"
		server.Register(instance("orders", 1), none, named, bad)
		s := follow(t, way(config(server.Addr))).Wait(t, "orders", has("orders", 2)).Service("orders")
		got := []string{}
		for _, i := range s.Instances {
			got = append(got, fmt.Sprintf("%s:%d %s", i.Address, i.Ports[0].Number, i.Ports[0].Protocol))
		}
		if !slices.Equal(got, []string{"10.0.0.1:8080 ", "orders.example.com:9090 grpc"}) {
			t.Errorf("got %q", got)
		}
		if len(s.Skipped) != 2 || s.Skipped[0].Reason == "" {
			t.Errorf("skipped: %+v", s.Skipped)
		}
	})
}

func TestNamesThatDifferInCaseAreReadApart(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		server.Register(instance("Orders", 1), instance("orders", 2))
		p := follow(t, way(config(server.Addr))).Wait(t, "both", func(p sourcetest.Picture) bool { return len(p.Services) == 2 })
		if p.Instances("Orders") != 1 || p.Instances("orders") != 1 {
			t.Errorf("got %d and %d instances", p.Instances("Orders"), p.Instances("orders"))
		}
	})
}

func TestTheTextOfACheckIsNoChange(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		output := "first"
		i := instance("orders", 1)
		i.Change = func(r *api.CatalogRegistration) { r.Checks[0].Output = output }
		server.Register(i)
		r := follow(t, way(config(server.Addr)))
		before := r.Wait(t, "orders", has("orders", 1)).Reports
		for n := range 3 {
			output = fmt.Sprintf("output %d", n)
			server.Register(i)
		}
		server.Register(instance("late", 9))
		after := r.Wait(t, "a new service", has("late", 1))
		if after.Reports != before+1 {
			t.Errorf("%d services were reported, want 1", after.Reports-before)
		}
	})
}

func TestAFilterChoosesInstances(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		prod, test := instance("orders", 1), instance("orders", 2)
		prod.Meta, test.Meta = map[string]string{"env": "prod"}, map[string]string{"env": "test"}
		server.Register(prod, test, instance("stock", 3))
		c := way(config(server.Addr))
		c.Filter = `Service.Meta.env == "prod"`
		r := follow(t, c)
		p := r.Wait(t, "orders", has("orders", 1))
		if len(p.Services) != 1 {
			t.Errorf("got %d services", len(p.Services))
		}
		test.Meta = prod.Meta
		server.Register(test)
		r.Wait(t, "an instance that the filter lets through now", has("orders", 2))
	})
}
