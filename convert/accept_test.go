package convert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// split sends percent of echo.mesh's requests to v2.
func split(name string, percent int) canary.Document {
	return canary.Document{Name: name, Services: []string{"echo.mesh"}, Primary: primary("v1"), Canaries: []canary.Canary{{Version: "v2", Weight: percent}}}
}

func echoWorld(t *testing.T, config string) *world {
	w := newWorld(t, compile(t, config))
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2"))
	w.put("a", service("foxtrot", "v1@10.0.1.1", "v2@10.0.1.2"))
	return w
}

func (w *world) faults(name string) string {
	var texts []string
	for _, v := range w.engine.canaries() {
		if v.Name == name {
			for _, f := range v.Faults {
				texts = append(texts, f.Text)
			}
		}
	}
	return strings.Join(texts, "\n")
}

func TestADocumentWithAFaultKeepsItsLastGoodContentAndHoldsUpNoOther(t *testing.T) {
	w := echoWorld(t, "")
	foxtrot := canary.Document{Name: "foxtrot", Services: []string{"foxtrot.mesh"}, Primary: primary("v1")}
	w.documents(entryOf(split("echo", 10)), entryOf(foxtrot))
	w.step()
	bad := entryOf(split("echo", 50))
	bad.Faults = []canary.Fault{{Path: "canaries[0].weight", Text: "echo.yaml:3: canaries[0].weight: …"}}
	foxtrot.Canaries = []canary.Canary{{Version: "v2", Weight: 100}}
	w.documents(bad, entryOf(foxtrot))
	w.step()
	w.wantRoutes("echo.mesh", "-> v1 90, v2 10")
	w.wantRoutes("foxtrot.mesh", "-> v2 0")
	if w.stateOf("echo") != CanaryLastGood || w.stateOf("foxtrot") != CanaryServing {
		t.Errorf("states %s, %s", w.stateOf("echo"), w.stateOf("foxtrot"))
	}
}

func TestAFileThatCannotBeReadTakesNoDocumentAway(t *testing.T) {
	w := echoWorld(t, "")
	w.documents(entryOf(split("echo", 10)))
	w.step()
	w.documents(canary.Entry{File: "echo.yaml", Faults: []canary.Fault{{Text: "echo.yaml: permission denied"}}})
	w.step()
	w.wantRoutes("echo.mesh", "-> v1 90, v2 10")
	next := w.restart()
	next.documents(canary.Entry{File: "echo.yaml", Faults: []canary.Fault{{Text: "echo.yaml: permission denied"}}})
	next.step()
	next.wantRoutes("echo.mesh", "-> v1 90, v2 10")
	next.documents()
	next.step()
	next.wantRoutes("echo.mesh")
	after := next.restart()
	after.documents()
	after.step()
	after.wantRoutes("echo.mesh")
	if len(after.engine.canaries()) > 0 {
		t.Errorf("a deleted document came back: %+v", after.engine.canaries())
	}
}

func TestADocumentThatMovedToAnotherFileStaysWhenThatCannotBeRead(t *testing.T) {
	w := echoWorld(t, "")
	entry := entryOf(split("echo", 10))
	w.documents(entry)
	w.step()
	entry.File = "moved.yaml"
	w.documents(entry)
	w.step()
	for _, at := range []*world{w, w.restart()} {
		at.documents(canary.Entry{File: "moved.yaml", Faults: []canary.Fault{{Text: "moved.yaml: permission denied"}}})
		at.step()
		at.wantRoutes("echo.mesh", "-> v1 90, v2 10")
	}
}

func TestADocumentThatNamesOtherServicesLeavesTheFormer(t *testing.T) {
	w := echoWorld(t, "")
	d := split("shop", 10)
	d.Label = "version"
	w.documents(entryOf(d))
	w.step()
	d.Services = []string{"foxtrot.mesh"}
	w.documents(entryOf(d))
	w.step()
	w.wantRoutes("echo.mesh")
	w.wantRoutes("foxtrot.mesh", "-> v1 90, v2 10")
	if at := w.engine.documents.at("echo.mesh").all; len(at) > 0 {
		t.Errorf("%d documents are still of echo.mesh", len(at))
	}
}

func TestADocumentEditedWhileNobodyWatchedComesIntoForce(t *testing.T) {
	w := echoWorld(t, "")
	w.documents(entryOf(split("echo", 10)))
	w.step()
	next := w.restart()
	next.documents(entryOf(split("echo", 60)))
	next.step()
	next.wantRoutes("echo.mesh", "-> v1 40, v2 60")
}

