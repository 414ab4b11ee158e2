package nacos

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// workers is how many reads are under way at once.
	workers = 16
	// tries is how often a read may fail in passing before the first report is made without it.
	tries = 3
	// patience is how many looks at a list may fail in a row before another server is tried.
	patience = 3
)

// follower follows the namespaces over one connection. All its state is owned by dispatch.
type follower struct {
	cfg    Config
	link   *link
	scopes map[string]*scope // outlive the connection
	report *reporter
	queue  queue
	gone   []*unit // to unsubscribe from

	blind  error       // why new namespaces are not seen
	mapped chan string // scopes whose mapping is needed, to the watcher

	mu    sync.Mutex
	fired map[serviceID]digest // of pushes, since dispatch looked
	bell  chan struct{}
}

// job is one question for a worker.
type job struct {
	unit *unit
	end  bool // unsubscribe
}

type result struct {
	unit    *unit
	content content
	err     error
}

// run follows until ctx ends or the connection does, and returns why.
func (f *follower) run(ctx context.Context, w *watcher) error {
	jobs, results, lists := make(chan job), make(chan result, workers), make(chan looks)
	w.out, w.wanted = lists, f.mapped
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		<-ctx.Done()
		f.link.close() // ends listen
		return nil
	})
	group.Go(func() error { return f.link.listen(f.push) })
	group.Go(func() error { return f.link.keep(ctx) })
	group.Go(func() error { return w.run(ctx) })
	for range workers {
		group.Go(func() error { return f.work(ctx, jobs, results) })
	}
	group.Go(func() error { return f.dispatch(ctx, jobs, results, lists) })
	return group.Wait()
}

