package sources

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// mirrored is one source in the mirror. The mirror's mutex guards it.
type mirrored struct {
	Expected
	awaited  bool // configured at start, so the gate waits for it if it is required
	named    bool // its scopes are known
	scopes   map[string]*scope
	err      string // why Run returned, while it is down
	restarts int
}

// scope is one scope's last report.
type scope struct {
	services map[Key]packed
	status   ScopeStatus
}

// missing says what the gate waits for, or "".
func (s *mirrored) missing() string {
	if !s.awaited || !s.Required {
		return ""
	}
	if !s.named {
		if s.err != "" {
			return "not read yet: " + s.err
		}
		return "not read yet"
	}
	for _, id := range s.scopeNames() {
		sc := s.scopes[id]
		if sc.status.LastReport.IsZero() || sc.status.State == Unread {
			if sc.status.Err != "" {
				return fmt.Sprintf("scope %q not read yet: %s", id, sc.status.Err)
			}
			return fmt.Sprintf("scope %q not read yet", id)
		}
	}
	return ""
}

func (s *mirrored) scopeNames() []string {
	names := make([]string, 0, len(s.scopes))
	for id := range s.scopes {
		names = append(names, id)
	}
	slices.Sort(names)
	return names
}

func (s *mirrored) status() SourceStatus {
	st := SourceStatus{Name: s.Name, Kind: s.Kind, Required: s.Required, Err: s.err, Restarts: s.restarts, Scopes: []ScopeStatus{}}
	for _, id := range s.scopeNames() {
		sc := s.scopes[id].status
		sc.Faults = slices.Clone(sc.Faults)
		st.Scopes = append(st.Scopes, sc)
	}
	return st
}

// count adds a packed service to the scope's figures, or with sign -1 takes it away.
func (sc *scope) count(p packed, sign int) {
	if p == nil {
		return
	}
	instances, usable := p.counts()
	sc.status.Services += sign
	sc.status.Instances += sign * instances
	sc.status.Usable += sign * usable
}

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

func (r *recorder) Scopes(names []string) {
	r.record(func(m *Mirror, s *mirrored) {
		for id, sc := range s.scopes {
			if !slices.Contains(names, id) {
				m.forgetScopeLocked(s, id, sc)
			}
		}
		for _, id := range names {
			s.scope(id, m.now())
		}
		s.named = true
	})
}

func (s *mirrored) scope(id string, now time.Time) *scope {
	sc := s.scopes[id]
	if sc == nil {
		sc = &scope{services: map[Key]packed{}, status: ScopeStatus{Name: id, State: Unread, Since: now}}
		s.scopes[id] = sc
	}
	return sc
}

func (r *recorder) Snapshot(id string, services []*Service, unknown func(Key) bool) {
	news := packAll(id, services)
	r.record(func(m *Mirror, s *mirrored) {
		sc := s.scope(id, m.now())
		for key := range sc.services {
			if _, stays := news[key]; !stays && (unknown == nil || !unknown(key)) {
				m.removeLocked(s, sc, key)
			}
		}
		for key, p := range news {
			m.putLocked(s, sc, key, p)
		}
		sc.status.LastReport = m.now()
		m.stateLocked(s, sc, Synced, "")
	})
}

func (r *recorder) Update(id string, changed []*Service, removed []Key) {
	news := packAll(id, changed)
	r.record(func(m *Mirror, s *mirrored) {
		sc := s.scope(id, m.now())
		for _, key := range removed {
			m.removeLocked(s, sc, key)
		}
		for key, p := range news {
			m.putLocked(s, sc, key, p)
		}
		if sc.status.State != Unread {
			sc.status.LastReport = m.now()
			m.stateLocked(s, sc, Synced, "")
		}
	})
}

func (r *recorder) Retire(id string, keys []Key) {
	r.record(func(m *Mirror, s *mirrored) {
		sc := s.scope(id, m.now())
		for _, key := range keys {
			m.removeLocked(s, sc, key)
		}
	})
}

func (r *recorder) State(id string, err error) {
	r.record(func(m *Mirror, s *mirrored) {
		sc := s.scope(id, m.now())
		switch {
		case err == nil && sc.status.State != Unread:
			m.stateLocked(s, sc, Synced, "")
		case err != nil && sc.status.State == Unread:
			m.stateLocked(s, sc, Unread, err.Error())
		case err != nil:
			m.stateLocked(s, sc, Unknown, err.Error())
		}
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
			state := Unknown
			if sc.status.State == Unread {
				state = Unread
			}
			m.stateLocked(s, sc, state, err.Error())
		}
	})
}

// stateLocked sets a scope's state; a line is logged when it changes.
func (m *Mirror) stateLocked(s *mirrored, sc *scope, state, err string) {
	st := &sc.status
	if state == Synced && s.err != "" {
		s.err = ""
		m.log.Info("source is back", "source", s.Name)
	}
	wasWell := st.Err == ""
	if st.State != state {
		st.Since = m.now()
		if state == Synced {
			m.log.Info("scope read", "source", s.Name, "scope", st.Name, "services", st.Services, "instances", st.Instances)
		}
	}
	if err != "" && wasWell {
		what := "scope not readable; what it last reported stands"
		if state == Unread {
			what = "scope not readable yet; it is tried again"
		}
		m.log.Warn(what, "source", s.Name, "scope", st.Name, "err", err)
	}
	st.State, st.Err = state, err
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
