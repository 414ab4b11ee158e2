package sources

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Ref names a service of a source.
type Ref struct {
	Source string
	Key    Key
}

// Change is one service whose last report changed.
type Change struct {
	Ref     Ref
	Service *Service  // nil: gone
	At      time.Time // when the first report since the last Take came in
}

// Mirror holds each source's last report, packed, the set of services that changed since they were last taken, and the
// gate. A report never blocks: the newest wins.
type Mirror struct {
	now   func() time.Time
	log   *slog.Logger
	dirty chan struct{}
	rouse chan struct{} // wakes Run

	mu      sync.Mutex
	sources map[string]*mirrored // guarded by mu, as are the fields below
	changed map[Ref]time.Time
	keeper  *keeper   // nil: nothing outlives the process
	alarm   time.Time // when Run is to look next; zero: when it is woken
	covered time.Time // from then on what an earlier process last read counts as read; zero before Expect was called
	open    bool      // the gate, never closed again
	told    bool      // the gate was open when nothing was left to take
}

// NewMirror makes an empty mirror whose gate is closed. It tells the time by now and logs each scope's changes of state.
func NewMirror(now func() time.Time, log *slog.Logger) *Mirror {
	return &Mirror{now: now, log: log, dirty: make(chan struct{}, 1), rouse: make(chan struct{}, 1), sources: map[string]*mirrored{}, changed: map[Ref]time.Time{}}
}

// Expected is a source that is configured.
type Expected struct {
	Name     string
	Kind     string
	Required bool   // the gate waits for it
	Identity string // what is followed: servers and namespaces. What one identity said last is nothing to another
	Protect  Protect
}

// Expect names the sources that are configured: the first call those that the gate waits for, later calls those after a
// reload. A source no longer named is forgotten with its services.
func (m *Mirror) Expect(sources []Expected) {
	m.mu.Lock()
	defer m.mu.Unlock()
	named := map[string]bool{}
	first := m.covered.IsZero()
	if first {
		m.covered = m.now().Add(coverAfter)
		m.alarmLocked(m.covered)
	}
	for _, e := range sources {
		named[e.Name] = true
		if have := m.sources[e.Name]; have != nil {
			have.moved = have.moved || have.Identity != e.Identity
			have.Expected = e
			for _, sc := range have.scopes {
				m.settleLocked(have, sc)
			}
		} else {
			m.sources[e.Name] = &mirrored{Expected: e, scopes: map[string]*scope{}, awaited: first}
			m.restoreLocked(m.sources[e.Name])
		}
	}
	for name, s := range m.sources {
		if !named[name] {
			for id, sc := range s.scopes {
				m.forgetScopeLocked(s, id, sc)
			}
			delete(m.sources, name)
		}
	}
	m.keepOnlyLocked()
	m.checkGateLocked()
}

// coverAfter is how long the gate waits for a fresh snapshot of what is known from an earlier process.
const coverAfter = 10 * time.Second

// Dirty receives when there is something to Take. It is for one consumer.
func (m *Mirror) Dirty() <-chan struct{} { return m.dirty }

// batch bounds the services of one Take: unpacked, they are several times their size.
const batch = 2048

// Take returns changed services, in the order of their Refs: all of them or, of many, a part, and then Dirty receives again.
// It says that the gate is open when everything that the gate waits for has been taken, by this call or before.
func (m *Mirror) Take() (changes []Change, open bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changes = make([]Change, 0, min(len(m.changed), batch))
	for ref, at := range m.changed {
		if len(changes) == batch {
			break
		}
		changes = append(changes, Change{Ref: ref, Service: m.serviceLocked(ref), At: at})
	}
	for _, c := range changes {
		delete(m.changed, c.Ref)
	}
	slices.SortFunc(changes, func(a, b Change) int { return compareRefs(a.Ref, b.Ref) })
	if len(m.changed) > 0 {
		m.wakeLocked()
	} else {
		m.changed = map[Ref]time.Time{} // an emptied map keeps the size of its largest burst
		m.told = m.told || m.open
	}
	return changes, m.told
}