func (f *follower) work(ctx context.Context, jobs <-chan job, results chan<- result) error {
	for {
		select {
		case j := <-jobs:
			if j.end {
				_ = f.link.unsubscribe(ctx, j.unit.scope.id, j.unit.id) // else the server pushes what nobody hears
				continue
			}
			r := result{unit: j.unit}
			r.content, r.err = f.link.subscribe(ctx, j.unit.scope.id, j.unit.id)
			select {
			case results <- r:
			case <-ctx.Done():
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// push notes what a push tells of. It says only where to look again: a push names no namespace, and nothing it holds is reported.
func (f *follower) push(s *serviceInfo) {
	id := s.id()
	d := decode(id, s.Hosts).digest
	f.mu.Lock()
	f.fired[id] = d
	f.mu.Unlock()
	select {
	case f.bell <- struct{}{}:
	default:
	}
}

// dispatch owns the follower's state. What can happen: a push comes, a worker is free for the next question, an answer
// comes, a list comes, a unit becomes due, the connection ends.
func (f *follower) dispatch(ctx context.Context, jobs chan<- job, results <-chan result, lists <-chan looks) error {
	for _, s := range f.scopes {
		s.begin()
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next, wait := f.queue.head(time.Now())
		var free chan<- job
		var due <-chan time.Time
		j := job{unit: next}
		if len(f.gone) > 0 {
			j = job{f.gone[0], true}
		}
		if j.unit != nil {
			free = jobs
		} else if wait > 0 {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-f.bell:
			f.hear(time.Now())
		case free <- j:
			if j.end {
				f.gone = f.gone[1:]
			} else {
				f.queue.begin(next, time.Now())
			}
		case r := <-results:
			f.apply(r, time.Now())
			for more := true; more; { // one report for all that is here
				select {
				case r = <-results:
					f.apply(r, time.Now())
				default:
					more = false
				}
			}
			f.tell(time.Now())
		case l := <-lists:
			if err := f.take(l, time.Now()); err != nil {
				return err
			}
			f.tell(time.Now())
		case <-due:
		case <-ctx.Done():
			return nil
		}
	}
}

// hear takes the pushes: a service of which one says something else than is held is read again.
func (f *follower) hear(now time.Time) {
	f.mu.Lock()
	fired := f.fired
	f.fired = map[serviceID]digest{}
	f.mu.Unlock()
	for id, d := range fired {
		for _, s := range f.scopes {
			u := s.units[id]
			switch {
			case u == nil || u.due.begun.IsZero(): // not read yet
			case u.due.state == reading:
				u.pushed = d
			case !u.read || u.digest != d:
				f.queue.want(u, now)
			}
		}
	}
}

// apply takes what a read brought into the model. A unit that could not be read keeps what was read of it before.
func (f *follower) apply(r result, now time.Time) {
	f.hear(now) // of what came before the answer
	u, s := r.unit, r.unit.scope
	if u.pushed != (digest{}) && r.err == nil && u.pushed != r.content.digest {
		u.due.again = true
	}
	u.pushed = digest{}
	f.queue.done(u, now, r.err)
	if u.gone || lost(r.err) || passing(r.err) && !u.settled && u.due.failures < tries {
		return
	}
	if delete(s.look.broken, u); r.err != nil {
		s.look.broken[u] = r.err
	} else {
		s.set(u, r.content)
	}
	if !u.settled {
		u.settled = true
		s.look.unsettled--
	}
}

// lost reports whether an error says nothing of a service but that the connection is ending.
func lost(err error) bool {
	var answered *statusError
	return errors.As(err, &answered) && answered.code == unregistered || errors.Is(err, context.Canceled) ||
		status.Code(err) == codes.Unavailable || status.Code(err) == codes.Canceled
}

// passing reports whether an error is worth another try before a first report is made without a service: the server is slow,
// busy or in trouble, rather than unwilling.
func passing(err error) bool {
	var answered *statusError
	return err != nil && !(errors.As(err, &answered) && answered.code < http.StatusInternalServerError)
}

// take takes what a look at the lists brought. An error ends the connection.
func (f *follower) take(l looks, now time.Time) error {
	if l.namespaces != nil {
		f.name(l.namespaces)
	}
	s := f.scopes[l.scope]
	switch {
	case l.scope == "":
		f.blind = l.err
		return nil
	case s == nil:
		return nil
	case l.err != nil:
		return f.fail(s, l.err)
	}
	s.look.fails, s.look.err = 0, nil
	if l.mapping != nil || l.mappingErr != nil {
		s.takeMapping(l.mapping, l.mappingErr)
	}
	if l.listing.services == nil {
		return nil
	}
	if len(l.listing.services) == 0 && !s.look.listed && !s.look.empty {
		s.look.empty = true // whether it is so, the next look tells
		return nil
	}
	s.look.listed = true
	for id, at := range l.listing.services {
		if s.follows(id) {
			f.see(s, at, now)
		}
	}
	for id, u := range s.units {
		if _, found := l.listing.services[id]; found || l.listing.partial {
			continue
		}
		if u.misses++; u.misses < 2 {
			continue
		}
		if !u.due.begun.IsZero() {
			f.gone = append(f.gone, u)
		}
		if f.asked(u) && !u.settled {
			s.look.unsettled--
		}
		delete(s.look.broken, u)
		s.drop(u)
	}
	return nil
}

// asked reports whether a unit is in the queue of this connection, or was.
func (f *follower) asked(u *unit) bool { return u.due != (due{}) }

// see takes a service that a list has: one that is new is read, and one of which it counts other instances is read again.
func (f *follower) see(s *scope, at listed, now time.Time) {
	u := s.units[at.serviceID]
	if u == nil {
		u = s.add(at.serviceID)
	}
	u.misses = 0
	if !f.asked(u) {
		s.look.unsettled++
		f.queue.want(u, now)
	}
	if counts := [2]int{at.total, at.healthy}; at.counted && counts != u.counts {
		u.counts = counts
		if u.settled && counts != [2]int{u.total, u.healthy} {
			f.queue.want(u, now)
		}
	}
}

// fail takes a look that brought nothing. A scope is unknown when its first look fails, when a look is refused, or when two
// in a row fail; after some more, another server is tried.
func (f *follower) fail(s *scope, err error) error {
	s.look.fails++
	refused := denied(err) || errors.Is(err, errNoLists) || errors.Is(err, errMissing)
	if refused || !s.look.listed || s.look.fails > 1 {
		s.look.err = err
	}
	if !refused && s.look.fails >= patience {
		return err
	}
	return nil
}

// name follows other namespaces than before.
func (f *follower) name(list []namespace) {
	names := make([]string, len(list))
	for i, n := range list {
		names[i] = n.name
		if f.scopes[n.name] == nil {
			f.scopes[n.name] = newScope(n, f.cfg.Dubbo.Mode)
		}
	}
	for name, s := range f.scopes {
		if !slices.Contains(names, name) {
			for _, u := range s.units {
				if u.gone = true; f.asked(u) {
					f.gone = append(f.gone, u)
				}
			}
			delete(f.scopes, name)
		}
	}
	f.report.name(names)
}

// tell reports what follows from what was taken since the last time.
func (f *follower) tell(now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(f.scopes)) {
		s, r := f.scopes[name], f.report.scopes[name]
		at := &s.look
		at.passed = at.passed || at.listed && at.unsettled == 0
		if at.passed {
			s.settle(r)
			for _, u := range s.reread {
				f.queue.want(u, now)
			}
			s.reread = nil
			f.askMapping(s)
		}
		err := s.unreadable()
		if at.passed && err == nil && (r.Whole() || s.complete()) {
			r.Flush(s.unknown)
			r.State(nil)
		} else if err != nil {
			r.State(err)
		}
		r.Faults(s.faults(f.blind))
	}
}

// askMapping has the watcher read the mapping where it is needed.
func (f *follower) askMapping(s *scope) {
	if !s.mapping.needed || s.mapping.asked {
		return
	}
	select {
	case f.mapped <- s.name:
		s.mapping.asked = true
	default: // it is busy: the next report asks again
	}
}
