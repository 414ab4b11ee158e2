package convert

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

func TestAServiceWithoutInstancesStaysWithoutEndpointsUntilRetainEmpty(t *testing.T) {
	w := newWorld(t, compile(t, "retainEmpty: 10m"))
	w.put("a", service("orders", "10.0.0.1"))
	w.step()
	full := w.entry("registries/orders.mesh")

	w.now = w.now.Add(time.Minute)
	w.put("a", service("orders"))
	w.step()
	empty := w.entry("registries/orders.mesh")
	if empty == nil || len(empty.Endpoints) != 0 {
		t.Fatalf("entry is %v, want one without endpoints", empty)
	}
	if diff := cmp.Diff(full.Ports[0].String(), empty.Ports[0].String()); diff != "" || len(empty.Ports) != 1 {
		t.Errorf("ports changed: %s", diff)
	}
	if diff := cmp.Diff(full.Addresses, empty.Addresses); diff != "" {
		t.Errorf("addresses changed: %s", diff)
	}

	w.now = w.now.Add(10*time.Minute - time.Second)
	w.step()
	if w.entry("registries/orders.mesh") == nil {
		t.Error("gone before retainEmpty")
	}
	w.now = w.now.Add(time.Second)
	w.step()
	if w.entry("registries/orders.mesh") != nil {
		t.Error("still there after retainEmpty")
	}
}

func TestAServiceThatLeftTheRegistryIsRetainedToo(t *testing.T) {
	w := newWorld(t, compile(t, "retainEmpty: 10m"))
	w.put("a", service("orders", "10.0.0.1"))
	w.step()
	w.gone("a", sources.Key{Name: "orders"})
	w.step()
	if e := w.entry("registries/orders.mesh"); e == nil || len(e.Endpoints) != 0 {
		t.Fatalf("entry is %v, want one without endpoints", e)
	}
	w.now = w.now.Add(10 * time.Minute)
	w.step()
	if len(w.state()) != 0 || len(w.engine.refs)+len(w.engine.hosts.all)+len(w.engine.vips.taken) != 0 {
		t.Errorf("something is left: %v, %d refs, %d hosts, %d addresses", w.state(), len(w.engine.refs), len(w.engine.hosts.all), len(w.engine.vips.taken))
	}
}

func TestAServiceThatADeclaringSourceNoLongerListsGoesAtOnce(t *testing.T) {
	w := newWorld(t, compile(t, "sources: [{name: files, declared: true}]"))
	w.put("files", service("orders", "10.0.0.1"))
	w.step()
	w.gone("files", sources.Key{Name: "orders"})
	w.step()
	if len(w.state()) != 0 || len(w.engine.hosts.all) != 0 {
		t.Errorf("still there: %v", w.state())
	}
}

func TestAServiceNeverSeenWithAnInstanceIsNotServed(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("orders"))
	w.step()
	if len(w.state()) != 0 {
		t.Errorf("served: %v", w.state())
	}
}

func TestAnEmptyServiceThatComesBackChangesEndpointsOnly(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("orders", "10.0.0.1"))
	w.step()
	before := w.state()
	w.put("a", service("orders"))
	w.step()
	w.put("a", service("orders", "10.0.0.1"))
	w.step()
	if diff := cmp.Diff(before, w.state()); diff != "" {
		t.Error(diff)
	}
}

func TestAPortWithoutEndpointsIsRetainedAndTheLayoutStays(t *testing.T) {
	w := newWorld(t, compile(t, "retainEmpty: 10m"))
	mixed := service("orders", "10.0.0.1", "10.0.0.2")
	mixed.Instances[1].Ports = []sources.Port{{Protocol: "tri", Number: 50051}}
	w.put("a", mixed)
	w.step()
	if w.entry("registries/orders.mesh.50051") == nil || w.entry("registries/orders.mesh.80") == nil {
		t.Fatalf("not split: %v", w.state())
	}
	w.put("a", service("orders", "10.0.0.1"))
	w.step()
	if e := w.entry("registries/orders.mesh.0"); e == nil || len(e.Ports) != 2 || w.entry("registries/orders.mesh.50051") != nil {
		t.Fatalf("%v, want both ports, and no entry of the one without endpoints", w.state())
	}
	w.put("a", service("orders"))
	w.step()
	if e := w.entry("registries/orders.mesh.0"); e == nil || len(e.Ports) != 2 {
		t.Fatalf("an empty service changed its layout: %v", w.state())
	}
	w.put("a", service("orders", "10.0.0.1"))
	w.step()
	w.now = w.now.Add(10 * time.Minute)
	w.step()
	if e := w.entry("registries/orders.mesh"); e == nil || len(e.Ports) != 1 || w.entry("registries/orders.mesh.80") != nil {
		t.Errorf("after retainEmpty: %v", w.state())
	}
}

