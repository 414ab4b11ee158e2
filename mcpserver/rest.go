package mcpserver

import "time"

// An istiod opens its port to proxies when it has been answered for every kind, whether or not it has begun to make services of
// what it was sent: one that was answered before its parts run serves proxies without services for as long as its debounce
// lasts. So one that has only just begun is answered for the kinds that are not ours at last, when it has had time for the
// others.

const (
	newborn = time.Minute // a process is taken to be starting until it is so old
	minRest = time.Second // how long it has at least after the last first ACK
	maxRest = 10 * time.Second
)

// restOf is how long a client is given after it has acknowledged the first states. How long it took to get as far as its first
// request tells how fast the machine is: its parts run after about as long again.
func restOf(nonce string) time.Duration {
	age, ok := processAge(nonce)
	if !ok || age > newborn {
		return 0
	}
	return min(max(minRest, 5*age), maxRest)
}

// rested is when the kinds that are not ours are answered; false: not before something happens.
func (s *Session) rested() (time.Time, bool) {
	var last time.Time
	for _, sub := range s.subs {
		if sub == nil {
			continue
		}
		if sub.begun.IsZero() {
			return time.Time{}, false
		}
		last = later(last, sub.begun)
	}
	if last.IsZero() { // it has not asked for ours yet
		last = s.start.Add(subscribing)
	}
	return last.Add(s.cfg.Rest), true
}

// others are the answers to kinds that are not ours, once they may be sent.
func (s *Session) others(now time.Time) []*Response {
	if s.cfg.Rest > 0 {
		if at, ok := s.rested(); !ok || now.Before(at) {
			return nil
		}
	}
	var out []*Response
	for _, url := range s.unanswered {
		nonce := s.nextNonce()
		s.foreign[url] = nonce
		out = append(out, &Response{TypeURL: url, Nonce: nonce, Delta: s.cfg.Delta, Foreign: true})
	}
	s.unanswered = nil
	return out
}
