package convert

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/mcpserver/store"
)

func (w *world) subsets(host string) []string {
	rule := w.rule("registries/mb-" + host)
	if rule == nil {
		return nil
	}
	var names []string
	for _, s := range rule.Subsets {
		names = append(names, s.Name)
	}
	return names
}

func TestAnInstanceWithinKnownSubsetsChangesNoDestinationRule(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("orders", "v1@10.0.0.1", "v2@10.0.0.2"))
	w.step()
	rule := store.Key{Kind: store.DestinationRule, Name: "registries/mb-orders.mesh"}
	before := w.state()[rule]
	for _, instances := range [][]string{{"v1@10.0.0.1", "v2@10.0.0.2", "v2@10.0.0.3"}, {"v2@10.0.0.3", "v1@10.0.0.9"}, {"v2@10.0.0.3"}, {}} {
		w.put("a", service("orders", instances...))
		w.step()
		if w.state()[rule] != before {
			t.Errorf("%v: the rule changed", instances)
		}
	}
}

func TestDiscoverSaysWhoGetsSubsets(t *testing.T) {
	for discover, want := range map[string]map[string][]string{
		DiscoverNone:     {"one.mesh": nil, "two.mesh": nil},
		DiscoverMultiple: {"one.mesh": nil, "two.mesh": {"v1", "v2"}},
		DiscoverAll:      {"one.mesh": {"v1"}, "two.mesh": {"v1", "v2"}},
	} {
		w := newWorld(t, compile(t, "subsets: {discover: "+discover+"}"))
		w.put("a", service("one", "v1@10.0.0.1"))
		w.put("a", service("two", "v1@10.0.0.1", "v2@10.0.0.2"))
		w.step()
		for host, names := range want {
			if diff := cmp.Diff(names, w.subsets(host)); diff != "" {
				t.Errorf("discover %s, %s: %s", discover, host, diff)
			}
		}
	}
}

func TestTwoValuesThatWereNeverThereAtOnceAreNoSubsets(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("orders", "v1@10.0.0.1"))
	w.step()
	w.put("a", service("orders", "v2@10.0.0.1"))
	w.step()
	if got := w.subsets("orders.mesh"); got != nil {
		t.Error(got)
	}
}

func TestAnEmptiedSubsetStaysForRetain(t *testing.T) {
	w := newWorld(t, compile(t, "subsets: {retain: 10m}"))
	w.put("a", service("orders", "v1@10.0.0.1", "v2@10.0.0.2", "v3@10.0.0.3"))
	w.step()
	w.put("a", service("orders", "v2@10.0.0.2", "v3@10.0.0.3"))
	w.step()
	w.now = w.now.Add(10*time.Minute - time.Second)
	w.step()
	if diff := cmp.Diff([]string{"v1", "v2", "v3"}, w.subsets("orders.mesh")); diff != "" {
		t.Error(diff)
	}
	w.now = w.now.Add(time.Second)
	w.step()
	if diff := cmp.Diff([]string{"v2", "v3"}, w.subsets("orders.mesh")); diff != "" {
		t.Error(diff)
	}
}

func TestANewValueAtTheCapGetsNoSubsetAndMovesNone(t *testing.T) {
	w := newWorld(t, compile(t, "subsets: {max: 2, retain: 10m}"))
	w.put("a", service("orders", "v2@10.0.0.2", "v3@10.0.0.3"))
	w.step()
	w.put("a", service("orders", "v1@10.0.0.1", "v2@10.0.0.2", "v3@10.0.0.3"))
	w.step()
	want := []string{"v2", "v3"}
	if diff := cmp.Diff(want, w.subsets("orders.mesh")); diff != "" {
		t.Error(diff)
	}
	if text := rejectedText(w.engine.rejections()); !strings.Contains(text, "[subset] version=v1 gets no subset") {
		t.Errorf("not told: %s", text)
	}
	next := w.restart()
	next.step()
	if diff := cmp.Diff(want, next.subsets("orders.mesh")); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
	next.put("a", service("orders", "v1@10.0.0.1", "v3@10.0.0.3"))
	next.step()
	if diff := cmp.Diff([]string{"v1", "v3"}, next.subsets("orders.mesh")); diff != "" {
		t.Errorf("an emptied subset makes room: %s", diff)
	}
}

func TestSeveralLabelsMakeSubsetsOfEach(t *testing.T) {
	w := newWorld(t, compile(t, "subsets: {labels: [version, app], discover: all}"))
	s := service("orders", "v1@10.0.0.1", "v2@10.0.0.2")
	s.Instances[0].Metadata["app"] = "v1"
	w.put("a", s)
	w.step()
	if diff := cmp.Diff([]string{"v1", "v1-" + hexOf("app=v1", 4), "v2"}, w.subsets("orders.mesh")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"version": "v1"}, w.rule("registries/mb-orders.mesh").Subsets[0].Labels); diff != "" {
		t.Errorf("the first label in subsets.labels keeps the name: %s", diff)
	}
}
