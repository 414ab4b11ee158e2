package convert

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/convert/canary"
)

// teamEntry is an entry of a team's file TEAM/NAME.yaml.
func teamEntry(team string, d canary.Document) canary.Entry {
	e := entryOf(d)
	e.Team, e.File = team, keyOf(team, d.Name)+".yaml"
	return e
}

// viewOf is what is told of a team's document.
func (w *world) viewOf(team, name string) CanaryView {
	w.t.Helper()
	for _, v := range w.engine.canaries() {
		if v.Name == name && v.Team == team {
			return v
		}
	}
	w.t.Fatalf("no document %s of team %q", name, team)
	return CanaryView{}
}

// superseded are the findings of this class, in one text.
func (v CanaryView) superseded() string {
	var texts []string
	for _, f := range v.Findings {
		if f.Class == FindingSuperseded && f.Warning {
			texts = append(texts, f.Text)
		}
	}
	return strings.Join(texts, "\n")
}

func TestOfDocumentsInConflictTheOneOfHigherPrecedenceIsServed(t *testing.T) {
	all := func(name, version string, services ...string) canary.Document {
		return canary.Document{Name: name, Services: services, Primary: primary(version)}
	}
	const config = "canary: {teams: [{name: red, files: [red/], services: ['*']}, {name: blue, files: [blue/], services: ['*']}]}"
	for _, test := range []struct {
		what       string
		wins, lost canary.Entry
	}{
		{"the host itself before a glob", teamEntry("blue", all("z", "v2", "echo.mesh")), teamEntry("red", all("a", "v1", "echo.mes?"))},
		{"a longer pattern before a shorter one", teamEntry("blue", all("z", "v2", "*.mesh", "ec*.mesh")), teamEntry("red", all("a", "v1", "e*.mesh"))},
		{"the team that the configuration names first", teamEntry("red", all("z", "v2", "echo.mesh")), teamEntry("blue", all("a", "v1", "echo.mesh"))},
		{"then the name", teamEntry("red", all("a", "v2", "echo.mesh")), teamEntry("red", all("b", "v1", "echo.mesh"))},
	} {
		for _, order := range [][]canary.Entry{{test.wins, test.lost}, {test.lost, test.wins}} {
			w := echoWorld(t, config)
			w.documents(order[0])
			w.step()
			w.documents(order...)
			w.step()
			for _, at := range []*world{w, w.restart()} {
				at.documents(order...)
				at.step()
				at.wantRoutes("echo.mesh", "-> v2 0")
				wins, lost := at.viewOf(test.wins.Team, test.wins.Name), at.viewOf(test.lost.Team, test.lost.Name)
				if wins.State != CanaryServing || lost.State != CanarySuperseded || len(lost.Faults) > 0 {
					t.Errorf("%s: states %s and %s, faults %v", test.what, wins.State, lost.State, lost.Faults)
				}
				want := fmt.Sprintf("primary: document %s of team %s says already what becomes of all other requests at echo.mesh: say it in one of the two", test.wins.Name, test.wins.Team)
				if got := lost.superseded(); got != want {
					t.Errorf("%s: told %q, want %q", test.what, got, want)
				}
			}
			w.documents(test.lost)
			w.step()
			w.wantRoutes("echo.mesh", "-> v1 0")
			if got := w.viewOf(test.lost.Team, test.lost.Name); got.State != CanaryServing || len(got.Findings) > 0 {
				t.Errorf("%s: alone it is %+v", test.what, got)
			}
		}
	}
}

func TestADocumentThatLosesAtOneHostIsServedAtTheOthers(t *testing.T) {
	build := func(late bool) *world {
		w := newWorld(t, compile(t, ""))
		w.put("a", service("one", "v1@10.0.0.1", "v2@10.0.0.2"))
		w.put("a", service("two", "v1@10.0.1.1", "v2@10.0.1.2"))
		shop := service("shop", "v1@10.0.2.1", "v2@10.0.2.2")
		if !late {
			w.put("a", shop)
		}
		w.documents(entryOf(canary.Document{Name: "a-lane", Services: []string{"one.mesh", "shop.mesh"}, Primary: primary("v1")}),
			entryOf(canary.Document{Name: "b-shop", Services: []string{"two.mesh", "shop.mesh"}, Primary: primary("v2")}))
		w.step()
		if late {
			w.put("a", shop)
			w.step()
		}
		return w
	}
	early, late := build(false), build(true)
	if diff := cmp.Diff(early.state(), late.state()); diff != "" {
		t.Errorf("a host that comes late (-early +late):\n%s", diff)
	}
	late.wantRoutes("shop.mesh", "-> v1 0")
	late.wantRoutes("two.mesh", "-> v2 0")
	v := late.viewOf("", "b-shop")
	if v.State != CanaryServing || v.superseded() != "primary: document a-lane says already what becomes of all other requests at shop.mesh: say it in one of the two" {
		t.Errorf("%+v", v)
	}
	late.gone("a", service("shop").Key)
	late.step()
	late.now = late.now.Add(time.Hour)
	late.step()
	if v := late.viewOf("", "b-shop"); v.State != CanaryServing || v.superseded() != "" {
		t.Errorf("without the host: %+v", v)
	}
}

