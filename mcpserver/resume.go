package mcpserver

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"meshbridge/mcpserver/store"
)

// An istiod that has been restarted serves no proxy before it has been answered for every kind. Then it gives each proxy that
// comes back all at once: new clusters and endpoints a few milliseconds before new routes, and the endpoints of clusters that
// are new to the proxy after those. To hold back its first routes would protect nobody. Instead the stream goes on where the last
// stream with the same view stopped: its session knows what the proxies hold. The first state has the routes of then where
// those of now refer to what has come since, until that has settled after the proxies may be taken to have come back.

// maxAway is how long an istiod may have been away to be resumed: later, proxies may have got newer things from elsewhere.
const maxAway = 5 * time.Minute

// Predecessor is the session of a stream that has ended, and when it did.
type Predecessor struct {
	Session *Session
	Ended   time.Time
}

// of is the predecessor if a client goes on from it: the client is a process that has begun since that one's stream ended.
// nonce is that of the first request.
func (p Predecessor) of(nonce string, now time.Time) Predecessor {
	age, ok := processAge(nonce)
	if !ok || p.Session == nil || now.Sub(p.Ended) > maxAway || now.Add(-age).Before(p.Ended) {
		return Predecessor{}
	}
	return p
}

// processAge is how long the client's process has run. istiod tells without meaning to: as the nonce of its first requests it
// sends the time as Go writes it, which ends in the reading of the process's own clock, as in "m=+0.123456789".
func processAge(nonce string) (time.Duration, bool) {
	_, reading, ok := strings.Cut(nonce, " m=+")
	seconds, err := strconv.ParseFloat(reading, 64)
	if !ok || err != nil || !(seconds >= 0 && seconds < 1e9) {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// resumable reports whether a session's client has acknowledged a state of each kind.
func (s *Session) resumable() bool {
	for _, sub := range s.subs {
		if sub == nil || len(sub.acks) == 0 {
			return false
		}
	}
	return true
}

// knew reports whether proxies had all that a gate is for when the stream ended.
func (p Predecessor) knew(r *store.Resource) bool {
	if p.Session == nil {
		return false
	}
	for _, kind := range before(r.Kind) {
		at, ok := p.Session.of(kind).since(r.Gate.Generation)
		if !ok || at.Add(p.Session.cfg.Settle).After(p.Ended) {
			return false
		}
	}
	return true
}

// had is the value of a resource that the client acknowledged last, or nil.
func (p Predecessor) had(key store.Key, host string) *store.Resource {
	sub := p.Session.of(key.Kind)
	if h := sub.held[key.Name]; h != nil {
		return h.former
	}
	return p.Session.cfg.View.visible(sub.acks[len(sub.acks)-1].state.Find(key, host))
}

// leaveOver keeps the session of a stream that has ended, for the next one with the same view. mu is held.
func (s *Server) leaveOver(st *stream, now time.Time) {
	if st.session == nil || !st.session.resumable() {
		return
	}
	key := st.view.key()
	if len(s.left) >= maxViews {
		maps.DeleteFunc(s.left, func(_ string, p Predecessor) bool { return now.Sub(p.Ended) > maxAway })
	}
	if _, ok := s.left[key]; !ok && len(s.left) >= maxViews {
		return
	}
	st.session.cfg.Before = Predecessor{}
	s.left[key] = Predecessor{Session: st.session, Ended: now}
}

// before is the last stream with a view that has ended.
func (s *Server) before(v View) Predecessor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left[v.key()]
}

// key tells views apart.
func (v View) key() string { return fmt.Sprintf("%s %v", v.Revision, v.Shard) }
