package mcpserver

import (
	"maps"
	"sync"
	"time"

	"meshbridge/mcpserver/store"
)

// times are those of sessions that a reload may change.
type times struct{ settle, retain time.Duration }

// SetTimes replaces Options.Settle and Options.Retain for all streams, also for what they hold back already.
func (s *Server) SetTimes(settle, retain time.Duration) {
	s.times.Store(&times{settle: max(settle, 0), retain: max(retain, 0)})
	for _, st := range s.all() {
		select {
		case st.retimed <- struct{}{}:
		default:
		}
	}
}

// Reached reports whether every client that receives what lives with a host had acknowledged, at a time, a state of the store
// of a generation or a newer one, with nothing of that host held back. A client that has just connected has not; one that has
// left counts as it was, until it comes back or has been away for Options.Retain.
func (s *Server) Reached(host string, generation uint64, by time.Time) bool {
	newest, _ := s.source.Snapshot()
	for _, st := range s.all() {
		if st.view.Shard.Has(store.Slot(host)) && !st.reached(newest, host, generation, by) {
			return false
		}
	}
	for _, session := range s.absent.list(time.Now(), s.times.Load().retain) {
		if !session.Reached(newest, host, generation, by) {
			return false
		}
	}
	return true
}

// absent are the sessions of clients that have left, and may come back with what they hold.
type absent struct {
	mu       sync.Mutex
	sessions map[clientKey]*absence // guarded by mu
	purged   time.Time              // guarded by mu
}

type clientKey struct{ node, authority string }

type absence struct {
	session *Session
	since   time.Time
}

// maxAbsent bounds the clients that are remembered: those of the streams that a server takes.
const maxAbsent = 16384

// leave notes that a stream has ended, and forgets clients that have been away for long. A session that did not come to its
// first routes tells nothing of what its client holds: it takes the place of none that did.
func (a *absent) leave(key clientKey, session *Session, now time.Time, long time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.purged) >= long/2 || len(a.sessions) >= maxAbsent {
		a.purge(now, long)
	}
	if _, known := a.sessions[key]; session.begun() && (known || len(a.sessions) < maxAbsent) {
		a.sessions[key] = &absence{session: session, since: now}
	}
}

// purge forgets clients that have been away for long. mu is held.
func (a *absent) purge(now time.Time, long time.Duration) {
	a.purged = now
	maps.DeleteFunc(a.sessions, func(_ clientKey, one *absence) bool { return now.Sub(one.since) >= long })
}

// back notes that a client has a stream again, by which it is known from now on.
func (a *absent) back(key clientKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, key)
}

// list are the sessions of clients that have not been away for long.
func (a *absent) list(now time.Time, long time.Duration) []*Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.purge(now, long)
	all := make([]*Session, 0, len(a.sessions))
	for _, one := range a.sessions {
		all = append(all, one.session)
	}
	return all
}

// Elsewhere reports whether an istiod is connected that follows a host by no stream to this process: then another process
// serves it, and what it acknowledged there is not known here.
func (s *Server) Elsewhere(host string) bool {
	here := map[string]bool{}
	for _, st := range s.all() {
		if node := st.node(); node != "" {
			here[node] = here[node] || st.view.Shard.Has(store.Slot(host))
		}
	}
	for _, has := range here {
		if !has {
			return true
		}
	}
	return false
}

// reached is Session.Reached. Before its first request a stream has no session: for as long as a client is given to ask for
// kinds it may be one that holds an older state.
func (st *stream) reached(newest *store.Snapshot, host string, generation uint64, by time.Time) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.session == nil {
		return !st.since.Add(subscribing).After(by)
	}
	return st.session.Reached(newest, host, generation, by)
}

func (st *stream) node() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.session == nil {
		return ""
	}
	return st.session.node.ID
}
