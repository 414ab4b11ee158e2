package zookeeper

import (
	"context"
	"time"

	"meshbridge/sources"
)

const (
	// A session that lasted this long is no failure when it ends.
	stableSession = 30 * time.Second
	// The pause before a lost connection is made anew doubles from reconnectMin to reconnectMax while sessions keep breaking.
	reconnectMin = 200 * time.Millisecond
	reconnectMax = 15 * time.Second
)

// Run implements [sources.Source]. It returns only when ctx ends: a lost connection or session is made anew, and until
// everything is read again the last report stands.
func (s *Source) Run(ctx context.Context, sink sources.Sink) error {
	scopes := s.cfg.scopes()
	report, known := newReporter(sink, scopes), newModel(scopes)
	for failures := 1; ; failures++ {
		began := time.Now()
		err := s.follow(ctx, known, report)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		report.lost(err)
		if time.Since(began) > stableSession {
			failures = 1
		}
		pause := time.NewTimer(backoff(failures, reconnectMin, reconnectMax))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

// follow follows for the time of one session and returns why it ended.
func (s *Source) follow(ctx context.Context, known *model, report *reporter) error {
	sess, err := s.open(ctx, report.lost)
	if err != nil {
		return err
	}
	defer sess.close()
	return newFollower(sess.watches, known, report).run(sess.ctx)
}
