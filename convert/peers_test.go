package convert

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// These are what users of other bridges complain of most, each from a registry's report through the guard to what is served.

// guardedBridge is a Converter behind a Mirror whose guard is on, as in a running bridge. Its one source is a registry named r.
type guardedBridge struct {
	*running
	registry sources.Sink
}

func runGuarded(t *testing.T, config string, opts Options, services ...*sources.Service) *guardedBridge {
	t.Helper()
	b := &guardedBridge{running: run(t, parseCase(t, config, "r: []", "").rules, opts, sources.Expected{Name: "r", Required: true, Protect: sources.DefaultProtect()})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.mirror.Run(ctx) }()
	end := b.cancel
	b.cancel = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("mirror: %v", err)
		}
		end()
	}
	b.registry = b.mirror.Sink("r")
	b.registry.Scopes([]string{""})
	b.report(services...)
	return b
}

// report gives a whole report and waits until the guard let it pass.
func (b *guardedBridge) report(services ...*sources.Service) {
	b.registry.Snapshot("", services, nil)
	time.Sleep(sources.DefaultProtect().Delay + time.Second)
	synctest.Wait()
}

// entry is a ServiceEntry of a host, or nil.
func (b *guardedBridge) entry(object, host string) *networkingpb.ServiceEntry {
	b.t.Helper()
	snap, _ := b.store.Snapshot()
	r := snap.Lookup(store.Key{Kind: store.ServiceEntry, Name: "registries/" + object}, host)
	if r == nil {
		return nil
	}
	spec, err := decodeResource(b.t, r).Body.UnmarshalNew()
	if err != nil {
		b.t.Fatal(err)
	}
	return spec.(*networkingpb.ServiceEntry)
}

// endpoints are the addresses and ports of a host's ServiceEntry, "none" if there is none.
func (b *guardedBridge) endpoints(object, host string) string {
	b.t.Helper()
	e := b.entry(object, host)
	if e == nil {
		return "none"
	}
	var all []string
	for _, w := range e.Endpoints {
		for _, n := range w.Ports {
			all = append(all, netip.AddrPortFrom(netip.MustParseAddr(w.Address), uint16(n)).String())
		}
	}
	return strings.Join(all, " ")
}

func (b *guardedBridge) want(object, host, endpoints string) {
	b.t.Helper()
	if got := b.endpoints(object, host); got != endpoints {
		b.t.Errorf("%s has %q, want %q", object, got, endpoints)
	}
}

func TestTheLastInstanceOfAServiceThatLeavesTakesItsEndpointAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		others := service("users", "10.0.1.1", "10.0.1.2")
		b := runGuarded(t, "", Options{}, service("orders", "10.0.0.1"), others)
		b.want("orders.mesh", "orders.mesh", "10.0.0.1:8080")
		b.report(service("orders"), others)
		b.want("orders.mesh", "orders.mesh", "")
		b.want("users.mesh", "users.mesh", "10.0.1.1:8080 10.0.1.2:8080")
		b.stop()
	})
}

func TestAServiceWhoseInstancesAreAllUnhealthyHasNoEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := runGuarded(t, "", Options{}, service("orders", "10.0.0.1", "10.0.0.2"))
		sick := service("orders", "10.0.0.1", "10.0.0.2")
		sick.Instances[0].Healthy, sick.Instances[1].Healthy = false, false
		b.report(sick)
		b.want("orders.mesh", "orders.mesh", "")
		b.report(service("orders", "10.0.0.1", "10.0.0.2"))
		b.want("orders.mesh", "orders.mesh", "10.0.0.1:8080 10.0.0.2:8080")
		b.stop()
	})
}

func TestAnInstanceThatIsUnhealthyDisabledOrWithoutWeightTakesNoTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service("orders", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
		s.Instances[0].Healthy = false
		s.Instances[1].Enabled = false
		s.Instances[2].Weight = 0
		s.Instances[3].Weight = 30
		b := runGuarded(t, "", Options{}, s)
		b.want("orders.mesh", "orders.mesh", "10.0.0.4:8080")
		if w := b.entry("orders.mesh", "orders.mesh").Endpoints[0].Weight; w != 30 {
			t.Errorf("weight %d, want the registry's 30", w)
		}
		b.stop()
	})
}

