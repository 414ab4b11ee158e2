package sources

import (
	"fmt"
	"slices"
	"time"
)

// mirrored is one source in the mirror. The mirror's mutex guards it.
type mirrored struct {
	Expected
	awaited  bool   // configured at start, so the gate waits for it if it is required
	named    bool   // it has named its scopes
	moved    bool   // it follows something else since it last named its scopes
	keptAs   string // the identity under which it is kept on disk
	scopes   map[string]*scope
	err      string // why Run returned, while it is down
	restarts int
}

// scope is one scope's last report.
type scope struct {
	services map[Key]packed // as they are served
	status   ScopeStatus
	guard    *guard
	gone     bool // the source has named its scopes, and this one is not among them any more
}

// missing says what the gate waits for, or "". Once covered, what an earlier process last read counts.
func (s *mirrored) missing(covered bool) string {
	if !s.awaited || !s.Required {
		return ""
	}
	if !s.named && (!covered || len(s.scopes) == 0) {
		return because("not read yet", s.err)
	}
	for _, id := range s.scopeNames() {
		switch sc := s.scopes[id]; {
		case sc.status.State == Stale && !covered, sc.status.State == Unread, sc.status.LastReport.IsZero():
			return because(fmt.Sprintf("scope %q not read yet", id), sc.status.Err)
		}
	}
	return ""
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
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
		sc.Held = s.scopes[id].held(s.Protect)
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

// scope is the named scope, which is made if there is none.
func (s *mirrored) scope(id string, now time.Time) *scope {
	sc := s.scopes[id]
	if sc == nil {
		sc = &scope{services: map[Key]packed{}, status: ScopeStatus{Name: id, State: Unread, Since: now}, guard: newGuard()}
		s.scopes[id] = sc
	}
	return sc
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
		switch state {
		case Unread:
			what = "scope not readable yet; it is tried again"
		case Stale:
			what = "scope not readable yet; what was last read before the start stands"
		}
		m.log.Warn(what, "source", s.Name, "scope", st.Name, "err", err)
	}
	st.State, st.Err = state, err
}

// failedState is the state of a scope that cannot be read.
func (sc *scope) failedState() string {
	if sc.read() {
		return Unknown
	}
	return sc.status.State
}

// read reports whether this process has read the scope.
func (sc *scope) read() bool { return sc.status.State != Unread && sc.status.State != Stale }