func TestDocumentsConflictByRequestsAndByTheMeaningOfANameAlone(t *testing.T) {
	first := canary.Document{Name: "a", Services: []string{"echo.mesh"}, Primary: primary("v1"),
		Canaries: []canary.Canary{{Version: "v2", Name: "gray", Headers: stage("x")}}}
	for what, test := range map[string]struct {
		canary   canary.Canary
		from     *canary.From
		fallback canary.Fallback
		conflict string
	}{
		"other headers":             {canary: canary.Canary{Version: "v2", Name: "gray", Headers: stage("y")}},
		"the same of other clients": {canary: canary.Canary{Version: "v2", Name: "gray", Headers: stage("x")}, from: &canary.From{Namespace: "web"}},
		"the same headers":          {canary: canary.Canary{Version: "v2", Headers: stage("x")}, conflict: "canaries[0].headers: document a sends these requests to its own canary at echo.mesh: choose other headers"},
		"other endpoints":           {canary: canary.Canary{Version: "v1", Name: "gray", Headers: stage("y")}, conflict: "canaries[0].name: document a has another canary gray at echo.mesh: choose another name"},
		"another fallback": {canary: canary.Canary{Version: "v2", Name: "gray", Headers: stage("y")}, fallback: canary.FallbackFailover,
			conflict: "canaries[0].name: document a has another canary gray at echo.mesh: choose another name"},
	} {
		w := echoWorld(t, "")
		w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2", "v3@10.0.0.3"))
		w.documents(entryOf(first), entryOf(canary.Document{Name: "b", Services: []string{"echo.mesh"}, Canaries: []canary.Canary{test.canary}, From: test.from, Fallback: test.fallback}))
		w.step()
		v := w.viewOf("", "b")
		if got := v.superseded(); got != test.conflict || (v.State == CanarySuperseded) != (test.conflict != "") {
			t.Errorf("%s: %s, told %q, want %q", what, v.State, got, test.conflict)
		}
	}
}

func TestALaneKeepsAHostWhoseLastPrimaryGoesAlsoAfterARestart(t *testing.T) {
	lane := canary.Document{Name: "lane", Services: []string{"*.mesh"}, Primary: primary("v1"), Canaries: []canary.Canary{{Version: "v2", Headers: stage("gray")}}}
	none := canary.Document{Name: "lane", Services: []string{"*.mesh"}, Canaries: lane.Canaries}
	for _, d := range []canary.Document{lane, none} {
		w := echoWorld(t, "")
		w.documents(entryOf(d))
		w.step()
		w.put("a", service("echo", "v2@10.0.0.2"))
		w.step()
		w.now = w.now.Add(time.Minute)
		w.step()
		was := w.routes("echo.mesh")
		if len(was) != 2 {
			t.Fatalf("routes %v", was)
		}
		next := w.restart()
		next.documents(entryOf(d))
		next.step()
		if diff := cmp.Diff(was, next.routes("echo.mesh")); diff != "" {
			t.Errorf("after a restart (-before +after):\n%s", diff)
		}
		next.put("a", service("foxtrot", "v1@10.0.1.1", "v2@10.0.1.2", "v3@10.0.1.3"))
		edited := d
		edited.Primary, edited.Canaries = nil, []canary.Canary{{Version: "v2", Headers: stage("gray"), Weight: 1}, {Version: "v1", Headers: stage("x")}}
		next.documents(entryOf(edited))
		next.step()
		next.wantRoutes("echo.mesh") // what is a primary now was never there
	}
}

func TestALaneTakesInNoHostWhereCanariesHaveEveryEndpoint(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("shop", "v2@10.0.0.1"))
	w.put("a", service("other", "v1@10.0.1.1", "v2@10.0.1.2"))
	w.documents(entryOf(canary.Document{Name: "lane", Services: []string{"*.mesh"}, Canaries: []canary.Canary{{Version: "v2", Headers: stage("canary")}}}))
	w.step()
	w.wantRoutes("shop.mesh")
	w.wantRoutes("other.mesh", "stage=canary -> v2 0", "-> primary 0")
}

