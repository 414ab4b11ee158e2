package convert

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"meshbridge/convert/canary"
	"meshbridge/sources"
)

func TestWhatWasActiveStaysWhileItsFolderIsUnknown(t *testing.T) {
	w := echoWorld(t, "")
	entry := entryOf(split("echo", 10))
	entry.File = "canaries/echo.yaml"
	other := entryOf(canary.Document{Name: "foxtrot", Services: []string{"foxtrot.mesh"}, Primary: primary("v1")})
	w.documents(entry, other)
	w.step()
	unknown := canary.Entry{File: "canaries/*.yaml", Unknown: true, Faults: []canary.Fault{{Text: "canaries: no such folder"}}}
	for _, at := range []*world{w, w.restart()} {
		at.documents(unknown)
		at.step()
		at.wantRoutes("echo.mesh", "-> v1 90, v2 10")
		at.wantRoutes("foxtrot.mesh") // its file is known to be gone
		v := at.viewOf("", "echo")
		if diff := cmp.Diff(unknown.Faults, v.Faults); v.State != CanaryLastGood || diff != "" {
			t.Errorf("%s: %s", v.State, diff)
		}
		again := at.restart()
		again.documents(unknown)
		again.step()
		if diff := cmp.Diff(at.state(), again.state()); diff != "" {
			t.Errorf("after a restart (-before +after):\n%s", diff)
		}
	}
	entry.Document = &[]canary.Document{split("echo", 30)}[0]
	back := w.restart()
	back.documents(unknown)
	back.step()
	back.documents(entry)
	back.step()
	back.wantRoutes("echo.mesh", "-> v1 70, v2 30")
	w.documents()
	w.step()
	w.wantRoutes("echo.mesh")
}

func TestAnUnknownFolderThatSaysNothingIsTold(t *testing.T) {
	w := echoWorld(t, "")
	entry := entryOf(split("echo", 10))
	entry.File = "canaries/echo.yaml"
	w.documents(entry)
	w.step()
	w.documents(canary.Entry{File: "canaries/*.yaml", Unknown: true})
	w.step()
	if got := w.faults("echo"); got != "canaries/*.yaml: the folder is missing or cannot be read, so what was active stays: put it back" {
		t.Errorf("told %q", got)
	}
}

func TestAForgottenDocumentIsGoneAlsoFromDisk(t *testing.T) {
	w := echoWorld(t, "")
	entry := teamEntry("red", split("echo", 10))
	w.documents(entry)
	w.step()
	if err := w.engine.forget("red/echo"); err == nil || err.Error() != "forget document red/echo: red/echo.yaml still has it; take it out there" {
		t.Errorf("while its file is there: %v", err)
	}
	unknown := canary.Entry{File: "red/*.yaml", Unknown: true}
	w.documents(unknown)
	w.step()
	if err := w.engine.forget("echo"); err == nil || !strings.Contains(err.Error(), "there is none of this name") {
		t.Errorf("of another team: %v", err)
	}
	if err := w.engine.forget("red/echo"); err != nil {
		t.Fatal(err)
	}
	w.step()
	w.wantRoutes("echo.mesh")
	for _, at := range []*world{w, w.restart()} {
		at.documents(unknown)
		at.step()
		at.wantRoutes("echo.mesh")
		if _, ok := at.disk[canaryRecord+"red/echo"]; ok {
			t.Error("its record is still there")
		}
	}
}

// An edit of a document that exposes nothing new has that document judged and its hosts converted, and no others.
func TestAnEditIsWorkForItsDocumentAlone(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	var entries []canary.Entry
	for i := range 50 {
		w.put("a", service(fmt.Sprintf("s%02d", i), "v1@10.0.0.1", "v2@10.0.0.2"))
		entries = append(entries, entryOf(exposing(fmt.Sprintf("d%02d", i), fmt.Sprintf("s%02d.mesh", i), path(fmt.Sprintf("/s%02d", i), "*"))))
	}
	w.documents(entries...)
	w.step()
	edited := *entries[7].Document
	edited.Canaries = []canary.Canary{{Version: "v2", Weight: 1}}
	entries = slices.Clone(entries)
	entries[7].Document = &edited
	w.documents(entries...)
	w.engine.saves = map[string]string{}
	w.engine.announce()
	if got := slices.Collect(maps.Keys(w.engine.documents.checks)); !slices.Equal(got, []string{"d07"}) {
		t.Errorf("decided about %v", got)
	}
	if got := slices.Collect(maps.Keys(w.engine.dirty)); !slices.Equal(got, []string{"s07.mesh"}) {
		t.Errorf("converted %v", got)
	}
	w.step()
	w.wantRoutes("s07.mesh", "-> v1 99, v2 1")
	w.engine.documents.expose(w.engine.documents.all["d07"])
	if len(w.engine.documents.open)+len(w.engine.documents.moved) > 0 {
		t.Errorf("decided anew about gateways %v", w.engine.documents.open)
	}
}

func TestADocumentThatLosesIsToldOnceAndWhenItNoLongerDoes(t *testing.T) {
	w := echoWorld(t, "")
	told := func(want string) {
		t.Helper()
		w.step()
		var got []string
		for _, d := range w.engine.disputes() {
			text := d.key
			if len(d.lost) > 0 {
				text += " at " + d.lost[0].host
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	a, b := entryOf(split("a", 10)), entryOf(split("b", 20))
	w.documents(b)
	told("")
	w.documents(a, b)
	told("b at echo.mesh")
	w.documents(a, entryOf(split("b", 30)))
	told("")
	w.put("a", service("echo", "v1@10.0.0.1", "v2@10.0.0.2", "v2@10.0.0.3"))
	told("")
	w.documents(entryOf(split("b", 30)))
	told("b")
	w.documents(b)
	told("")
}

func TestAForgottenDocumentAndOneThatLosesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := run(t, compile(t, ""), Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, sources.Expected{Name: "a", Required: true})
		sink := r.mirror.Sink("a")
		sink.Scopes([]string{""})
		sink.Snapshot("", []*sources.Service{service("echo", "v1@10.0.0.1", "v2@10.0.0.2")}, nil)
		r.SetCanaries([]canary.Entry{teamEntry("red", split("a", 10)), teamEntry("red", split("b", 20))})
		synctest.Wait()
		if n := strings.Count(log.String(), `level=INFO msg="a canary document is superseded by another one" document=red/b file=red/b.yaml at=echo.mesh`); n != 1 {
			t.Errorf("told %d times: %s", n, log.String())
		}
		r.SetCanaries([]canary.Entry{{File: "red/*.yaml", Unknown: true}})
		synctest.Wait()
		if err := r.ForgetCanary("red", "a"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if views := r.Canaries(); len(views) != 2 || views[1].Name != "b" || views[1].superseded() != "" { // with the folder's own
			t.Errorf("%+v", views)
		}
		if err := r.ForgetCanary("red", "a"); err == nil {
			t.Error("forgotten twice")
		}
		if n := strings.Count(log.String(), `level=INFO msg="a canary document is superseded nowhere any more" document=red/b`); n != 1 {
			t.Errorf("told %d times: %s", n, log.String())
		}
		r.stop()
	})
}
