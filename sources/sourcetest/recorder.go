// Package sourcetest holds the contract of a source as one runnable suite, a Sink that remembers, and a scripted source.
// Its invariant: a Recorder's picture is what a Mirror would hold.
package sourcetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"meshbridge/sources"
)

// Patience bounds how long a test waits for a source; a source that is never heard of fails its test after it.
const Patience = 30 * time.Second

// Recorder is a Sink that holds the last report of each scope, and what was wrong about the reports.
type Recorder struct {
	mu        sync.Mutex
	scopes    map[string]map[sources.Key]*sources.Service
	snapshots map[string]int
	states    map[string]error
	faults    map[string][]sources.Fault
	named     bool
	wrong     []string
	removals  int // services or instances that went, of all reports
	reports   int
	changed   chan struct{}
}

// NewRecorder makes an empty one.
func NewRecorder() *Recorder {
	return &Recorder{
		scopes: map[string]map[sources.Key]*sources.Service{}, snapshots: map[string]int{}, states: map[string]error{},
		faults: map[string][]sources.Fault{}, changed: make(chan struct{}),
	}
}

func (r *Recorder) report(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// Scopes implements sources.Sink.
func (r *Recorder) Scopes(names []string) {
	r.report(func() {
		r.named = true
		for _, n := range names {
			if r.scopes[n] == nil {
				r.scopes[n] = map[sources.Key]*sources.Service{}
			}
		}
		for n := range r.scopes {
			if !slices.Contains(names, n) {
				delete(r.scopes, n)
			}
		}
	})
}

// Snapshot implements sources.Sink.
func (r *Recorder) Snapshot(scope string, services []*sources.Service, unknown func(sources.Key) bool) {
	r.report(func() {
		r.snapshots[scope]++
		r.states[scope] = nil
		old := r.scopes[scope]
		r.scopes[scope] = map[sources.Key]*sources.Service{}
		for _, s := range services {
			if r.scopes[scope][s.Key] != nil {
				r.wrong = append(r.wrong, fmt.Sprintf("snapshot of %q names %+v twice", scope, s.Key))
			}
			r.put(scope, s, old[s.Key])
		}
		for key, s := range old {
			switch {
			case r.scopes[scope][key] != nil:
			case unknown != nil && unknown(key):
				r.scopes[scope][key] = s
			default:
				r.removals++
			}
		}
	})
}

// Update implements sources.Sink.
func (r *Recorder) Update(scope string, changed []*sources.Service, removed []sources.Key) {
	r.report(func() {
		r.states[scope] = nil
		if r.snapshots[scope] == 0 {
			r.wrong = append(r.wrong, fmt.Sprintf("scope %q was updated before its first snapshot", scope))
			r.scopes[scope] = map[sources.Key]*sources.Service{}
		}
		for _, s := range changed {
			r.put(scope, s, r.scopes[scope][s.Key])
		}
		for _, k := range removed {
			delete(r.scopes[scope], k)
			r.removals++
		}
	})
}

// Retire implements sources.Sink.
func (r *Recorder) Retire(scope string, keys []sources.Key) {
	r.report(func() {
		for _, k := range keys {
			delete(r.scopes[scope], k)
			r.removals++
		}
	})
}

func (r *Recorder) put(scope string, s, old *sources.Service) {
	r.reports++
	if !r.named {
		r.wrong = append(r.wrong, "a report came before Scopes")
	}
	if s.Scope != scope {
		r.wrong = append(r.wrong, fmt.Sprintf("service %+v is reported for scope %q", s.Key, scope))
	}
	seen := map[string]bool{}
	for _, i := range s.Instances {
		if seen[i.ID] || i.ID == "" {
			r.wrong = append(r.wrong, fmt.Sprintf("service %+v: instance ID %q is empty or not unique", s.Key, i.ID))
		}
		if len(i.Ports) == 0 {
			r.wrong = append(r.wrong, fmt.Sprintf("service %+v: instance %q has no port", s.Key, i.ID))
		}
		seen[i.ID] = true
	}
	if old != nil {
		for _, i := range old.Instances {
			if !seen[i.ID] {
				r.removals++
			}
		}
	}
	r.scopes[scope][s.Key] = s
}

// State implements sources.Sink.
func (r *Recorder) State(scope string, err error) { r.report(func() { r.states[scope] = err }) }

// lost notes that Run has returned.
func (r *Recorder) lost(err error) {
	r.report(func() {
		for scope := range r.scopes {
			r.states[scope] = err
		}
	})
}

// Faults implements sources.Sink.
func (r *Recorder) Faults(scope string, faults []sources.Fault) {
	r.report(func() { r.faults[scope] = faults })
}

// Picture is what a recorder holds at one moment.
type Picture struct {
	Services  []*sources.Service // of all scopes, by key
	States    map[string]error
	Faults    []sources.Fault
	Snapshots map[string]int
	Removals  int // services and instances that have gone, ever
	Reports   int // services that were reported, ever
	Wrong     []string
}

// Service finds the services of a name.
func (p Picture) Service(name string) *sources.Service {
	for _, s := range p.Services {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Instances is the number of instances of the named service, -1 if there is no such service.
func (p Picture) Instances(name string) int {
	if s := p.Service(name); s != nil {
		return len(s.Instances)
	}
	return -1
}

// Picture is what the recorder holds now, and a channel that is closed when it changes.
func (r *Recorder) Picture() (Picture, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Picture{States: maps.Clone(r.states), Snapshots: maps.Clone(r.snapshots), Removals: r.removals, Reports: r.reports, Wrong: slices.Clone(r.wrong)}
	for _, scope := range slices.Sorted(maps.Keys(r.scopes)) {
		for _, s := range r.scopes[scope] {
			p.Services = append(p.Services, s)
		}
		p.Faults = append(p.Faults, r.faults[scope]...)
	}
	slices.SortFunc(p.Services, func(a, b *sources.Service) int {
		return slices.Compare([]string{a.Scope, a.Namespace, a.Group, a.Name, a.Version}, []string{b.Scope, b.Namespace, b.Group, b.Name, b.Version})
	})
	return p, r.changed
}

// Wait waits until the picture satisfies a condition, and fails the test with what is held if it never does.
func (r *Recorder) Wait(t testing.TB, what string, ok func(Picture) bool) Picture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	for {
		p, changed := r.Picture()
		if ok(p) {
			return p
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("never came: %s; held: %s; states %v, faults %v", what, brief(p), p.States, p.Faults)
		}
	}
}

func brief(p Picture) string {
	text := ""
	for i, s := range p.Services {
		if i == 20 {
			return text + fmt.Sprintf(" … %d services in all", len(p.Services))
		}
		text += fmt.Sprintf(" %s/%s×%d", s.Scope, s.Name, len(s.Instances))
	}
	return text
}
