package mcpserver

import (
	"time"

	"meshbridge/mcpserver/store"
)

// pacerKey tells one istiod from another.
type pacerKey struct{ node, host string }

// pacerRun is a pacer, and what ends its goroutine.
type pacerRun struct {
	pacer *pacer
	stop  chan struct{}
}

// join adds a stream to its istiod's pacer, which the first one starts.
func (s *Server) join(key pacerKey, m *member, snap *store.Snapshot, now time.Time) (*pacer, *store.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.pacers[key]
	if run == nil {
		run = &pacerRun{pacer: newPacer(key, s.cfg.Quiet), stop: make(chan struct{})}
		s.pacers[key] = run
		s.pumps.Go(func() { pace(run.pacer, s.source, run.stop) })
	}
	return run.pacer, run.pacer.join(m, snap, now)
}

// leave removes a stream from its pacer, which ends with the last one.
func (s *Server) leave(p *pacer, m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.leave(m) {
		return
	}
	close(s.pacers[p.key].stop)
	delete(s.pacers, p.key)
}

// pace wakes the streams of one istiod, burst by burst, until stop is closed.
func pace(p *pacer, source Source, stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		snap, stale := source.Snapshot()
		now := time.Now()
		wake, ready, next := p.advance(snap, now)
		for _, m := range wake {
			select {
			case m.wake <- struct{}{}:
			default:
			}
		}
		if !ready {
			stale = nil
		}
		var due <-chan time.Time
		if !next.IsZero() {
			timer.Reset(next.Sub(now))
			due = timer.C
		}
		// What can happen: a newer snapshot, a stream that is done or due, the end of a pause, the end.
		select {
		case <-stale:
		case <-p.poke:
		case <-due:
		case <-stop:
			return
		}
	}
}
