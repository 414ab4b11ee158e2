package sources

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Backoff is the pause between two calls of a source's Run: it doubles from First to Most, and each pause is taken at
// random between half of it and the whole. It begins anew when a source has run for longer than Most.
type Backoff struct {
	First, Most time.Duration
}

// DefaultBackoff suits every registry.
var DefaultBackoff = Backoff{First: 500 * time.Millisecond, Most: 30 * time.Second}

var errReturned = errors.New("the source ended without saying why")

// Run keeps a source running until ctx ends: when its Run returns, the mirror marks its scopes unknown, keeps what they
// last reported, and it is run again after a pause.
func Run(ctx context.Context, m *Mirror, name string, src Source, b Backoff) {
	sink := &recorder{mirror: m, source: name}
	pause := b.First
	for {
		started := m.now()
		err := src.Run(ctx, sink)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errReturned
		}
		sink.lost(err)
		if m.now().Sub(started) > b.Most {
			pause = b.First
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		pause = min(2*pause, b.Most)
	}
}
