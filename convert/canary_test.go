package convert

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

// entryOf makes an entry of the file NAME.yaml.
func entryOf(d canary.Document) canary.Entry {
	if d.Fallback == "" {
		d.Fallback = canary.FallbackPrimary
	}
	return canary.Entry{Name: d.Name, File: d.Name + ".yaml", Document: &d}
}

func primary(version string) *canary.Primary { return &canary.Primary{Version: version} }

func (w *world) documents(entries ...canary.Entry) { w.engine.entries = &entries }

func (w *world) route(name string) *networkingpb.VirtualService {
	w.t.Helper()
	return lookupSpec[*networkingpb.VirtualService](w, store.VirtualService, "registries/mb-"+name)
}

// routes are the HTTP rules of a host in short: match -> subset weight.
func (w *world) routes(name string) []string {
	w.t.Helper()
	spec := w.route(name)
	if spec == nil {
		return nil
	}
	lines := []string{}
	for _, r := range spec.Http {
		var match, to []string
		for _, m := range r.Match {
			for header, value := range m.Headers {
				match = append(match, header+"="+value.GetExact())
			}
			for k, v := range m.SourceLabels {
				match = append(match, "from "+k+"="+v)
			}
		}
		for _, dest := range r.Route {
			to = append(to, fmt.Sprintf("%s %d", dest.Destination.Subset, dest.Weight))
		}
		if r.DirectResponse != nil {
			to = append(to, fmt.Sprint(r.DirectResponse.Status))
		}
		lines = append(lines, strings.TrimSpace(strings.Join(match, " ")+" -> "+strings.Join(to, ", ")))
	}
	return lines
}

func (w *world) wantRoutes(name string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.routes(name)); diff != "" {
		w.t.Errorf("routes of %s (-want +got):\n%s", name, diff)
	}
}

func (w *world) stateOf(name string) string {
	for _, v := range w.engine.canaries() {
		if v.Name == name {
			return v.State
		}
	}
	return ""
}

func stage(value string) map[string]canary.Match {
	return map[string]canary.Match{"stage": {Exact: value}}
}

func TestTheTwoPhasesOfARollout(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2"))
	step := func(d canary.Document, want ...string) {
		t.Helper()
		d.Name, d.Services = "echo", []string{"echo.mesh"}
		w.documents(entryOf(d))
		w.step()
		w.wantRoutes("echo.mesh", want...)
		if got := w.stateOf("echo"); got != CanaryServing {
			t.Errorf("state %s: %+v", got, w.engine.canaries())
		}
	}
	step(canary.Document{Primary: primary("v1")}, "-> v1 0")
	canaries := []canary.Canary{{Version: "v2", Headers: stage("canary")}}
	step(canary.Document{Primary: primary("v1"), Canaries: canaries}, "stage=canary -> v2 0", "-> v1 0")
	canaries[0].Weight = 50
	step(canary.Document{Primary: primary("v1"), Canaries: canaries}, "stage=canary -> v2 0", "-> v1 50, v2 50")
	canaries[0].Weight = 100
	step(canary.Document{Primary: primary("v1"), Canaries: canaries}, "stage=canary -> v2 0", "-> v2 0")
	step(canary.Document{Primary: primary("v2")}, "-> v2 0")
	w.put("a", service("echo", "v2@10.0.0.2"))
	w.step()
	if diff := cmp.Diff([]string{"v1", "v2"}, w.subsets("echo.mesh")); diff != "" {
		t.Error(diff)
	}
	w.now = w.now.Add(10*time.Minute + time.Second)
	w.step()
	if diff := cmp.Diff([]string{"v2"}, w.subsets("echo.mesh")); diff != "" {
		t.Error(diff)
	}
	w.documents()
	w.step()
	w.wantRoutes("echo.mesh")
	if w.subsets("echo.mesh") == nil {
		t.Error("the subset went with the route to it")
	}
}

func TestAVersionThatNobodyHasChangesNothing(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2"))
	good := canary.Document{Name: "echo", Services: []string{"echo.mesh"}, Primary: primary("v1"), Canaries: []canary.Canary{{Version: "v2", Weight: 10}}}
	w.documents(entryOf(good))
	w.step()
	w.wantRoutes("echo.mesh", "-> v1 90, v2 10")
	bad := good
	bad.Canaries = []canary.Canary{{Version: "v9", Weight: 50}}
	w.documents(entryOf(bad))
	w.step()
	w.wantRoutes("echo.mesh", "-> v1 90, v2 10")
	if got := w.stateOf("echo"); got != CanaryLastGood {
		t.Errorf("state %s", got)
	}
	if text := w.engine.canaries()[0].Faults[0].Text; !strings.Contains(text, "echo.mesh has versions v1, v2") {
		t.Errorf("fault %q", text)
	}
	next := w.restart()
	next.documents(entryOf(bad))
	next.step()
	next.wantRoutes("echo.mesh", "-> v1 90, v2 10")
	if diff := cmp.Diff(w.state(), next.state()); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
	next.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2", "v9@10.0.0.9"))
	next.step()
	next.wantRoutes("echo.mesh", "-> v1 50, v9 50")
}

