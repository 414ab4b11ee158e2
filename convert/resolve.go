package convert

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// How host names are looked up.
const (
	resolveEvery   = 30 * time.Second
	resolveTimeout = 5 * time.Second
	resolveAtOnce  = 16
)

// Lookup finds the addresses of a host name, as net.Resolver.LookupNetIP does for network "ip".
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// resolver keeps the addresses of the host names that instances use. A name that cannot be looked up keeps its last answer.
type resolver struct {
	lookup Lookup
	log    *slog.Logger
	wake   chan struct{} // a name without an answer is there
	news   chan struct{} // an answer changed

	mu      sync.Mutex
	answers map[string]*answer // guarded by mu, as are the fields below
	changed map[string]bool
	tried   chan struct{} // closed and replaced after each round
}

type answer struct {
	addrs  []netip.Addr
	asked  bool // at least once
	failed bool // last time
	// A former process knew it and nobody has needed it yet: it is not looked up, and forgotten from then on. Zero: it is needed.
	spare time.Time
}

func newResolver(lookup Lookup, log *slog.Logger) *resolver {
	return &resolver{
		lookup:  lookup,
		log:     log,
		wake:    make(chan struct{}, 1),
		news:    make(chan struct{}, 1),
		answers: map[string]*answer{},
		changed: map[string]bool{},
		tried:   make(chan struct{}),
	}
}

// addrs are the last known addresses of a host name, which is followed from now on.
func (r *resolver) addrs(host string) []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.answers[host]
	if a == nil {
		a = &answer{}
		r.answers[host] = a
		notify(r.wake)
	}
	if !a.spare.IsZero() {
		a.spare = time.Time{}
		notify(r.wake)
	}
	return a.addrs
}

// seed gives the answers of a former process. They wait for sources that report late until the given time.
func (r *resolver) seed(answers map[string][]netip.Addr, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for host, addrs := range answers {
		r.answers[host] = &answer{addrs: addrs, spare: until}
	}
}

// keep forgets all names but those that are needed or wait to be.
func (r *resolver) keep(needed func(host string) bool, now time.Time) (forgotten []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for host, a := range r.answers {
		if !needed(host) && !now.Before(a.spare) {
			delete(r.answers, host)
			forgotten = append(forgotten, host)
		}
	}
	return forgotten
}

// take drains the names whose answers changed.
func (r *resolver) take() map[string][]netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := make(map[string][]netip.Addr, len(r.changed))
	for host := range r.changed {
		if a := r.answers[host]; a != nil {
			changed[host] = a.addrs
		}
	}
	r.changed = map[string]bool{} // an emptied map keeps the size of its largest burst
	return changed
}

// run looks names up until ctx ends: new ones at once, all of them every 30 seconds.
func (r *resolver) run(ctx context.Context) error {
	ticks := time.NewTicker(resolveEvery)
	defer ticks.Stop()
	for {
		// Either a name is new, or all are due, or it ends.
		select {
		case <-r.wake:
			r.round(ctx, false)
		case <-ticks.C:
			r.round(ctx, true)
		case <-ctx.Done():
			return nil
		}
	}
}

// settled waits until every name known now was asked for once, or ctx ends.
func (r *resolver) settled(ctx context.Context) {
	for {
		r.mu.Lock()
		pending := false
		for _, a := range r.answers {
			pending = pending || !a.asked && a.addrs == nil
		}
		tried := r.tried
		r.mu.Unlock()
		if !pending {
			return
		}
		select {
		case <-tried:
		case <-ctx.Done():
			return
		}
	}
}

// round looks up all names, or only those never asked for.
func (r *resolver) round(ctx context.Context, all bool) {
	r.mu.Lock()
	var hosts []string
	for _, host := range slices.Sorted(maps.Keys(r.answers)) {
		if a := r.answers[host]; a.spare.IsZero() && (all || !a.asked) {
			hosts = append(hosts, host)
		}
	}
	r.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(resolveAtOnce)
	for _, host := range hosts {
		g.Go(func() error {
			lookupCtx, cancel := context.WithTimeout(ctx, resolveTimeout)
			defer cancel()
			addrs, err := r.lookup(lookupCtx, host)
			if ctx.Err() == nil {
				r.answer(host, addrs, err)
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no error
	r.mu.Lock()
	close(r.tried)
	r.tried = make(chan struct{})
	r.mu.Unlock()
}

// answer takes one answer in. A failure and an empty answer keep the last one.
func (r *resolver) answer(host string, addrs []netip.Addr, err error) {
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("no address for %s", host)
	}
	next := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		next = append(next, a.Unmap().WithZone(""))
	}
	slices.SortFunc(next, netip.Addr.Compare)
	next = slices.Compact(next)

	r.mu.Lock()
	a := r.answers[host]
	if a == nil {
		r.mu.Unlock()
		return
	}
	turned := a.failed != (err != nil)
	a.asked, a.failed = true, err != nil
	changed := err == nil && !slices.Equal(a.addrs, next)
	if changed {
		a.addrs = next
		r.changed[host] = true
	}
	known := len(a.addrs)
	r.mu.Unlock()

	switch {
	case changed:
		notify(r.news)
	case turned && err != nil:
		r.log.Warn("an instance's host name cannot be looked up; its last answer stands", "host", host, "addresses", known, "err", err)
	}
	if turned && err == nil {
		r.log.Info("an instance's host name can be looked up again", "host", host)
	}
}

// notify says "look again" without waiting.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
