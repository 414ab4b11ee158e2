package sources_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
)

// TestTheGuardHoldsOnlyWhatWent checks, over random histories: what the registry reports is served at once and always, what is
// served besides was reported within the window or is held, and once time and a release have passed nothing is.
func TestTheGuardHoldsOnlyWhatWent(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			guarded(t, "", func(w *world) {
				w.sink.Scopes([]string{"s"})
				w.snapshot(nil)
				reported := map[string]*sources.Service{}
				for range 300 {
					w.randomReport(r, reported)
					w.after(time.Duration(r.IntN(1500)) * time.Millisecond)
					if r.IntN(60) == 0 {
						w.after(5 * time.Minute)
					}
					w.wantReported(reported)
				}
				w.after(time.Minute)
				if _, err := w.mirror.Release("a"); err != nil {
					t.Fatal(err)
				}
				w.after(time.Second)
				for name, ids := range w.taken {
					if s := reported[strings.TrimPrefix(name, "s/")]; s == nil || len(usableIDs(s)) != len(ids) {
						t.Errorf("after a release %s has %v, reported %v", name, ids, s)
					}
				}
				w.wantHeld(0, "after a release")
			})
		})
	}
}

func (w *world) randomReport(r *rand.Rand, reported map[string]*sources.Service) {
	switch r.IntN(12) {
	case 0:
		clear(reported)
		w.snapshot(nil)
		return
	case 1:
		var all []*sources.Service
		for _, name := range slices.Sorted(maps.Keys(reported)) {
			if r.IntN(3) == 0 {
				delete(reported, name)
			} else {
				all = append(all, copied(reported[name]))
			}
		}
		w.snapshot(all)
		return
	}
	for range 1 + r.IntN(3) {
		name := fmt.Sprintf("s%02d", r.IntN(8))
		if r.IntN(6) == 0 {
			delete(reported, name)
			w.sink.Update("s", nil, []sources.Key{{Scope: "s", Name: name}})
			continue
		}
		ids := map[string]bool{}
		for range r.IntN(7) {
			ids[fmt.Sprintf("10.0.%d.%d", r.IntN(3), r.IntN(20))] = true
		}
		s := service(name, slices.Sorted(maps.Keys(ids))...)
		for i := range s.Instances {
			s.Instances[i].Healthy = r.IntN(5) > 0
		}
		reported[name] = s
		w.sink.Update("s", []*sources.Service{copied(s)}, nil)
	}
}

func (w *world) wantReported(reported map[string]*sources.Service) {
	w.t.Helper()
	for name, s := range reported {
		served := w.taken["s/"+name]
		for _, id := range usableIDs(s) {
			if !slices.Contains(served, id) {
				w.t.Fatalf("%s: %s is reported and not served: %v", name, id, served)
			}
		}
	}
	status := w.mirror.Sources()[0].Scopes[0]
	now := 0
	for _, s := range reported {
		now += len(usableIDs(s))
	}
	if h := status.Held; h != nil && (h.Now != now || status.Usable-h.Instances != now || h.Instances == 0) {
		w.t.Fatalf("held %+v, served %d usable, reported %d", h, status.Usable, now)
	}
	if status.Usable != w.usable() {
		w.t.Fatalf("counted %d usable instances, taken %d", status.Usable, w.usable())
	}
}

func usableIDs(s *sources.Service) []string {
	var ids []string
	for i := range s.Instances {
		if s.Instances[i].Usable() {
			ids = append(ids, s.Instances[i].ID)
		}
	}
	return ids
}

func copied(s *sources.Service) *sources.Service {
	c := *s
	c.Instances = slices.Clone(s.Instances)
	return &c
}
