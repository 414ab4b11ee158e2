package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// How host names are looked up. A lookup that lasts longer than resolvePatience makes room for others of its queue.
const (
	resolveEvery    = 30 * time.Second // between two lookups of a name
	resolveMost     = 5 * time.Minute  // the same, of a name whose server has not answered for long
	resolvePatience = 250 * time.Millisecond
	resolveTimeout  = 5 * time.Second
	resolveAtOnce   = 32 // of each queue
)

// The queues of names. Each has lookups of its own, so that none waits for those of another.
const (
	queueNew    = iota // never looked up
	queuePrompt        // the server answered last time, be it that there is no such name
	queueLong          // the lookup outlasted resolvePatience
	queueDead          // the server did not answer in time last time
	queues
)

// Lookup finds the addresses of a host name, as net.Resolver.LookupNetIP does for network "ip".
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// resolver keeps the addresses of the host names that instances use. A name that cannot be looked up keeps its last answer.
type resolver struct {
	lookup Lookup
	log    *slog.Logger
	wake   chan struct{} // a name is new, or a lookup made room
	news   chan struct{} // an answer changed

	mu      sync.Mutex
	answers map[string]*answer // guarded by mu, as are the fields below
	changed map[string]bool
	waiting [queues][]turn // the soonest first
	busy    [queues]int    // lookups
	tried   chan struct{}  // closed and replaced after each lookup
}

type answer struct {
	addrs  []netip.Addr
	asked  bool // at least once
	failed bool // last time
	misses int  // times in a row that the server did not answer in time
	// A former process knew it and nobody has needed it yet: it is not looked up, and forgotten from then on. Zero: it is needed.
	spare time.Time
}

// turn is when a name is looked up. An answer has one turn, or is being looked up, or is spare.
type turn struct {
	at     time.Time
	host   string
	answer *answer
}

// attempt is a lookup that goes on.
type attempt struct {
	turn
	queue int  // that it counts for; queues: none
	cut   bool // it was given up so that it takes no room
	ended bool
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
		r.enqueueLocked(queueNew, turn{at: time.Now(), host: host, answer: a})
	}
	if !a.spare.IsZero() {
		a.spare = time.Time{}
		r.enqueueLocked(queueNew, turn{at: time.Now(), host: host, answer: a})
	}
	return a.addrs
}

func (r *resolver) enqueueLocked(queue int, t turn) {
	at, _ := slices.BinarySearchFunc(r.waiting[queue], t, func(a, b turn) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.host, b.host))
	})
	r.waiting[queue] = slices.Insert(r.waiting[queue], at, t)
	notify(r.wake)
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

// run looks names up until ctx ends: new ones at once, others when they are due.
func (r *resolver) run(ctx context.Context) error {
	var lookups sync.WaitGroup
	defer lookups.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		begun, next := r.begin(time.Now())
		for _, a := range begun {
			lookups.Go(func() { r.look(ctx, a) })
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		// A name is new or a lookup made room, or a name is due, or it ends.
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// begin takes the turns that are due out of the queues, as far as there is room, and says when the next one is due that has room.
func (r *resolver) begin(now time.Time) (begun []*attempt, next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for queue := range r.waiting {
		for r.busy[queue] < resolveAtOnce && len(r.waiting[queue]) > 0 {
			t := r.waiting[queue][0]
			known := r.answers[t.host] == t.answer
			if known && t.at.After(now) {
				if next.IsZero() || t.at.Before(next) {
					next = t.at
				}
				break
			}
			r.waiting[queue][0] = turn{}
			r.waiting[queue] = r.waiting[queue][1:]
			if known {
				r.busy[queue]++
				begun = append(begun, &attempt{turn: t, queue: queue})
			}
		}
	}
	return begun, next
}

// look makes an attempt and takes in what comes of it.
func (r *resolver) look(ctx context.Context, a *attempt) {
	within, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	impatient := time.AfterFunc(resolvePatience, func() { r.outlast(a, cancel) })
	defer impatient.Stop()
	addrs, err := r.lookup(within, a.host)
	var failure *net.DNSError
	late := err != nil && (within.Err() != nil || errors.As(err, &failure) && failure.IsTimeout)

	r.mu.Lock()
	a.ended = true
	if a.queue < queues {
		r.busy[a.queue]--
	}
	cut := a.cut && late
	if known := r.answers[a.host] == a.answer; known && cut {
		r.enqueueLocked(queueLong, turn{at: time.Now(), host: a.host, answer: a.answer})
	} else if known {
		r.againLocked(a.turn, late)
	}
	r.mu.Unlock()
	notify(r.wake)
	if !cut && ctx.Err() == nil {
		r.answer(a.host, a.answer, addrs, err)
	}
}

// outlast has a lookup that lasts long count for queueLong. Without room for it, it is given up and waits for a turn there.
func (r *resolver) outlast(a *attempt, give func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.ended || a.queue >= queueLong {
		return
	}
	r.busy[a.queue]--
	if a.queue = queueLong; r.busy[queueLong] < resolveAtOnce {
		r.busy[queueLong]++
	} else {
		a.queue, a.cut = queues, true
		give()
	}
	notify(r.wake)
}

// againLocked gives a name its next turn. The time between two grows while its server does not answer in time.
func (r *resolver) againLocked(t turn, late bool) {
	queue, wait := queuePrompt, resolveEvery
	if late {
		queue, wait = queueDead, min(resolveEvery<<min(t.answer.misses, 10), resolveMost)
		t.answer.misses++
	} else {
		t.answer.misses = 0
	}
	t.at = time.Now().Add(wait)
	r.enqueueLocked(queue, t)
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

// answer takes one answer in. A failure and an empty answer keep the last one.
func (r *resolver) answer(host string, a *answer, addrs []netip.Addr, err error) {
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
	if r.answers[host] != a {
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
	close(r.tried)
	r.tried = make(chan struct{})
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
