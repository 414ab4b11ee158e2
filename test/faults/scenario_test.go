//go:build faults

package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
	"meshbridge/test/harness"
)

// The guard's windows, as docs/faults.md tells them.
const (
	window   = 3 * time.Second
	hold     = 6 * time.Second
	delay    = time.Second
	observe  = 3 * time.Second // of what is held back, well before the hold is over
	patience = 90 * time.Second
)

// scenario is one fault, the same for every registry.
type scenario struct {
	name string
	// exists reports whether the registry can have the fault. Nil: every one can.
	exists func(registry) bool
	// begin makes the fault. For down, the bridge starts only after it.
	begin func(*run)
	// end ends the fault; nil: there is nothing to end.
	end func(*run)

	window   time.Duration // of the guard, default window
	during   time.Duration // how long the fault is observed before the hold can be over, default observe
	outlives bool          // whether it is also observed until after the hold
	down     bool          // the bridge starts within the fault
	stateful bool          // of down: an earlier bridge has kept what it read
	steady   bool          // there must never be fewer instances than before
	plain    bool          // the bridge follows it as any change: it has nothing to tell its operators
}

// run is one scenario on one registry.
type run struct {
	t      *testing.T
	world  *world
	bridge *harness.Bridge
	client *client
	before endpoints // what was registered when the fault began
	undo   func()    // left by begin for end
	over   bool      // the fault has ended, or none was made
	began  time.Time
}

// measure runs a scenario with a bridge and a client of its own.
func measure(t *testing.T, reg registry, s scenario) cell {
	if s.exists != nil && !s.exists(reg) {
		return cell{During: none, Outlived: none, After: none}
	}
	r := &run{t: t, world: newWorld(reg), over: true}
	t.Cleanup(r.world.clear)
	t.Cleanup(func() {
		if !r.over && s.end != nil {
			s.end(r) // what failed within the fault spoils no other
		}
	})
	r.world.fill()
	config := s.config(reg, harness.Scratch(t, "state"))
	if !s.down || s.stateful {
		r.bridge = harness.StartBridge(t, harness.BridgeConfig{YAML: config})
		r.client = connect(t, r.bridge.MCP)
		r.settled()
	}
	r.before, r.over = r.world.endpoints(), false
	if s.down {
		r.relaunch(s, config)
	} else {
		r.client.mark(r.before)
		r.began = time.Now()
		s.begin(r)
	}

	result := cell{Outlived: none}
	wait(r.t, orElse(s.during, observe))
	result.During = r.word(s)
	if !s.plain && !r.told() {
		result.During += ", untold"
	}
	if s.outlives {
		result.Passed = r.outlive()
		result.Outlived = r.word(s)
	}
	r.client.mark(r.client.seen().held.intersect(r.before)) // what comes back late is no loss; what goes now is
	if s.end != nil {
		s.end(r)
	}
	r.over = true
	result.After, result.Recovery = r.recover(s)
	return result
}

// config is the bridge's.
func (s scenario) config(reg registry, state string) string {
	return fmt.Sprintf("protect: {window: %s, delay: %s, hold: %s}\nstate: {dir: %q}\nsources:\n- name: registry\n  host: '{{.Service}}.{{.Domain}}'\n  %s\n",
		orElse(s.window, window), delay, hold, state, strings.ReplaceAll(strings.TrimSpace(reg.source()), "\n", "\n  "))
}

// relaunch makes the fault and starts a bridge and a client within it.
func (r *run) relaunch(s scenario, config string) {
	if r.bridge != nil {
		r.bridge.Stop() // writes what it holds
	}
	s.begin(r)
	r.began = time.Now()
	r.bridge = harness.LaunchBridge(r.t, harness.BridgeConfig{YAML: config})
	r.client = connect(r.t, r.bridge.MCP)
	if !s.stateful {
		return
	}
	harness.Eventually(r.t, 20*time.Second, "the last good state is served", func() error { return r.client.holds(r.before) })
	r.client.mark(r.before)
}

