package sources_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"meshbridge/sources"
)

// world is a mirror with one guarded source, which runs in a synctest bubble, and what a consumer has taken of it.
type world struct {
	t       *testing.T
	mirror  *sources.Mirror
	sink    sources.Sink
	taken   map[string][]string // usable instances by scope/service
	changes int                 // services taken
}

func guarded(t *testing.T, dir string, run func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, mirror: sources.NewMirror(time.Now, slog.New(slog.DiscardHandler)), taken: map[string][]string{}}
		if dir != "" {
			defer w.mirror.Restore(dir)()
		}
		w.expect("id", sources.DefaultProtect())
		w.sink = w.mirror.Sink("a")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = w.mirror.Run(ctx) // it ends with ctx
		}()
		run(w)
		cancel()
		<-done
	})
}

func (w *world) expect(identity string, p sources.Protect) {
	w.mirror.Expect([]sources.Expected{{Name: "a", Required: true, Identity: identity, Protect: p}})
}

// after lets time pass and takes what changed.
func (w *world) after(d time.Duration) *world {
	time.Sleep(d)
	synctest.Wait()
	for {
		changes, _ := w.mirror.Take()
		w.changes += len(changes)
		for _, c := range changes {
			name := c.Ref.Key.Scope + "/" + c.Ref.Key.Name
			delete(w.taken, name)
			if c.Service != nil {
				ids := []string{}
				for _, i := range c.Service.Instances {
					if i.Usable() {
						ids = append(ids, i.ID)
					}
				}
				w.taken[name] = ids
			}
		}
		if len(changes) == 0 {
			return w
		}
	}
}

func (w *world) usable() int {
	n := 0
	for _, ids := range w.taken {
		n += len(ids)
	}
	return n
}

func (w *world) want(n int, what string) {
	w.t.Helper()
	if w.usable() != n {
		w.t.Errorf("%s: %d usable instances are served, want %d: %v", what, w.usable(), n, w.taken)
	}
}

func (w *world) held() *sources.Held { return w.mirror.Sources()[0].Scopes[0].Held }

func (w *world) wantHeld(instances int, what string) {
	w.t.Helper()
	switch h := w.held(); {
	case h == nil && instances > 0:
		w.t.Errorf("%s: nothing is held, want %d", what, instances)
	case h != nil && h.Instances != instances:
		w.t.Errorf("%s: held %+v, want %d", what, h, instances)
	}
}

// registry makes n services of m instances each; every service has addresses of its own.
func registry(n, m int) []*sources.Service {
	var all []*sources.Service
	for i := range n {
		ids := []string{}
		for j := range m {
			ids = append(ids, fmt.Sprintf("10.0.%d.%d", i, j))
		}
		all = append(all, service(fmt.Sprintf("s%02d", i), ids...))
	}
	return all
}

func (w *world) snapshot(services []*sources.Service) { w.sink.Snapshot("s", services, nil) }

func (w *world) start(n, m int) {
	w.t.Helper()
	w.sink.Scopes([]string{"s"})
	w.snapshot(registry(n, m))
	w.after(0).want(n*m, "at the start")
	w.after(2 * time.Minute)
}

func TestTheLastInstanceOfOneServiceGoes(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		w.sink.Update("s", []*sources.Service{service("s00")}, nil)
		w.after(499*time.Millisecond).want(20, "before the delay")
		w.after(time.Millisecond).want(18, "after the delay")
		w.wantHeld(0, "one service")
	})
}

func TestARegistryThatComesBackEmptyWipesNothing(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		before := w.changes
		w.snapshot(nil)
		w.after(time.Second).want(20, "after the restart")
		w.wantHeld(20, "after the restart")
		w.after(24*time.Hour).want(20, "the loss of a whole scope never passes by time")
		w.snapshot(registry(10, 2)[:1])
		w.after(9*time.Minute).want(20, "the hold begins when the first is back, not when all went")
		w.snapshot(registry(10, 2))
		w.after(time.Second).want(20, "recovered")
		w.wantHeld(0, "recovered")
		if w.changes != before {
			t.Errorf("%d changes reached the consumer, want none", w.changes-before)
		}
	})
}

func TestAPartialLossPassesAfterTheHold(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		w.snapshot(registry(4, 2))
		w.after(10*time.Minute).want(20, "within the hold")
		w.wantHeld(12, "within the hold")
		w.after(time.Second).want(8, "after the hold")
		w.wantHeld(0, "after the hold")
	})
}

