package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"meshbridge/sources"
)

// workers is how many reads are under way at once. More gain nothing on one connection.
const workers = 12

// follower follows the tree for the time of one session. All its state is owned by dispatch.
type follower struct {
	watches *watches
	model   *model
	report  *reporter
	queue   queue

	units     map[unitKey]*unit
	roots     []*unit
	unsettled map[string]int            // units not yet read in this session, by scope
	broken    map[*unit]error           // units that could not be read
	missing   map[*unit]bool            // roots that do not exist, and held nothing before
	misnamed  map[*unit][]sources.Fault // children of roots that cannot be followed
}

type unitKey struct {
	kind kind
	path string
}

func newFollower(w *watches, m *model, r *reporter) *follower {
	return &follower{
		watches: w, model: m, report: r,
		units: map[unitKey]*unit{}, unsettled: map[string]int{}, broken: map[*unit]error{},
		missing: map[*unit]bool{}, misnamed: map[*unit][]sources.Fault{},
	}
}

// run follows until ctx ends and returns its cause.
func (f *follower) run(ctx context.Context) error {
	jobs, results := make(chan *unit), make(chan result, workers)
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			for {
				select {
				case u := <-jobs:
					select {
					case results <- f.watches.read(u):
					case <-ctx.Done():
						return nil
					}
				case <-ctx.Done():
					return nil
				}
			}
		})
	}
	group.Go(func() error { return f.dispatch(ctx, jobs, results) })
	return group.Wait()
}