// settled waits until the client holds exactly what is registered.
func (r *run) settled() {
	r.t.Helper()
	harness.Eventually(r.t, patience, "the client holds what is registered", func() error { return r.client.holds(r.world.endpoints()) })
}

// outlive waits until the hold is over for certain, or a held loss has passed, and says when that was.
func (r *run) outlive() time.Duration {
	registered := r.world.endpoints()
	passes := len(registered.missing(r.before)) > 0
	for end := time.Now().Add(2*hold + window); time.Now().Before(end); wait(r.t, 20*time.Millisecond) {
		if passes && r.client.holds(registered) == nil {
			return time.Since(r.began)
		}
	}
	return 0
}

// recover registers one more instance in each scope and waits until the client holds exactly what is registered.
func (r *run) recover(s scenario) (string, time.Duration) {
	r.t.Helper()
	start := time.Now()
	more := map[name][]instance{}
	for _, scope := range []string{mainScope, otherScope} {
		if services := r.world.in(scope); len(services) > 0 {
			more[services[0]] = append(slices.Clone(r.world.services[services[0]]), r.world.fresh(1)...)
		}
	}
	r.world.setAll(more)
	r.settled()
	took := time.Since(start)
	return r.word(s), took
}

// told reports whether the bridge says that something is wrong: a scope that is unknown, has faults, or is held. What went
// just now is neither, while the guard waits for its delay.
func (r *run) told() bool {
	r.t.Helper()
	for end := time.Now().Add(delay + time.Second); ; wait(r.t, 50*time.Millisecond) {
		if r.tells() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func (r *run) tells() bool {
	r.t.Helper()
	all, err := r.bridge.Sources()
	if err != nil {
		r.t.Fatalf("ask the bridge for its sources: %v", err)
	}
	for _, source := range all {
		for _, scope := range source.Scopes {
			if scope.State != sources.Synced || len(scope.Faults) > 0 || scope.Held != nil {
				r.t.Logf("scope %s: %s; %s; faults %d; held %+v", scope.Name, scope.State, scope.Err, len(scope.Faults), scope.Held)
				return true
			}
		}
		if source.Err != "" {
			return true
		}
	}
	return false
}

// word says what the client holds, in the words of docs/faults.md.
func (r *run) word(s scenario) string {
	registered := r.world.endpoints()
	seen := r.client.seen()
	kept, moved := r.unmoved(registered)
	lost := seen.held.missing(r.before)
	switch {
	case !seen.answered:
		return "unanswered"
	case len(lost) == 0 && equal(seen.held, r.before.union(registered)):
		if len(seen.lost) > 0 {
			return "all, put back"
		}
		return "all"
	case equal(seen.held, registered):
		if s.steady && seen.fewest < len(r.before) {
			return fmt.Sprintf("registered, at one moment %d of %d", seen.fewest, len(r.before))
		}
		return "registered"
	case moved && equal(seen.held, kept.union(registered)):
		return "moved"
	}
	return fmt.Sprintf("%d of %d, %d of the %d registered; lacks %s", len(r.before)-len(lost), len(r.before),
		len(registered)-len(seen.held.missing(registered)), len(registered), some(lost))
}

// unmoved is what was registered before, without addresses that another service has now.
func (r *run) unmoved(registered endpoints) (kept endpoints, moved bool) {
	owner := map[string]string{}
	for e := range registered {
		owner[e.address] = e.host
	}
	kept = endpoints{}
	for e := range r.before {
		if host := owner[e.address]; host == "" || host == e.host {
			kept[e] = true
		} else {
			moved = true
		}
	}
	return kept, moved
}

func equal(a, b endpoints) bool { return len(a.missing(b)) == 0 && len(b.missing(a)) == 0 }

func orElse(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// wait lets time pass: what is measured is what does not happen in it.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
