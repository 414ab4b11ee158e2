package sourcetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"meshbridge/sources"
)

// Registry is a registry that a suite can change, and the source under test that follows it.
type Registry struct {
	Source sources.Source
	// Put makes the registry hold the named service with instances 10.0.0.1 to 10.0.0.n on port 8080, and no others.
	Put func(name string, n int)
	// Remove takes the service out of the registry.
	Remove func(name string)
	// Break makes the registry unreadable, Mend readable again with the same content.
	Break, Mend func()
}

// Run runs the contract of a source. Each part gets a registry of its own, empty but for what the suite puts there.
func Run(t *testing.T, open func(t *testing.T) Registry) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, r Registry)
	}{
		{"TheFirstReportOfEachScopeIsASnapshot", firstIsSnapshot},
		{"AChangeIsReportedForItsServiceAlone", changeIsReported},
		{"AServiceThatGoesIsRemovedOrHasNoInstances", serviceGoes},
		{"AnOutageRemovesNothing", outageRemovesNothing},
		{"AChangeAfterAnOutageArrives", changeAfterOutage},
		{"CancelReturnsAndLeaksNothing", cancelReturns},
		{"RunMayBeCalledAgain", runAgain},
	} {
		t.Run(part.name, func(t *testing.T) {
			registry := open(t)
			part.run(t, registry)
		})
	}
}

// Start runs the source in the background, kept alive as in production, until the test ends or stop is called.
func Start(t *testing.T, src sources.Source) (*Recorder, func()) {
	t.Helper()
	r := NewRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			err := src.Run(ctx, r)
			if ctx.Err() != nil {
				return
			}
			r.lost(err)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			cancel()
			<-done
		}
	}
	t.Cleanup(func() {
		stop()
		p, _ := r.Picture()
		for _, w := range p.Wrong {
			t.Error(w)
		}
	})
	return r, stop
}

func has(name string, n int) func(Picture) bool {
	return func(p Picture) bool { return p.Instances(name) == n }
}

func firstIsSnapshot(t *testing.T, r Registry) {
	for i := range 5 {
		r.Put(fmt.Sprintf("service-%d", i), i+1)
	}
	rec, _ := Start(t, r.Source)
	p := rec.Wait(t, "five services", func(p Picture) bool { return len(p.Services) >= 5 })
	for i := range 5 {
		if n := p.Instances(fmt.Sprintf("service-%d", i)); n != i+1 {
			t.Errorf("service-%d has %d instances in the first report, want %d", i, n, i+1)
		}
	}
}

func changeIsReported(t *testing.T, r Registry) {
	r.Put("stays", 2)
	r.Put("grows", 1)
	rec, _ := Start(t, r.Source)
	before := rec.Wait(t, "the first report", func(p Picture) bool { return p.Instances("grows") == 1 && p.Instances("stays") == 2 })
	r.Put("grows", 3)
	after := rec.Wait(t, "two more instances", has("grows", 3))
	if diff := cmp.Diff(before.Service("stays"), after.Service("stays")); diff != "" {
		t.Errorf("the other service changed: %s", diff)
	}
	r.Put("grows", 1)
	rec.Wait(t, "two instances less", has("grows", 1))
}

func serviceGoes(t *testing.T, r Registry) {
	r.Put("stays", 1)
	r.Put("goes", 2)
	rec, _ := Start(t, r.Source)
	rec.Wait(t, "both", func(p Picture) bool { return p.Instances("goes") == 2 && p.Instances("stays") == 1 })
	r.Remove("goes")
	p := rec.Wait(t, "one without instances", func(p Picture) bool { return p.Instances("goes") <= 0 })
	if p.Instances("stays") != 1 {
		t.Error("its neighbour went along")
	}
}

func broken(p Picture) bool {
	for _, err := range p.States {
		if err != nil {
			return true
		}
	}
	return false
}

func outageRemovesNothing(t *testing.T, r Registry) {
	r.Put("stays", 3)
	rec, _ := Start(t, r.Source)
	rec.Wait(t, "the first report", has("stays", 3))
	r.Break()
	p := rec.Wait(t, "the state that says so", broken)
	if p.Instances("stays") != 3 || p.Removals != 0 {
		t.Errorf("the outage removed something: %d instances, %d removals", p.Instances("stays"), p.Removals)
	}
	r.Mend()
	p = rec.Wait(t, "the state that says it is over", func(p Picture) bool { return !broken(p) })
	if p.Instances("stays") != 3 || p.Removals != 0 {
		t.Errorf("the recovery removed something: %d instances, %d removals", p.Instances("stays"), p.Removals)
	}
}

func changeAfterOutage(t *testing.T, r Registry) {
	r.Put("before", 1)
	rec, _ := Start(t, r.Source)
	rec.Wait(t, "the first report", has("before", 1))
	r.Break()
	rec.Wait(t, "the state that says so", broken)
	r.Mend()
	r.Put("after", 2)
	rec.Wait(t, "what came after", func(p Picture) bool { return p.Instances("after") == 2 && p.Instances("before") == 1 })
}

func cancelReturns(t *testing.T, r Registry) {
	others := goleak.IgnoreCurrent()
	r.Put("some", 1)
	rec, stop := Start(t, r.Source)
	rec.Wait(t, "the first report", has("some", 1))
	stop()
	if err := goleak.Find(others); err != nil {
		t.Error(err)
	}
}

func runAgain(t *testing.T, r Registry) {
	r.Put("some", 1)
	first, stop := Start(t, r.Source)
	first.Wait(t, "the first report", has("some", 1))
	stop()
	r.Put("some", 2)
	second, _ := Start(t, r.Source)
	second.Wait(t, "the second run's report", has("some", 2))
}
