package convert

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// mixed is a service with an instance of HTTP and gRPC, and one of HTTP alone.
func mixed(name string) *sources.Service {
	s := service(name, "10.0.0.1", "10.0.0.2")
	s.Instances[0].Ports = append(s.Instances[0].Ports, sources.Port{Protocol: "grpc", Number: 9090})
	return s
}

// created are the create times of a host's ServiceEntries, by name.
func (w *world) created(host string) map[string]time.Time {
	times := map[string]time.Time{}
	snap, _ := w.store.Snapshot()
	for r := range snap.All(store.ServiceEntry, store.Shard{}) {
		if r.Host == host {
			times[r.Name] = r.Created
		}
	}
	return times
}

func TestOfAHostOfMixedPortsTheOldestEntryAloneIsSeenAndHasAllPorts(t *testing.T) {
	w := newWorld(t, compile(t, "mesh: {exportTo: [shop]}"))
	w.put("a", mixed("orders"))
	w.step()
	times := w.created("orders.mesh")
	if len(times) != 3 {
		t.Fatalf("the host has %v, want an entry of all ports and one of each", times)
	}
	first := times["registries/orders.mesh.0"]
	all := w.entry("registries/orders.mesh.0")
	if len(all.Ports) != 2 || len(all.Endpoints) != 0 || !slices.Equal(all.ExportTo, []string{"shop"}) {
		t.Errorf("the entry of all ports is %v", all)
	}
	seen := map[time.Time]string{}
	for name, at := range times {
		if other, tie := seen[at]; tie {
			t.Errorf("%s and %s were created at %s", name, other, at)
		}
		seen[at] = name
		if name == "registries/orders.mesh.0" {
			continue
		}
		if !at.After(first) {
			t.Errorf("%s was created at %s, and the entry of all ports at %s", name, at, first)
		}
		if e := w.entry(name); len(e.Ports) != 1 || len(e.Endpoints) == 0 || !slices.Equal(e.ExportTo, nobody) {
			t.Errorf("%s is %v, want endpoints of one port and exported to nobody", name, e)
		}
	}
}

func TestAHostThatBecomesMixedOrUniformSharesNoEntryWithBefore(t *testing.T) {
	w := newWorld(t, compile(t, "retainEmpty: 0s"))
	uniform := mixed("orders")
	uniform.Instances = uniform.Instances[:1]
	served := func(s *sources.Service) map[string]time.Time {
		w.put("a", s)
		w.step()
		return w.created("orders.mesh")
	}
	before := served(uniform)
	between := served(mixed("orders"))
	for name := range before {
		if _, stays := between[name]; stays {
			t.Errorf("%s is changed in place: a client would have a moment without its endpoints", name)
		}
	}
	for name, at := range between {
		if !at.After(before["registries/orders.mesh"]) {
			t.Errorf("%s was created at %s, before the undivided host", name, at)
		}
	}
	if diff := cmp.Diff(before, served(uniform)); diff != "" {
		t.Errorf("uniform again (-before +after)\n%s", diff)
	}
}

func TestAPortMoreLeavesTheEntriesOfOtherPortsAsTheyAre(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", mixed("orders"))
	w.step()
	before := w.state()
	more := mixed("orders")
	more.Instances[0].Ports = append(more.Instances[0].Ports, sources.Port{Protocol: "https", Number: 8443})
	w.put("a", more)
	w.step()
	after := w.state()
	for _, port := range []string{"80", "50051"} {
		key := store.Key{Kind: store.ServiceEntry, Name: "registries/orders.mesh." + port}
		if before[key] == "" || before[key] != after[key] {
			t.Errorf("%s had version %q and has %q", key.Name, before[key], after[key])
		}
	}
}

func TestAnInstanceMoreChangesTheEntriesOfItsPortsAlone(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", mixed("orders"))
	w.step()
	before := w.state()
	more := mixed("orders")
	more.Instances = append(more.Instances, service("orders", "10.0.0.3").Instances[0])
	w.put("a", more)
	w.step()
	var changed []string
	for key, version := range w.state() {
		if before[key] != version {
			changed = append(changed, key.Name)
		}
	}
	if diff := cmp.Diff([]string{"registries/orders.mesh.80"}, changed); diff != "" {
		t.Errorf("changed (-want +got)\n%s", diff)
	}
}