func TestARuleAtFaultAnswers(t *testing.T) {
	w := newWorld(t, compile(t, "canary: {onInvalid: respond}"))
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2"))
	w.documents(entryOf(canary.Document{Name: "echo", Services: []string{"echo.mesh"}, Primary: primary("v1"),
		Canaries: []canary.Canary{{Version: "v9", Headers: stage("canary")}}}))
	w.step()
	w.wantRoutes("echo.mesh", "stage=canary -> 404", "-> v1 0")
	if got := w.stateOf("echo"); got != CanaryResponding {
		t.Errorf("state %s", got)
	}
}

func TestTheLastInstanceOfACanaryStaysUntilItsRouteHasSettled(t *testing.T) {
	w := newWorld(t, compile(t, "canary: {settle: 10s}"))
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2"))
	w.documents(entryOf(canary.Document{Name: "echo", Services: []string{"echo.mesh"}, Primary: primary("v1"),
		Canaries: []canary.Canary{{Version: "v2", Headers: stage("canary")}}}))
	w.step()
	addresses := func() (all []string) {
		for _, e := range w.entry("registries/echo.mesh").Endpoints {
			all = append(all, e.Address)
		}
		return all
	}
	w.put("a", service("echo", "v1@10.0.0.1"))
	w.step()
	w.wantRoutes("echo.mesh", "-> v1 0")
	if diff := cmp.Diff([]string{"10.0.0.1", "10.0.0.2"}, addresses()); diff != "" {
		t.Error(diff)
	}
	w.now = w.now.Add(10 * time.Second)
	w.step()
	if diff := cmp.Diff([]string{"10.0.0.1"}, addresses()); diff != "" {
		t.Error(diff)
	}
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.3"))
	w.step()
	w.wantRoutes("echo.mesh", "stage=canary -> v2 0", "-> v1 0")
}

func TestTheGateOfARouteIsTheStateWithAllThatItNames(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("echo", "v1@10.0.0.1"))
	w.step()
	d := canary.Document{Name: "echo", Services: []string{"echo.mesh"}, Primary: primary("v1")}
	w.documents(entryOf(d))
	w.step()
	gate := func() uint64 {
		return w.resource(store.Key{Kind: store.VirtualService, Name: "registries/mb-echo.mesh"}).Gate.Generation
	}
	if got := gate(); got != 2 {
		t.Errorf("a route to subset v1, which came with state 2, has gate %d", got)
	}
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2"))
	w.step()
	d.Canaries = []canary.Canary{{Version: "v2", Weight: 1}}
	w.documents(entryOf(d))
	w.step()
	if got := gate(); got != 3 { // v2 is discovered
		t.Errorf("a route to subset v2, which came with state 3, has gate %d", got)
	}
	d.Canaries[0].Weight = 2
	w.documents(entryOf(d))
	w.step()
	if got := gate(); got != 3 {
		t.Errorf("another weight needs nothing new, and has gate %d", got)
	}
	w.put("a", service("echo", "v1@10.0.0.1"))
	w.step()
	w.now = w.now.Add(time.Minute)
	w.step()
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2"))
	w.step()
	if got, now := gate(), current(w.store).Generation; got != now {
		t.Errorf("a route to subset v2, which has had no endpoint until state %d, has gate %d", now, got)
	}
}

func current(s *store.Store) *store.Snapshot {
	snap, _ := s.Snapshot()
	return snap
}

func TestAnInstanceThatComesChangesNoRouteAndNoRule(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2"))
	w.documents(entryOf(canary.Document{Name: "echo", Services: []string{"echo.mesh"}, Primary: primary("v1"),
		Canaries: []canary.Canary{{Version: "v2", Weight: 10}}}))
	w.step()
	before := w.state()
	for _, instances := range [][]string{{"v1@10.0.0.1", "v2@10.0.0.2", "v2@10.0.0.3"}, {"v1@10.0.0.9", "v2@10.0.0.3"}} {
		w.put("a", service("echo", instances...))
		w.step()
		for key, version := range w.state() {
			if key.Kind != store.ServiceEntry && before[key] != version {
				t.Errorf("%v: %s changed", instances, key)
			}
		}
	}
}

// resource finds what is served by its key.
func (w *world) resource(key store.Key) *store.Resource {
	snap, _ := w.store.Snapshot()
	return snap.Find(key)
}