func TestADocumentWhoseCanariesHaveEveryEndpointNeedsAPrimary(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("shop", "v2@10.0.0.1", "v3@10.0.0.2"))
	d := canary.Document{Name: "shop", Services: []string{"shop.mesh"}, Canaries: []canary.Canary{{Version: "v2", Headers: stage("canary")}, {Version: "v3", Weight: 10}}}
	w.documents(entryOf(d))
	w.step()
	w.wantRoutes("shop.mesh")
	const want = "primary: is missing, and the canaries have every endpoint of shop.mesh, so all other requests would fail: name a primary; shop.mesh has versions v2, v3"
	if got := w.faults("shop"); got != want || w.stateOf("shop") != CanaryHeld {
		t.Errorf("%s: %q", w.stateOf("shop"), got)
	}
	d.Canaries = []canary.Canary{{Version: "v2", Weight: 90}, {Version: "v3", Weight: 10}}
	w.documents(entryOf(d))
	w.step()
	w.wantRoutes("shop.mesh", "-> v2 90, v3 10")
}

// A document without primary is judged by the endpoints that the registry has, not by what another document makes of them.
func TestWhatAnotherDocumentCallsPrimaryIsNotADocumentsOwn(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	w.put("a", service("shop", "v2@10.0.0.1"))
	w.documents(entryOf(canary.Document{Name: "a", Services: []string{"shop.mesh"}}))
	w.step()
	w.wantRoutes("shop.mesh", "-> primary 0")
	b := canary.Document{Name: "b", Services: []string{"shop.mesh"}, Canaries: []canary.Canary{{Version: "v2", Headers: stage("x")}}}
	w.documents(entryOf(canary.Document{Name: "a", Services: []string{"shop.mesh"}}), entryOf(b))
	w.step()
	if got := w.stateOf("b"); got != CanaryHeld {
		t.Errorf("b is %s", got)
	}
}

func TestTwoTeamsMayHaveDocumentsOfOneName(t *testing.T) {
	w := echoWorld(t, "")
	echo, foxtrot := split("shop", 10), canary.Document{Name: "shop", Services: []string{"foxtrot.mesh"}, Primary: primary("v2")}
	both := []canary.Entry{teamEntry("red", echo), teamEntry("blue", foxtrot)}
	w.documents(both...)
	w.step()
	for _, at := range []*world{w, w.restart()} {
		at.documents(both...)
		at.step()
		at.wantRoutes("echo.mesh", "-> v1 90, v2 10")
		at.wantRoutes("foxtrot.mesh", "-> v2 0")
		at.documents(both[0])
		at.step()
		at.wantRoutes("echo.mesh", "-> v1 90, v2 10")
		at.wantRoutes("foxtrot.mesh")
	}
}

func TestADocumentWhoseFileComesToATeamStaysActive(t *testing.T) {
	w := echoWorld(t, "")
	entry := entryOf(split("echo", 10))
	w.documents(entry)
	w.step()
	entry.Team = "red"
	broken := entry
	broken.Document, broken.Faults = nil, []canary.Fault{{Text: "echo.yaml:1: no YAML"}}
	w.documents(broken)
	w.step()
	for _, at := range []*world{w, w.restart()} {
		at.documents(broken)
		at.step()
		at.wantRoutes("echo.mesh", "-> v1 90, v2 10")
		if v := at.viewOf("red", "echo"); v.State != CanaryLastGood {
			t.Errorf("%+v", v)
		}
	}
	w.documents()
	w.step()
	next := w.restart()
	next.step()
	if left := next.engine.canaries(); len(left) > 0 {
		t.Errorf("left on disk: %+v", left)
	}
}

func TestARecordOfTheTimeWhenNamesWereOfAllTeamsIsTakenOver(t *testing.T) {
	w := echoWorld(t, "")
	w.documents(teamEntry("red", split("echo", 10)))
	w.step()
	w.disk[canaryRecord+"echo"] = w.disk[canaryRecord+"red/echo"]
	delete(w.disk, canaryRecord+"red/echo")
	next := w.restart()
	next.step()
	next.wantRoutes("echo.mesh", "-> v1 90, v2 10")
	if keys := slices.Sorted(func(yield func(string) bool) {
		for key := range next.disk {
			if strings.HasPrefix(key, canaryRecord) && !yield(key) {
				return
			}
		}
	}); !slices.Equal(keys, []string{canaryRecord + "red/echo"}) {
		t.Errorf("on disk: %v", keys)
	}
}
