package sources

import (
	"errors"
	"slices"
	"strings"
)

// recorder is the Sink of one source.
type recorder struct {
	mirror *Mirror
	source string
}

// record runs a report on the source under the mirror's mutex, then looks at the gate.
func (r *recorder) record(report func(m *Mirror, s *mirrored)) {
	r.mirror.mu.Lock()
	defer r.mirror.mu.Unlock()
	if s := r.mirror.sources[r.source]; s != nil {
		report(r.mirror, s)
		r.mirror.checkGateLocked()
	}
}

var errScopeGone = errors.New("the registry no longer has this scope")

func (r *recorder) Scopes(names []string) {
	r.record(func(m *Mirror, s *mirrored) {
		for id, sc := range s.scopes {
			switch {
			case slices.Contains(names, id):
			case s.moved, !s.Protect.active(), len(sc.services) == 0:
				m.forgetScopeLocked(s, id, sc)
			default:
				sc.gone = true
				m.stateLocked(s, sc, Unknown, errScopeGone.Error())
				b := m.beginLocked(s, sc)
				for key := range sc.services {
					b.report(key, nil)
				}
				b.end()
			}
		}
		for _, id := range names {
			if sc := s.scope(id, m.now()); sc.gone {
				sc.gone = false
				m.settleLocked(s, sc)
			}
		}
		s.named, s.moved = true, false
	})
}

func (r *recorder) Snapshot(id string, services []*Service, unknown func(Key) bool) {
	news := packAll(id, services)
	r.record(func(m *Mirror, s *mirrored) {
		sc := s.scope(id, m.now())
		b := m.beginLocked(s, sc)
		for key := range sc.services {
			if _, stays := news[key]; !stays && (unknown == nil || !unknown(key)) {
				b.report(key, nil)
			}
		}
		for key, p := range news {
			b.report(key, p)
		}
		sc.status.LastReport = m.now()
		m.stateLocked(s, sc, Synced, "")
		b.end()
	})
}

func (r *recorder) Update(id string, changed []*Service, removed []Key) {
	news := packAll(id, changed)
	r.record(func(m *Mirror, s *mirrored) {
		sc := s.scope(id, m.now())
		b := m.beginLocked(s, sc)
		for _, key := range removed {
			b.report(key, nil)
		}
		for key, p := range news {
			b.report(key, p)
		}
		if sc.read() {
			sc.status.LastReport = m.now()
			m.stateLocked(s, sc, Synced, "")
		}
		b.end()
	})
}

func (r *recorder) Retire(id string, keys []Key) {
	r.record(func(m *Mirror, s *mirrored) {
		sc := s.scope(id, m.now())
		before := sc.usable()
		for _, key := range keys {
			sc.guard.forget(key)
			m.serveLocked(s, sc, key, nil)
		}
		sc.guard.retired(before - sc.usable())
		m.settleLocked(s, sc)
	})
}

func (r *recorder) State(id string, err error) {
	r.record(func(m *Mirror, s *mirrored) {
		sc := s.scope(id, m.now())
		switch {
		case err == nil && sc.read():
			m.stateLocked(s, sc, Synced, "")
		case err != nil:
			m.stateLocked(s, sc, sc.failedState(), err.Error())
		}
		m.settleLocked(s, sc)
	})
}

func (r *recorder) Faults(id string, faults []Fault) {
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.Where+"\x00"+a.Reason, b.Where+"\x00"+b.Reason) })
	r.record(func(m *Mirror, s *mirrored) {
		sc := s.scope(id, m.now())
		for _, f := range faults {
			if !slices.Contains(sc.status.Faults, f) {
				m.log.Warn("left out", "source", s.Name, "scope", id, "where", f.Where, "reason", f.Reason)
			}
		}
		sc.status.Faults = faults
	})
}

// lost notes that Run has returned: every scope is unknown until it reports again.
func (r *recorder) lost(err error) {
	r.record(func(m *Mirror, s *mirrored) {
		if s.err == "" {
			m.log.Warn("source lost; its last report stands, and it is tried again", "source", s.Name, "err", err)
		}
		s.err = err.Error()
		s.restarts++
		for _, sc := range s.scopes {
			m.stateLocked(s, sc, sc.failedState(), err.Error())
			m.settleLocked(s, sc)
		}
	})
}

// packAll packs services outside the mutex. Each gets the scope that it is reported for.
func packAll(scope string, services []*Service) map[Key]packed {
	all := make(map[Key]packed, len(services))
	for _, s := range services {
		s.Scope = scope
		all[s.Key] = pack(s)
	}
	return all
}