func TestAPrimaryWithoutAnEndpointIsRefused(t *testing.T) {
	w := echoWorld(t, "")
	w.documents(entryOf(canary.Document{Name: "echo", Services: []string{"echo.mesh"}, Primary: primary("v3")}))
	w.step()
	w.wantRoutes("echo.mesh")
	if w.stateOf("echo") != CanaryHeld || !strings.Contains(w.faults("echo"), "no ready endpoint") {
		t.Errorf("%s: %s", w.stateOf("echo"), w.faults("echo"))
	}
	w.put("a", service("echo", "v1@10.0.0.1", "v3@10.0.0.3"))
	w.step()
	w.wantRoutes("echo.mesh", "-> v3 0")
}

func TestWhatIsInForceStaysWhenItsPrimaryGoes(t *testing.T) {
	w := echoWorld(t, "")
	w.documents(entryOf(split("echo", 10)))
	w.step()
	w.put("a", service("echo", "v2@10.0.0.2"))
	w.step()
	w.wantRoutes("echo.mesh", "-> v1 90, v2 10")
	for _, v := range w.engine.canaries() {
		if len(v.Findings) != 1 || v.Findings[0].Class != FindingEmpty {
			t.Errorf("findings %+v", v.Findings)
		}
	}
}

func TestADocumentMayWaitForItsService(t *testing.T) {
	w := echoWorld(t, "")
	w.documents(entryOf(canary.Document{Name: "later", Services: []string{"golf.mesh"}, Primary: primary("v1")}))
	w.step()
	if v := w.engine.canaries()[0]; v.State != CanaryPending || len(v.Findings) != 1 || v.Findings[0].Class != FindingUnknown {
		t.Errorf("%+v", v)
	}
	w.put("a", service("golf", "v1@10.0.2.1"))
	w.step()
	w.wantRoutes("golf.mesh", "-> v1 0")
}