// Service is a copy of the last report of a service, or nil.
func (m *Mirror) Service(ref Ref) *Service {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.serviceLocked(ref)
}

func (m *Mirror) serviceLocked(ref Ref) *Service {
	src := m.sources[ref.Source]
	if src == nil || src.scopes[ref.Key.Scope] == nil {
		return nil
	}
	p, ok := src.scopes[ref.Key.Scope].services[ref.Key]
	if !ok {
		return nil
	}
	s, err := unpack(p)
	if err != nil {
		panic(fmt.Sprintf("mirror: service %+v does not unpack: %v", ref, err))
	}
	return s
}

// Waiting says what the gate still waits for, one line each; none once it is open.
func (m *Mirror) Waiting() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open {
		return nil
	}
	if m.covered.IsZero() {
		return []string{"the configuration"}
	}
	var waiting []string
	for _, s := range m.sortedLocked() {
		if reason := s.missing(m.isCovered()); reason != "" {
			waiting = append(waiting, fmt.Sprintf("source %s: %s", s.Name, reason))
		}
	}
	return waiting
}

// Sources is the state of every source, sorted by name.
func (m *Mirror) Sources() []SourceStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []SourceStatus
	for _, s := range m.sortedLocked() {
		all = append(all, s.status())
	}
	return all
}

// Sink takes the reports of the named source. Reports of a source that is no longer expected are dropped.
func (m *Mirror) Sink(source string) Sink { return &recorder{mirror: m, source: source} }

func (m *Mirror) sortedLocked() []*mirrored {
	all := make([]*mirrored, 0, len(m.sources))
	for _, s := range m.sources {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *mirrored) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// checkGateLocked opens the gate when nothing is missing, and wakes the consumer.
func (m *Mirror) checkGateLocked() {
	if !m.open && !m.covered.IsZero() {
		m.open = !slices.ContainsFunc(m.sortedLocked(), func(s *mirrored) bool { return s.missing(m.isCovered()) != "" })
		if m.open {
			m.log.Info("every source is in: the gate is open")
		}
	}
	if len(m.changed) > 0 || m.open != m.told {
		m.wakeLocked()
	}
}

func (m *Mirror) wakeLocked() {
	select {
	case m.dirty <- struct{}{}:
	default:
	}
}

// isCovered reports whether what an earlier process last read counts as read.
func (m *Mirror) isCovered() bool { return !m.now().Before(m.covered) }

// serveLocked sets what is served of a service, nil: nothing.
func (m *Mirror) serveLocked(src *mirrored, sc *scope, key Key, p packed) {
	old, had := sc.services[key]
	if had && p != nil && bytes.Equal(old, p) || !had && p == nil {
		return
	}
	sc.count(old, -1)
	sc.count(p, 1)
	if p == nil {
		delete(sc.services, key)
	} else {
		sc.services[key] = p
	}
	m.touchLocked(src, sc, key)
}

func (m *Mirror) touchLocked(src *mirrored, sc *scope, key Key) {
	sc.status.Events++
	ref := Ref{Source: src.Name, Key: key}
	if _, ok := m.changed[ref]; !ok {
		m.changed[ref] = m.now()
	}
	m.keeper.touch(ref)
}

func (m *Mirror) forgetScopeLocked(src *mirrored, id string, sc *scope) {
	for key := range sc.services {
		m.serveLocked(src, sc, key, nil)
	}
	delete(src.scopes, id)
	m.keeper.forget(src.Name, id)
}

func compareRefs(a, b Ref) int {
	return cmp.Or(
		strings.Compare(a.Source, b.Source), strings.Compare(a.Key.Scope, b.Key.Scope), strings.Compare(a.Key.Namespace, b.Key.Namespace),
		strings.Compare(a.Key.Group, b.Key.Group), strings.Compare(a.Key.Name, b.Key.Name), strings.Compare(a.Key.Version, b.Key.Version),
	)
}