func TestAHostThatAnInstanceLeavesIsRetained(t *testing.T) {
	w := newWorld(t, compile(t, "sources: [{name: a, host: '{{.Service}}.{{.Metadata.version}}.mesh'}]\nretainEmpty: 10m"))
	w.put("a", service("orders", "v1@10.0.0.1", "v2@10.0.0.2"))
	w.step()
	w.put("a", service("orders", "v2@10.0.0.1", "v2@10.0.0.2"))
	w.step()
	if e := w.entry("registries/orders.v1.mesh"); e == nil || len(e.Endpoints) != 0 {
		t.Fatalf("v1 is %v, want it without endpoints", e)
	}
	if e := w.entry("registries/orders.v2.mesh"); len(e.Endpoints) != 2 {
		t.Errorf("v2 has %d endpoints", len(e.Endpoints))
	}
	w.now = w.now.Add(10 * time.Minute)
	w.step()
	if w.entry("registries/orders.v1.mesh") != nil {
		t.Error("v1 is still there after retainEmpty")
	}
}

func TestARestartLosesNothingThatIsRetained(t *testing.T) {
	w := newWorld(t, compile(t, "retainEmpty: 10m"))
	w.put("a", service("gone", "v1@10.0.0.1", "v2@10.0.0.2"))
	w.put("a", service("empty", "10.0.0.3"))
	w.put("a", service("left", "v1@10.0.0.4", "v2@10.0.0.5"))
	w.put("b", service("full", "10.0.0.6"))
	w.step()
	w.now = w.now.Add(time.Minute)
	w.gone("a", sources.Key{Name: "gone"})
	w.put("a", service("empty"))
	w.put("a", service("left", "v1@10.0.0.4"))
	w.step()
	before := w.state()

	w.now = w.now.Add(time.Minute)
	next := w.restart()
	next.step()
	if diff := cmp.Diff(before, next.state()); diff != "" {
		t.Errorf("the restart changed (-before +after):\n%s", diff)
	}
	next.now = w.now.Add(9 * time.Minute)
	next.step()
	if next.entry("registries/gone.mesh") != nil || next.entry("registries/empty.mesh") != nil || next.rule("registries/mb-left.mesh") != nil {
		t.Errorf("retained for longer than the first process would have: %v", next.state())
	}
	if next.entry("registries/full.mesh") == nil || len(next.disk) != 0 {
		t.Errorf("%v; on disk: %v", next.state(), next.disk)
	}
}

func TestNothingIsServedBeforeTheGateOpens(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.open = false
	w.put("a", service("orders", "10.0.0.1"))
	if c := w.step(); c.Open || len(c.Put) > 0 {
		t.Errorf("change %v before the gate opens", c)
	}
	w.open = true
	c := w.step()
	if !c.Open || len(c.Put) != 1 || c.Put[0].Changed != start {
		t.Errorf("change %v, want orders.mesh of %s and the open gate", c, start)
	}
}

func TestASourceThatIsNoLongerConfiguredGoesAtOnce(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("orders", "10.0.0.1"))
	w.put("b", service("orders", "10.0.0.2"))
	w.put("b", service("other", "10.0.0.3"))
	w.step()
	rules := parseCase(t, "", "a: []", "").rules
	w.engine.adopt(rules, w.now)
	w.step()
	if e := w.entry("registries/orders.mesh"); e == nil || len(e.Endpoints) != 1 || len(w.state()) != 1 {
		t.Errorf("%v", w.state())
	}
	w.engine.adopt(compile(t, ""), w.now)
	w.step()
	if len(w.state()) != 2 {
		t.Errorf("the source came back, its services did not: %v", w.state())
	}
}

func TestOtherRulesWithTheSameOutcomeAreNoChange(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("orders", "10.0.0.1"))
	w.step()
	before, _ := w.store.Snapshot()
	w.engine.adopt(compile(t, "sources: [{name: a, priority: 7}]"), w.now)
	w.step()
	if after, _ := w.store.Snapshot(); after != before {
		t.Error("the store changed")
	}
	w.engine.adopt(compile(t, "mesh: {namespace: other}\nsources: [{name: a, host: 'x-{{.Service}}.mesh'}]"), w.now)
	w.step()
	if _, ok := w.state()[store.Key{Kind: store.ServiceEntry, Name: "other/x-orders.mesh"}]; !ok || len(w.state()) != 1 {
		t.Errorf("%v", w.state())
	}
}