// dispatch owns the follower's state. What can happen: a watch fires, a worker is free for the next unit that is due, a
// read comes back, a unit becomes due, the session ends.
func (f *follower) dispatch(ctx context.Context, jobs chan<- *unit, results <-chan result) error {
	for _, k := range f.model.ifaces { // of an earlier session
		f.model.outdate(k)
	}
	f.addRoots()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		next, wait := f.queue.head(now)
		var free chan<- *unit
		var due <-chan time.Time
		if next != nil {
			free = jobs
		} else if wait > 0 {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-f.watches.fired:
			f.hear(time.Now())
		case free <- next:
			f.queue.begin(next, time.Now())
		case r := <-results:
			now = time.Now()
			f.apply(r, now)
			for more := true; more; { // one report for all that is here
				select {
				case r = <-results:
					f.apply(r, now)
				default:
					more = false
				}
			}
			f.tell(now)
		case <-due:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// hear takes the watches that fired.
func (f *follower) hear(now time.Time) {
	for _, u := range f.watches.take() {
		if u.kind == interfaceNode {
			f.model.outdate(f.model.ifaces[u.name])
		}
		f.queue.want(u, now)
	}
}

func (f *follower) addRoots() {
	for i := range f.model.scopes {
		s := &f.model.scopes[i]
		if s.interfaces {
			f.roots = append(f.roots, &unit{kind: interfaceRoot, scope: s, path: s.path})
		}
		if s.mapping {
			f.roots = append(f.roots, &unit{kind: mappingRoot, scope: s, path: path.Join(s.path, "mapping")})
		}
		if s.applications() {
			f.roots = append(f.roots, &unit{kind: appRoot, scope: s, path: s.path})
		}
	}
	for _, u := range f.roots {
		f.add(u)
	}
}

func (f *follower) add(u *unit) {
	f.units[unitKey{u.kind, u.path}] = u
	f.unsettled[u.scope.name]++
	f.queue.want(u, time.Now())
}

func (f *follower) drop(u *unit) {
	u.gone = true
	delete(f.units, unitKey{u.kind, u.path})
	delete(f.broken, u)
	if !u.settled {
		f.unsettled[u.scope.name]--
	}
}

// apply takes what a read brought into the model. A unit that could not be read keeps what was read of it before.
func (f *follower) apply(r result, now time.Time) {
	f.hear(now) // of what came before the answer
	u := r.unit
	changed := u.again // while it was being read
	if r.err == nil && u.kind.isRoot() && !r.exists && f.held(u) {
		r.err = fmt.Errorf("list %s: the node is gone with all that was below it", u.path)
		f.queue.done(u, now, nil) // its watch tells when it is back
	} else {
		f.queue.done(u, now, r.err)
	}
	if u.gone || connectionLost(r.err) {
		return
	}
	if delete(f.broken, u); r.err != nil {
		f.broken[u] = r.err
	} else {
		f.take(r)
	}
	if changed && u.kind == interfaceNode {
		f.model.outdate(f.model.ifaces[u.name])
	}
	if !u.settled {
		u.settled = true
		f.unsettled[u.scope.name]--
	}
}

func (f *follower) take(r result) {
	u := r.unit
	switch u.kind {
	case interfaceNode:
		f.model.setInterface(u.name, r.iface)
	case mappingNode:
		f.model.setMapping(u.name, r.apps)
	case appNode:
		f.model.setApp(appName{u.scope.name, u.name}, r.app)
	case interfaceRoot, mappingRoot, appRoot:
		if delete(f.missing, u); !r.exists {
			f.missing[u] = true
		}
		f.takeRoot(r)
	}
}

// takeRoot follows the units that a root lists, and forgets those that it does not list, of this session or an earlier one.
func (f *follower) takeRoot(r result) {
	listed, faults := r.units()
	f.misnamed[r.unit] = faults
	names := make(map[string]bool, len(listed))
	paths := make(map[string]bool, len(listed))
	for _, u := range listed {
		names[u.name], paths[u.path] = true, true
		if f.units[unitKey{u.kind, u.path}] == nil {
			f.add(u)
		}
	}
	for key, u := range f.units {
		if u.kind == r.unit.below() && u.scope == r.unit.scope && !paths[key.path] {
			f.drop(u)
		}
	}
	switch r.unit.kind {
	case interfaceRoot:
		for name := range f.model.ifaces {
			if !names[name] {
				f.model.setInterface(name, nil)
			}
		}
	case mappingRoot:
		for name := range f.model.mapping {
			if !names[name] {
				f.model.setMapping(name, nil)
			}
		}
	case appRoot:
		for name := range f.model.apps {
			if name.scope == r.unit.scope.name && !names[name.name] {
				f.model.setApp(name, nil)
			}
		}
	}
}

// held reports whether something was known below a root.
func (f *follower) held(root *unit) bool {
	switch root.kind {
	case interfaceRoot:
		return len(f.model.ifaces) > 0
	case mappingRoot:
		return len(f.model.mapping) > 0
	}
	for name := range f.model.apps {
		if name.scope == root.scope.name {
			return true
		}
	}
	return false
}

// tell reports what follows from the reads applied since the last time. Before the first report everything must have
// been read once, or found unreadable: what applications offer of their own depends on all interfaces.
func (f *follower) tell(now time.Time) {
	if !f.model.told {
		for _, n := range f.unsettled {
			if n > 0 {
				return
			}
		}
		f.model.told = true
	}
	f.model.settle(f.report)
	for _, path := range f.model.reread {
		if u := f.units[unitKey{interfaceNode, path}]; u != nil { // else this session reads it still
			f.queue.want(u, now)
		}
	}
	f.model.reread = nil
	for i := range f.model.scopes {
		s := &f.model.scopes[i]
		err, settled := f.rootError(s), f.unsettled[s.name] == 0
		if f.report.scopes[s.name].Whole() || settled && err == nil {
			f.report.scopes[s.name].Flush(f.unreadable(s))
		}
		if settled || err != nil {
			f.report.scopes[s.name].State(err)
		}
		f.report.scopes[s.name].Faults(f.faults(s))
	}
}

// unreadable tells which services of a scope may be there though nothing could be read of them, nil: none.
func (f *follower) unreadable(s *scope) func(sources.Key) bool {
	names := map[string]bool{}
	for u := range f.broken {
		if u.scope == s && !u.kind.isRoot() {
			names[u.name] = true
		}
	}
	if len(names) == 0 {
		return nil
	}
	return func(k sources.Key) bool { return names[k.Name] }
}

// rootError is why a scope as a whole is unknown.
func (f *follower) rootError(s *scope) error {
	for _, u := range f.roots {
		if err := f.broken[u]; err != nil && u.scope == s && (u.kind != mappingRoot || !s.interfaces) {
			return explain(err)
		}
	}
	return nil
}

// faults lists what of a scope cannot be read while the rest is followed.
func (f *follower) faults(s *scope) []sources.Fault {
	var out []sources.Fault
	for u, err := range f.broken {
		if u.scope == s && (!u.kind.isRoot() || u.kind == mappingRoot && s.interfaces) {
			out = append(out, sources.Fault{Where: u.path, Reason: explain(err).Error() + "; what was read last stands"})
		}
	}
	for u, faults := range f.misnamed {
		if u.scope == s {
			out = append(out, faults...)
		}
	}
	if s.interfaces {
		for faults := range maps.Values(f.model.faulty) {
			out = append(out, faults...)
		}
	}
	for u := range f.missing {
		if u.scope == s && u.kind != mappingRoot && f.nothingExists() {
			out = append(out, sources.Fault{Where: u.path, Reason: "the node does not exist, nor does any other root: nothing has registered yet, or chroot or root is wrong"})
		}
	}
	return out
}

func (f *follower) nothingExists() bool {
	for _, u := range f.roots {
		if u.kind != mappingRoot && !f.missing[u] {
			return false
		}
	}
	return true
}

// explain adds to a refusal what to do about it.
func explain(err error) error {
	if errors.Is(err, zk.ErrNoAuth) {
		return fmt.Errorf("%w: the identity in auth may not read it", err)
	}
	return err
}

// connectionLost reports whether an error says nothing of the node but that the session is ending.
func connectionLost(err error) bool {
	for _, lost := range []error{zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrSessionExpired, zk.ErrClosing, zk.ErrSessionMoved} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}