func TestTheHoldDoesNotEndWhileTheScopeIsUnknown(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		w.snapshot(registry(4, 2))
		w.after(time.Minute)
		w.sink.State("s", errors.New("connection refused"))
		w.after(time.Hour).want(20, "while unknown")
		w.sink.State("s", nil)
		w.after(9*time.Minute).want(20, "the hold begins anew")
		w.after(2*time.Minute).want(8, "after the hold")
	})
}

func TestADribblingLossIsPutBack(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(20, 5)
		for i := range 8 { // 5 % a second
			w.sink.Update("s", nil, []sources.Key{{Scope: "s", Name: registry(20, 5)[i].Name}})
			w.after(time.Second)
			if i == 4 {
				w.want(75, "a loss within the limit passes")
			}
		}
		w.want(100, "what left within the window is put back")
		w.wantHeld(40, "all of it is held")
	})
}

func TestASlowShrinkingPasses(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(20, 5)
		for i := range 19 {
			w.sink.Update("s", nil, []sources.Key{{Scope: "s", Name: registry(20, 5)[i].Name}})
			w.after(61 * time.Second) // never two within the window
		}
		// From 10 instances on a service is half of them, and from 5 on all: too few to hold back.
		w.want(5, "each step is within the limit")
	})
}

func TestASmallRegistryIsNotHeldBack(t *testing.T) {
	for _, c := range []struct{ services, instances int }{{2, 10}, {9, 1}} {
		guarded(t, "", func(w *world) {
			w.start(c.services, c.instances)
			w.snapshot(nil)
			w.after(time.Second).want(0, "below minLoss")
		})
	}
}

func TestAScaleDownOfOneServicePasses(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(3, 10)
		w.snapshot(append(registry(3, 2)[:1], registry(3, 10)[1:]...))
		w.after(time.Second).want(22, "from 10 to 2")
	})
}

func TestAReplacementOfAllInstancesPasses(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 4)
		next := registry(10, 4)
		for _, s := range next {
			for i := range s.Instances {
				s.Instances[i].ID += "-new"
				s.Instances[i].Address = "10.9" + strings.TrimPrefix(s.Instances[i].Address, "10.0")
			}
		}
		w.snapshot(next)
		w.after(0).want(40, "replaced")
		w.after(time.Second).want(40, "replaced")
		w.wantHeld(0, "replaced")
	})
}

func TestWhatLeavesAfterWhatReplacedItCameWaitsAndPasses(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		w.sink.Update("s", []*sources.Service{service("s00", "10.0.0.0", "10.0.0.1", "10.9.0.1")}, nil)
		w.after(0).want(21, "what arrives passes at once")
		w.sink.Update("s", []*sources.Service{service("s00", "10.0.0.0", "10.9.0.1")}, nil)
		w.after(0).want(21, "what leaves waits")
		w.after(time.Second).want(20, "and goes")
		if slices.Contains(w.taken["s/s00"], "10.0.0.1") {
			t.Errorf("served of s00: %v", w.taken["s/s00"])
		}
	})
}

func TestWhatWentIsForgottenAfterTheWindow(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(100, 2)
		for i := range 20 {
			w.sink.Update("s", nil, []sources.Key{{Scope: "s", Name: registry(100, 2)[i].Name}})
		}
		w.after(time.Second).want(160, "20 % may go")
		w.after(3 * time.Minute) // in which nothing is reported
		if instances, endpoints, queued := w.mirror.Remembered("a", "s"); instances+endpoints+queued > 0 {
			t.Errorf("%d instances, %d endpoints and %d places are remembered", instances, endpoints, queued)
		}
	})
}

func TestAHoldThatNeverEndsRemembersNoMoreThanWhatIsHeld(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		w.snapshot(nil)
		w.after(time.Second).wantHeld(20, "all")
		for range 500 { // one instance comes and goes
			w.sink.Update("s", registry(1, 1), nil)
			w.after(time.Second)
			w.sink.Update("s", nil, []sources.Key{{Scope: "s", Name: "s00"}})
			w.after(time.Second)
		}
		w.wantHeld(20, "still")
		if instances, endpoints, queued := w.mirror.Remembered("a", "s"); instances != 20 || endpoints != 20 || queued > 100 {
			t.Errorf("%d instances, %d endpoints and %d places are remembered", instances, endpoints, queued)
		}
	})
}