func TestADeregisteredServiceLosesItsEndpointsAndThenGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		others := service("users", "10.0.1.1")
		b := runGuarded(t, "retainEmpty: 10m", Options{}, service("orders", "10.0.0.1"), others)
		b.report(others)
		b.want("orders.mesh", "orders.mesh", "")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		b.want("orders.mesh", "orders.mesh", "none")
		b.want("users.mesh", "users.mesh", "10.0.1.1:8080")
		b.report(service("orders", "10.0.0.7"), others)
		b.want("orders.mesh", "orders.mesh", "10.0.0.7:8080")
		b.stop()
	})
}

func TestServicesRegisteredAtTheirNodesAddressAreServedThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := func(name, address string, port uint32) *sources.Service {
			s := service(name, address)
			s.Instances[0].Ports[0].Number = port
			return s
		}
		lookup := func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("10.0.0.2")}, nil
		}
		b := runGuarded(t, "", Options{Lookup: lookup}, at("orders", "10.0.0.1", 20001), at("users", "10.0.0.1", 20002), at("stock", "node-2.dc1", 20003))
		b.want("orders.mesh", "orders.mesh", "10.0.0.1:20001")
		b.want("users.mesh", "users.mesh", "10.0.0.1:20002")
		b.want("stock.mesh", "stock.mesh", "10.0.0.2:20003")
		b.report(at("users", "10.0.0.1", 20002), at("stock", "node-2.dc1", 20003))
		b.want("orders.mesh", "orders.mesh", "")
		b.want("users.mesh", "users.mesh", "10.0.0.1:20002")
		b.stop()
	})
}

func TestMixedPortsAndProtocolsAreServedEachAsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service("orders", "10.0.0.1", "10.0.0.2", "10.0.0.3")
		s.Instances[1].Ports[0].Number = 9090
		s.Instances[2].Ports[0] = sources.Port{Protocol: "tri", Number: 50052}
		b := runGuarded(t, "", Options{}, s)
		b.want("orders.mesh.80", "orders.mesh", "10.0.0.1:8080 10.0.0.2:9090")
		b.want("orders.mesh.50051", "orders.mesh", "10.0.0.3:50052")
		ports := func(object string) string { return b.entry(object, "orders.mesh").Ports[0].String() }
		http, grpc := ports("orders.mesh.80"), ports("orders.mesh.50051")

		first := service("orders", "10.0.0.2", "10.0.0.3") // the first instance leaves: no service port may move
		first.Instances[0].Ports[0].Number = 9090
		first.Instances[1].Ports[0] = sources.Port{Protocol: "tri", Number: 50052}
		b.report(first)
		b.want("orders.mesh.80", "orders.mesh", "10.0.0.2:9090")
		b.want("orders.mesh.50051", "orders.mesh", "10.0.0.3:50052")
		if diff := cmp.Diff([]string{http, grpc}, []string{ports("orders.mesh.80"), ports("orders.mesh.50051")}); diff != "" {
			t.Errorf("service ports moved (-before +after):\n%s", diff)
		}
		b.stop()
	})
}

func TestABadLabelTakesNothingElseAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service("providers:com.acme.Greet::gray", "v1@10.0.0.1", "10.0.0.2")
		s.Instances[0].Metadata["bad key!"] = "x"
		s.Instances[0].Metadata["methods"] = "a,b"
		s.Instances[0].Metadata["long"] = strings.Repeat("x", 64)
		s.Instances[0].Metadata["dubbo"] = "2.7.8:x"
		s.Instances[0].Metadata["security.istio.io/tlsMode"] = "istio"
		b := runGuarded(t, "sources: [{name: r, labels: {include: ['*']}}]", Options{}, s, service("users", "10.0.1.1"))
		host := "providers-com.acme.greet--gray.mesh"
		e := b.entry(host, host)
		if e == nil || len(e.Endpoints) != 2 {
			t.Fatalf("served is %v, want both endpoints; rejected: %v", e, b.Rejected())
		}
		want := map[string]string{"version": "v1", "methods": "a-b", "dubbo": "2.7.8-x"}
		if diff := cmp.Diff(want, e.Endpoints[0].Labels); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
		classes := map[string]int{}
		for _, r := range b.Rejected() {
			classes[r.Class]++
		}
		if diff := cmp.Diff(map[string]int{ClassLabel: 3}, classes); diff != "" {
			t.Errorf("rejected are %v (-want +got):\n%s", b.Rejected(), diff)
		}
		b.want("users.mesh", "users.mesh", "10.0.1.1:8080")
		b.stop()
	})
}
