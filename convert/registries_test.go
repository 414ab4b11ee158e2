package convert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// addressesOf are the addresses of a host's endpoints, in all of its entries.
func addressesOf(w *world, host string) []string {
	var all []string
	snap, _ := w.store.Snapshot()
	for r := range snap.All(store.ServiceEntry, store.Shard{}) {
		if r.Host != host {
			continue
		}
		spec, err := decodeResource(w.t, r).Body.UnmarshalNew()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range spec.(*networkingpb.ServiceEntry).Endpoints {
			all = append(all, e.Address)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestAMoveToAnotherRegistryHasNoMomentWithoutEndpoints moves instances one by one from Eureka to Nacos, with a step after
// every report: each registers in the new registry before it leaves the old one.
func TestAMoveToAnotherRegistryHasNoMomentWithoutEndpoints(t *testing.T) {
	for _, priority := range []int{-1, 0, 1} {
		t.Run(fmt.Sprint("priority ", priority), func(t *testing.T) {
			w := newWorld(t, compile(t, fmt.Sprintf("retainEmpty: 1m\nsources: [{name: eureka}, {name: nacos, priority: %d}]", priority)))
			all := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
			w.put("eureka", service("ORDERS", all...))
			w.step()
			before := w.entry("registries/orders.mesh")
			whole := func(what string) {
				t.Helper()
				w.step()
				if diff := cmp.Diff(all, addressesOf(w, "orders.mesh")); diff != "" {
					t.Fatalf("%s (-want +got):\n%s", what, diff)
				}
				after := w.entry("registries/orders.mesh")
				if after == nil || len(w.state()) != 1 {
					t.Fatalf("%s: served are %v", what, w.state())
				}
				if diff := cmp.Diff(before.Addresses, after.Addresses); diff != "" || after.Ports[0].String() != before.Ports[0].String() || len(after.Ports) != 1 {
					t.Fatalf("%s: addresses %v, ports %v; want %v and %v", what, after.Addresses, after.Ports, before.Addresses, before.Ports)
				}
			}
			for i := range all {
				w.put("nacos", service("orders", all[:i+1]...))
				whole(fmt.Sprintf("%d registered in the new one", i+1))
				w.now = w.now.Add(time.Second)
				if i+1 < len(all) {
					w.put("eureka", service("ORDERS", all[i+1:]...))
				} else {
					w.gone("eureka", sources.Key{Name: "ORDERS"})
				}
				whole(fmt.Sprintf("%d left the old one", i+1))
			}
			w.now = w.now.Add(time.Hour)
			whole("after what the old one said was forgotten")
			if view := w.engine.view(w.engine.hosts.all["orders.mesh"]); len(view.Refs) != 1 || view.Refs[0].Source != "nacos" {
				t.Errorf("comes from %v, want nacos alone", view.Refs)
			}
		})
	}
}

func TestWhatAGoneServiceDecidedHoldsWhileItIsRetained(t *testing.T) {
	w := newWorld(t, compile(t, "retainEmpty: 10m\nsources: [{name: eureka, namespace: old}, {name: nacos, namespace: new}]"))
	w.put("eureka", service("ORDERS", "10.0.0.1"))
	w.put("nacos", service("orders", "10.0.0.2"))
	w.step()
	w.gone("eureka", sources.Key{Name: "ORDERS"})
	w.step()
	if e := w.entry("old/orders.mesh"); e == nil || len(e.Endpoints) != 1 || len(w.state()) != 1 {
		t.Fatalf("served are %v, want old/orders.mesh with the endpoint of the new registry", w.state())
	}
	next := w.restart()
	next.step()
	if diff := cmp.Diff(w.state(), next.state()); diff != "" {
		t.Errorf("the restart changed (-before +after):\n%s", diff)
	}
	w.now = w.now.Add(10 * time.Minute)
	w.step()
	w.rest()
	if e := w.entry("new/orders.mesh"); e == nil || len(e.Endpoints) != 1 || len(w.state()) != 1 {
		t.Errorf("served are %v, want new/orders.mesh with the endpoint", w.state())
	}
}

// TestAHostHasTheEndpointsOfAllItsRegistriesAtAnyTime drives two registries at random, with names that differ in case.
func TestAHostHasTheEndpointsOfAllItsRegistriesAtAnyTime(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 9))
		w := newWorld(t, compile(t, fmt.Sprintf("retainEmpty: 20s\nsources: [{name: eureka, priority: %d}, {name: nacos}]", r.IntN(3)-1)))
		reported := map[string][]string{}
		for range 60 {
			source := []string{"eureka", "nacos"}[r.IntN(2)]
			name := map[string]string{"eureka": "ORDERS", "nacos": "orders"}[source]
			var instances []string
			for i := range 4 {
				if r.IntN(2) == 0 {
					instances = append(instances, fmt.Sprintf("10.0.0.%d", i+1))
				}
			}
			if len(instances) == 0 && r.IntN(2) == 0 {
				w.gone(source, sources.Key{Name: name})
			} else {
				w.put(source, service(name, instances...))
			}
			reported[source] = instances
			w.now = w.now.Add(time.Duration(r.IntN(10)) * time.Second)
			w.step()
			want := slices.Concat(reported["eureka"], reported["nacos"])
			slices.Sort(want)
			want = slices.Compact(want)
			if diff := cmp.Diff(len(want), len(addressesOf(w, "orders.mesh"))); diff != "" {
				t.Fatalf("seed %d: endpoints %v, reported %v", seed, addressesOf(w, "orders.mesh"), reported)
			}
			if len(want) > 0 && !slices.Equal(want, addressesOf(w, "orders.mesh")) {
				t.Fatalf("seed %d: endpoints %v, reported %v", seed, addressesOf(w, "orders.mesh"), reported)
			}
			if len(w.state()) > 1 {
				t.Fatalf("seed %d: more than one object: %v", seed, w.state())
			}
		}
	}
}