func TestLabelsThatDocumentsNameAreTaken(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	s := service("echo", "v1@10.0.0.1", "v1@10.0.0.2")
	s.Instances[1].Metadata["tier"] = "gray"
	w.put("a", s)
	w.documents(entryOf(canary.Document{Name: "echo", Services: []string{"echo.mesh"},
		Canaries: []canary.Canary{{Name: "gray", Labels: map[string]string{"tier": "gray"}, Headers: stage("canary")}}}))
	w.step()
	w.wantRoutes("echo.mesh", "stage=canary -> gray 0", "-> primary 0")
	got := map[string]map[string]string{}
	for _, e := range w.entry("registries/echo.mesh").Endpoints {
		got[e.Address] = e.Labels
	}
	stamp := &canary.Stamp{Any: []canary.Term{{Not: []map[string]string{{"tier": "gray"}}}}}
	want := map[string]map[string]string{"10.0.0.1": {"version": "v1", stamp.Key(): canary.StampValue}, "10.0.0.2": {"version": "v1", "tier": "gray"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAGlobDoesNotCutOffAServiceWithoutItsPrimary(t *testing.T) {
	w := echoWorld(t, "")
	w.put("a", service("golf", "v7@10.0.2.1"))
	w.documents(entryOf(canary.Document{Name: "all", Services: []string{"*.mesh"}, Primary: primary("v1"), Canaries: []canary.Canary{{Version: "v2", Headers: stage("canary")}}}))
	w.step()
	w.wantRoutes("echo.mesh", "stage=canary -> v2 0", "-> v1 0")
	w.wantRoutes("golf.mesh")
}

func TestPrecedenceOverrideMakesRulesOlderThanThoseOfOthers(t *testing.T) {
	for precedence, year := range map[string]int{canary.PrecedenceYield: 2200, canary.PrecedenceOverride: 2000} {
		w := echoWorld(t, "canary: {precedence: "+precedence+"}")
		w.documents(entryOf(split("echo", 10)))
		w.step()
		for key := range w.state() {
			want := year
			if key.Kind.Kind == "ServiceEntry" {
				want = 2200
			}
			if got := w.resource(key).Created.Year(); got != want {
				t.Errorf("%s: %s was created in %d, want %d", precedence, key, got, want)
			}
		}
	}
}

func TestADocumentsNameOfASubsetWinsOverADiscoveredValue(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	s := service("echo", "base@10.0.0.1", "canary@10.0.0.2")
	s.Instances[1].Metadata["istio.service.tag"] = "gray"
	w.put("a", s)
	w.step()
	w.documents(entryOf(canary.Document{Name: "lane", Services: []string{"echo.mesh"}, Primary: primary("base"),
		Canaries: []canary.Canary{{Name: "canary", Labels: map[string]string{"istio.service.tag": "gray"}, Headers: stage("canary")}}}))
	w.step()
	w.wantRoutes("echo.mesh", "stage=canary -> canary 0", "-> base 0")
	got := map[string]map[string]string{}
	for _, s := range w.rule("registries/mb-echo.mesh").Subsets {
		got[s.Name] = s.Labels
	}
	want := map[string]map[string]string{"base": {"version": "base"}, "canary": {"istio.service.tag": "gray"}, "canary-" + hexOf("version=canary", 4): {"version": "canary"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnotherMeaningOfASubsetsNameHasAnotherNameUntilNoRouteMeansTheFormer(t *testing.T) {
	w := newWorld(t, compile(t, "subsets: {discover: none, retain: 10m}"))
	s := service("echo", "v1@10.0.0.1", "v1@10.0.0.2")
	s.Instances[1].Metadata["istio.service.tag"] = "gray"
	w.put("a", s)
	d := canary.Document{Name: "lane", Services: []string{"echo.mesh"}, Primary: primary("v1"),
		Canaries: []canary.Canary{{Name: "gray", Labels: map[string]string{"istio.service.tag": "gray"}, Headers: stage("canary")}}}
	w.documents(entryOf(d))
	w.step()
	w.wantRoutes("echo.mesh", "stage=canary -> gray 0", "-> v1 0")
	d.Fallback = canary.FallbackFailover
	w.documents(entryOf(d))
	w.step()
	pool := &canary.Stamp{Any: []canary.Term{{Has: map[string]string{"istio.service.tag": "gray"}}, {Has: map[string]string{"version": "v1"}}}}
	aside := "gray-" + hexOf(pool.Key()+"=true|istio.service.tag=gray", 4)
	w.wantRoutes("echo.mesh", "stage=canary -> "+aside+" 0", "-> v1 0")
	if diff := cmp.Diff([]string{"gray", aside, "v1"}, w.subsets("echo.mesh")); diff != "" {
		t.Error(diff)
	}
	w.now = w.now.Add(10 * time.Minute)
	w.step()
	w.wantRoutes("echo.mesh", "stage=canary -> "+aside+" 0", "-> v1 0")
	w.now = w.now.Add(10 * time.Second) // proxies have forgotten the former one
	w.step()
	w.wantRoutes("echo.mesh", "stage=canary -> gray 0", "-> v1 0")
	if diff := cmp.Diff([]string{"gray", aside, "v1"}, w.subsets("echo.mesh")); diff != "" {
		t.Error(diff)
	}
	w.now = w.now.Add(10*time.Minute + time.Second)
	w.step()
	if diff := cmp.Diff([]string{"gray", "v1"}, w.subsets("echo.mesh")); diff != "" {
		t.Error(diff)
	}
}

func TestAnExposureThatMovesStaysUntilTheNewOneHasArrived(t *testing.T) {
	for _, hosts := range [][]string{{"echo.mesh", "foxtrot.mesh"}, {"foxtrot.mesh", "echo.mesh"}} {
		w := echoWorld(t, "")
		exposures := func() (found []string) {
			snap, _ := w.store.Snapshot()
			for r := range snap.All(store.VirtualService, store.Shard{}) {
				if strings.HasPrefix(r.Name, "registries/mb.shop.ops.public.01-") {
					found = append(found, r.Host)
				}
			}
			slices.Sort(found)
			return found
		}
		var want []string
		for _, host := range hosts {
			w.documents(entryOf(canary.Document{Name: "shop", Services: []string{"echo.mesh", "foxtrot.mesh"}, Primary: primary("v1"),
				Expose: []canary.Expose{{Gateway: "ops/public", Hosts: []string{"*"}, Prefix: "/", Service: host}}}))
			w.step()
			want = append(want, host)
			slices.Sort(want)
			if diff := cmp.Diff(want, exposures()); diff != "" {
				t.Errorf("%v: %s", hosts, diff)
			}
		}
		w.now = w.now.Add(10 * time.Second)
		w.step()
		if diff := cmp.Diff(hosts[1:], exposures()); diff != "" {
			t.Errorf("%v: %s", hosts, diff)
		}
	}
}

func TestASubsetOfTwoNamesIsRetainedOnce(t *testing.T) {
	w := echoWorld(t, "")
	d := split("echo", 10)
	d.Canaries[0].Name = "gray"
	w.documents(entryOf(d))
	w.step()
	if diff := cmp.Diff([]string{"gray", "v1", "v2"}, w.subsets("echo.mesh")); diff != "" {
		t.Error(diff)
	}
	w.put("a", service("echo", "v1@10.0.0.1"))
	w.documents()
	w.step()
	if diff := cmp.Diff([]string{"gray", "v1", "v2"}, w.subsets("echo.mesh")); diff != "" {
		t.Error(diff)
	}
}

func TestAPreviewTellsWhatWouldChangeAndChangesNothing(t *testing.T) {
	w := echoWorld(t, "")
	w.documents(entryOf(split("echo", 10)))
	w.step()
	before := w.state()
	changes := w.preview(entryOf(split("echo", 20))).Changes
	if len(changes) != 1 || changes[0].Key.Name != "registries/mb-echo.mesh" || changes[0].Before == nil || changes[0].After == nil {
		t.Errorf("%+v", changes)
	}
	if again := w.preview(entryOf(split("echo", 10))); len(again.Changes)+len(again.Faults) > 0 {
		t.Errorf("the same document changes %+v", again)
	}
	typo := split("echo", 20)
	typo.Canaries[0].Version = "v9"
	if faults := w.preview(entryOf(typo)).Faults["echo"]; len(faults) != 1 || !strings.Contains(faults[0].Text, "has versions v1, v2") {
		t.Errorf("%+v", faults)
	}
	w.step()
	if diff := cmp.Diff(before, w.state()); diff != "" {
		t.Error(diff)
	}
}

// Two replicas see the same reports and documents in another order, at other times; once nothing is retained any more they
// serve the same bytes, and so does one that starts then.
func TestReplicasAgreeWhateverTheOrder(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		services, entries := randomWorld(r)
		config := "subsets: {retain: 1m}\nretainEmpty: 1m"
		var worlds []*world
		for range 2 {
			w := newWorld(t, compile(t, config))
			w.documents()
			for _, i := range r.Perm(len(services)) {
				w.put("a", services[i])
				if r.IntN(3) == 0 {
					some := entries[:r.IntN(len(entries)+1)]
					w.documents(some...)
				}
				if r.IntN(3) == 0 {
					w.step()
					w.now = w.now.Add(time.Duration(r.IntN(20)) * time.Second)
				}
			}
			w.documents(entries...)
			for range 6 {
				w.step()
				w.now = w.now.Add(time.Minute)
			}
			worlds = append(worlds, w)
		}
		fresh := worlds[0].restart()
		fresh.documents(entries...)
		fresh.step()
		for name, other := range map[string]*world{"the other replica": worlds[1], "a fresh one": fresh} {
			if diff := cmp.Diff(worlds[0].state(), other.state()); diff != "" {
				t.Fatalf("seed %d, %s:\n%s", seed, name, diff)
			}
		}
	}
}

// randomWorld is services and documents without conflicts among them.
func randomWorld(r *rand.Rand) (services []*sources.Service, entries []canary.Entry) {
	for i := range 4 {
		name := fmt.Sprintf("s%d", i)
		instances := []string{fmt.Sprintf("v1@10.0.%d.1", i)}
		for j := range r.IntN(4) {
			instances = append(instances, fmt.Sprintf("v%d@10.0.%d.%d", 1+r.IntN(3), i, j+2))
		}
		services = append(services, service(name, instances...))
		d := canary.Document{Name: name, Services: []string{name + ".mesh"}, Primary: primary("v1")}
		if r.IntN(3) == 0 {
			d.Primary = nil
		}
		d.Fallback = []canary.Fallback{canary.FallbackPrimary, canary.FallbackFailover, canary.FallbackNone}[r.IntN(3)]
		if r.IntN(4) > 0 {
			d.Canaries = append(d.Canaries, canary.Canary{Version: "v2", Weight: r.IntN(101), Headers: stage("canary")})
		}
		entries = append(entries, entryOf(d))
	}
	return services, entries
}
