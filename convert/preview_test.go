package convert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// preview is what Converter.Preview does.
func (w *world) preview(entries ...canary.Entry) CanaryPreview {
	p := w.engine.newPreview(entries)
	p.choose(slices.Collect(maps.Keys(w.engine.hosts.all)))
	for _, host := range p.hosts {
		p.look(w.engine, host, w.now)
	}
	return p.result()
}

// in is what a preview says in short: the names of documents with faults, the keys of those with findings.
func (p CanaryPreview) in() string {
	return fmt.Sprint(slices.Sorted(maps.Keys(p.Faults)), slices.Sorted(maps.Keys(p.Findings)))
}

func TestDocumentsOfOneFileArePreviewedAsTheyWouldBeInPlace(t *testing.T) {
	a := canary.Document{Name: "a", Services: []string{"echo.mesh"}, Primary: primary("v1")}
	b := canary.Document{Name: "b", Services: []string{"echo.mesh"}, Canaries: []canary.Canary{{Version: "v2", Headers: stage("x")}}}
	swapped := []canary.Document{
		{Name: "a", Services: []string{"echo.mesh"}, Canaries: []canary.Canary{{Version: "v2", Headers: stage("y")}}},
		{Name: "b", Services: []string{"echo.mesh"}, Primary: primary("v1")},
	}
	gate := []canary.Document{exposing("a", "echo.mesh", path("/y", "*")), exposing("z", "foxtrot.mesh", path("/x", "*"))}
	for what, test := range map[string]struct {
		before, next []canary.Document
		want         string
	}{
		"the decision goes from one to the other": {[]canary.Document{a, b}, swapped, "[] []"},
		"two new ones that exclude each other":    {nil, []canary.Document{split("c", 10), split("d", 20)}, "[d] [d]"},
		"one that loses to what is there":         {[]canary.Document{a}, []canary.Document{split("d", 20)}, "[d] [d]"},
		"one that takes from what is there":       {[]canary.Document{split("d", 20)}, []canary.Document{split("c", 20)}, "[] [d]"},
		"a path goes from one to the other":       {[]canary.Document{exposing("a", "echo.mesh", path("/x", "*"))}, gate, "[] []"},
		"a path of another":                       {gate, []canary.Document{exposing("b", "foxtrot.mesh", path("/x", "*"))}, "[] [z]"},
		"a path that another has":                 {[]canary.Document{gate[0]}, []canary.Document{exposing("b", "foxtrot.mesh", path("/y", "*"))}, "[] [b]"},
		"a version that nobody has":               {[]canary.Document{a}, []canary.Document{{Name: "a", Services: []string{"echo.mesh"}, Primary: primary("v9")}}, "[a] []"},
	} {
		w := echoWorld(t, "")
		before := map[string]canary.Entry{}
		for _, d := range test.before {
			before[d.Name] = entryOf(d)
		}
		w.documents(slices.Collect(maps.Values(before))...)
		w.step()
		state, told := w.state(), w.told()
		var next []canary.Entry
		for _, d := range test.next {
			next = append(next, entryOf(d))
			before[d.Name] = entryOf(d)
		}
		p := w.preview(next...)
		if got := p.in(); got != test.want {
			t.Errorf("%s: %s, want %s: %+v", what, got, test.want, p)
		}
		w.step()
		if diff := cmp.Diff(state, w.state()) + cmp.Diff(told, w.told()); diff != "" {
			t.Errorf("%s: the preview changed something:\n%s", what, diff)
		}
		w.documents(slices.Collect(maps.Values(before))...)
		w.step()
		w.now = w.now.Add(10 * time.Second) // what another document takes over stays until that has arrived
		w.step()
		for name, faults := range p.Faults {
			if v := w.viewOf("", name); v.State == CanaryServing {
				t.Errorf("%s: %s is served in spite of %v", what, name, faults)
			}
		}
		if len(p.Faults) > 0 {
			continue
		}
		want, got := map[store.Key]string{}, map[store.Key]string{}
		for _, c := range p.Changes {
			got[c.Key] = version(c.After)
		}
		for key := range state {
			want[key] = ""
		}
		maps.Copy(want, w.state())
		maps.DeleteFunc(want, func(key store.Key, v string) bool { return state[key] == v })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: changes (-in place +preview):\n%s", what, diff)
		}
	}
}

func version(r *store.Resource) string {
	if r == nil {
		return ""
	}
	return r.Version
}

func TestAPreviewWithoutAFileIsOfTheOnlyDocumentOfItsName(t *testing.T) {
	w := echoWorld(t, "")
	w.documents(teamEntry("red", split("echo", 10)))
	w.step()
	entry := canary.Entry{Name: "echo", Document: entryOf(split("echo", 20)).Document}
	if p := w.preview(entry); p.in() != "[] []" || len(p.Changes) != 1 {
		t.Errorf("%+v", p)
	}
}

// The converter is free between any two slices of a preview, and each is a few hosts; when whoever asked goes, the preview ends.
func TestAPreviewLetsConversionGoOnAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, compile(t, ""), Options{}, sources.Expected{Name: "a", Required: true})
		var all []*sources.Service
		for i := range 10 * previewSlice {
			all = append(all, service(fmt.Sprintf("s%03d", i), "v1@10.0.0.1", "v2@10.0.0.2"))
		}
		sink := r.mirror.Sink("a")
		sink.Scopes([]string{""})
		sink.Snapshot("", all, nil)
		synctest.Wait()
		entry := entryOf(canary.Document{Name: "lane", Services: []string{"*.mesh"}, Primary: primary("v1"), Canaries: []canary.Canary{{Version: "v3", Weight: 5}}})
		ctx := &asked{Context: t.Context(), left: 100, each: func() {
			if !r.mu.TryLock() {
				t.Fatal("the converter is locked between slices")
			}
			r.mu.Unlock()
		}}
		p, err := r.Preview(ctx, []canary.Entry{entry})
		if err != nil || len(p.Changes) == 0 || len(p.Faults["lane"]) != 1 || ctx.left != 90 {
			t.Errorf("%v, %d changes, faults %v, asked %d times", err, len(p.Changes), p.Faults, 100-ctx.left)
		}
		ctx.left = 3
		if _, err := r.Preview(ctx, []canary.Entry{entry}); !errors.Is(err, context.Canceled) {
			t.Errorf("a preview that nobody waits for any more: %v", err)
		}
		r.stop()
	})
}

// asked is a context that ends when it has been asked often enough.
type asked struct {
	context.Context
	left int
	each func()
}

func (c *asked) Err() error {
	if c.each(); c.left == 0 {
		return context.Canceled
	}
	c.left--
	return nil
}