// A port that nobody offers any more must not keep its number from one that is offered.
func TestAProtocolThatTakesTheNumberOfAnotherHasItAtOnce(t *testing.T) {
	w := newWorld(t, compile(t, "retainEmpty: 10m"))
	w.put("a", service("orders", "10.0.0.1"))
	w.step()
	other := service("orders", "10.0.0.1")
	other.Instances[0].Ports[0].Protocol = "http2" // number 80, as http
	w.put("a", other)
	w.step()
	e := w.entry("registries/orders.mesh")
	if e == nil || len(e.Ports) != 1 || e.Ports[0].Protocol != "HTTP2" || e.Ports[0].Number != 80 || len(e.Endpoints) != 1 {
		t.Errorf("served is %v, want HTTP2 at 80 with the endpoint", e)
	}
	if rejected := w.engine.rejections(); len(rejected) != 0 {
		t.Errorf("rejected: %v", rejected)
	}
}

// Two protocols of one number cannot both be served: that of the source that comes first is.
func TestOfTwoProtocolsWithOneNumberThePriorityDecides(t *testing.T) {
	for priority, want := range map[int]string{-1: "HTTP", 1: "HTTP2"} {
		w := newWorld(t, compile(t, fmt.Sprintf("sources: [{name: a}, {name: b, priority: %d}]", priority)))
		w.put("a", service("orders", "10.0.0.1"))
		other := service("orders", "10.0.0.2")
		other.Instances[0].Ports[0].Protocol = "http2"
		w.put("b", other)
		w.step()
		e := w.entry("registries/orders.mesh")
		if e == nil || len(e.Ports) != 1 || e.Ports[0].Protocol != want || len(e.Endpoints) != 1 {
			t.Errorf("b has priority %d: served is %v, want %s with its endpoint", priority, e, want)
		}
		if rejected := w.engine.rejections(); len(rejected) != 1 || rejected[0].Class != ClassPort {
			t.Errorf("b has priority %d: rejected are %v, want the port", priority, rejected)
		}
	}
}