func TestAMassHealthFlipIsHeldBack(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		sick := registry(10, 2)
		for _, s := range sick {
			s.Instances[0].Healthy, s.Instances[1].Weight = false, 0
		}
		w.snapshot(sick)
		w.after(time.Minute).want(20, "all unhealthy or without weight")
		w.wantHeld(20, "all unhealthy or without weight")
	})
}

func TestAHeldInstanceGoesWhenItsAddressIsUsedAnew(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		w.snapshot(nil)
		w.after(time.Second).wantHeld(20, "all")
		w.sink.Update("s", []*sources.Service{service("other", "10.0.3.1")}, nil)
		w.after(0)
		if got := w.taken["s/s03"]; !slices.Equal(got, []string{"10.0.3.0"}) {
			t.Errorf("served of s03: %v, want what is not used anew", got)
		}
		w.wantHeld(19, "one was used anew")
		again := service("s04")
		again.Instances = []sources.Instance{{ID: "another-id", Address: "10.0.4.1", Ports: []sources.Port{{Number: 80}}, Weight: 100, Healthy: true, Enabled: true}}
		w.sink.Update("s", []*sources.Service{again}, nil)
		w.after(0)
		if got := w.taken["s/s04"]; !slices.Equal(got, []string{"10.0.4.0", "another-id"}) {
			t.Errorf("served of s04: %v, want the one registered anew, and the one held", got)
		}
	})
}

func TestAReleaseLetsGo(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		w.snapshot(nil)
		w.after(time.Second).wantHeld(20, "all")
		released, err := w.mirror.Release("a")
		if err != nil || len(released) != 1 || released[0] != (sources.Released{Scope: "s", Instances: 20, Services: 10}) {
			t.Errorf("released %v, %v", released, err)
		}
		w.after(0).want(0, "released")
		w.wantHeld(0, "released")
		if released, err := w.mirror.Release("a"); err != nil || len(released) != 0 {
			t.Errorf("released again: %v, %v", released, err)
		}
		if _, err := w.mirror.Release("b"); err == nil {
			t.Error("a source that does not exist was released")
		}
	})
}

func TestWhatItsOwnerRetiresIsNoLoss(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		var keys []sources.Key
		for _, s := range registry(9, 2) {
			keys = append(keys, sources.Key{Scope: "s", Name: s.Name})
		}
		w.sink.Retire("s", keys)
		w.snapshot(registry(10, 2)[9:])
		w.after(0).want(2, "retired")
		w.after(time.Second).want(2, "retired")
		w.wantHeld(0, "retired")
	})
}

func TestAScopeThatVanishesIsTheLossOfAWholeScope(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.sink.Scopes([]string{"s", "t"})
		w.sink.Snapshot("t", registry(1, 1), nil)
		w.start2(10, 2)
		w.sink.Scopes([]string{"t"})
		w.after(time.Hour).want(21, "the scope is held")
		w.wantHeld(20, "the scope is held")
		w.sink.Scopes([]string{"s", "t"})
		w.snapshot(registry(10, 2))
		w.after(time.Second).want(21, "it is back")
		w.wantHeld(0, "it is back")

		w.expect("another identity", sources.DefaultProtect())
		w.sink.Scopes([]string{"t"})
		w.after(0).want(1, "whoever configures another list of scopes means it")
	})
}

func (w *world) start2(n, m int) {
	w.snapshot(registry(n, m))
	w.after(2 * time.Minute)
}

func TestWhatCannotBeReadStands(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		w.sink.Snapshot("s", registry(10, 2)[:5], func(k sources.Key) bool { return k.Name != "s07" })
		w.after(time.Second).want(18, "only what is known to be gone goes")
	})
}

func TestALaxerProtectionLetsGoWhatAStricterOneHeld(t *testing.T) {
	guarded(t, "", func(w *world) {
		w.start(10, 2)
		w.snapshot(registry(4, 2))
		w.after(time.Second).wantHeld(12, "60 %")
		p := sources.DefaultProtect()
		p.MaxLoss = 80
		w.expect("id", p)
		w.after(2*time.Minute).want(8, "60 % may go now")
	})
}
