package nacos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// completeEvery is after how many looks at a long list all of its pages are read although its length has not changed.
	completeEvery = 6
	// mappingPause is how often the mapping of interfaces to applications is read where it is needed.
	mappingPause = 10 * time.Second
	// emptyEvery is after how many looks at an empty list the namespace is looked for again.
	emptyEvery = 12
	// listers is how many namespaces are listed at once.
	listers = 4
)

// looks is what one round of lists brought: one value for each namespace, and one for the namespaces themselves.
type looks struct {
	scope   string // "" where it is about the namespaces
	err     error
	listing listing

	namespaces []namespace

	mapping    map[string][]string // nil unless it was read
	mappingErr error
}

// errMissing is why a namespace is unknown that the server does not have.
var errMissing = errors.New("the namespace does not exist on the server: is its ID right?")

// watcher reads the lists, round by round, over one connection.
type watcher struct {
	lister
	cfg   Config
	named []namespace
	all   bool

	namespaces []namespace
	missed     map[string]int // rounds in a row in which the list of namespaces lacked an ID
	ids        []string       // of the last list of namespaces
	at         map[string]*lookedAt
	wanted     <-chan string // scopes whose mapping is needed
	out        chan<- looks
}

// lookedAt is what the last complete look at a namespace brought.
type lookedAt struct {
	total int
	looks int // since
	empty int // complete looks in a row that found nothing
	// missing says that the server did not have the namespace.
	missing bool

	mapped   bool // the mapping is needed
	mappedAt time.Time
	seen     map[string]noted
}

// run reads the lists until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	for {
		again, err := w.round(ctx)
		if err != nil {
			return err
		}
		pause := w.cfg.Interval*9/10 + rand.N(w.cfg.Interval/5)
		if again {
			pause = min(pause, shortInterval)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case name := <-w.wanted:
			timer.Stop()
			w.want(name)
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

func (w *watcher) want(name string) {
	if at := w.at[name]; at != nil {
		at.mapped, at.mappedAt = true, time.Time{}
	}
}

// round looks at every namespace once, and reports whether the next round should come soon.
func (w *watcher) round(ctx context.Context) (soon bool, err error) {
	if w.all {
		if err := w.find(ctx); err != nil {
			if len(w.namespaces) == 0 {
				return false, err
			}
			w.post(ctx, looks{err: err})
		}
	}
	for more := true; more; {
		select {
		case name := <-w.wanted:
			w.want(name)
		default:
			more = false
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listers)
	for _, n := range w.namespaces {
		at := w.at[n.name]
		if at == nil {
			at = &lookedAt{total: -1, seen: map[string]noted{}}
			w.at[n.name] = at
		}
		soon = soon || at.empty == 1
		group.Go(func() error {
			w.post(ctx, w.look(ctx, n, at))
			return nil
		})
	}
	err = group.Wait()
	for _, n := range w.namespaces {
		soon = soon || w.at[n.name].empty == 1
	}
	return soon, err
}

func (w *watcher) post(ctx context.Context, l looks) {
	select {
	case w.out <- l:
	case <-ctx.Done():
	}
}

// find lists the namespaces. One that is gone from two lists in a row is followed no longer.
func (w *watcher) find(ctx context.Context) error {
	ids, err := w.lister.namespaces(ctx)
	if err != nil {
		return err
	}
	w.ids = ids
	list := slices.Clone(w.named)
	add := func(id string) {
		if !slices.ContainsFunc(list, func(n namespace) bool { return n.id == id || n.name == id }) {
			list = append(list, namespace{id, id})
		}
	}
	for _, id := range ids {
		delete(w.missed, id)
		add(id)
	}
	for _, n := range w.namespaces {
		if !slices.Contains(ids, n.id) {
			if w.missed[n.id]++; w.missed[n.id] < 2 {
				add(n.id)
			}
		}
	}
	slices.SortFunc(list, func(a, b namespace) int { return strings.Compare(a.name, b.name) })
	w.namespaces = list
	w.post(ctx, looks{namespaces: list})
	names := map[string]bool{}
	for _, n := range list {
		names[n.name] = true
	}
	maps.DeleteFunc(w.at, func(name string, _ *lookedAt) bool { return !names[name] })
	return nil
}

// look reads a namespace's list, and its mapping where that is needed and old.
func (w *watcher) look(ctx context.Context, n namespace, at *lookedAt) looks {
	known := -1
	if at.looks < completeEvery-1 {
		known = at.total
	}
	got := looks{scope: n.name}
	got.listing, got.err = w.list(ctx, n.id, known)
	switch {
	case got.err != nil:
		got.err = fmt.Errorf("namespace %s: %w", n.name, got.err)
		return got
	case got.listing.services == nil:
		at.looks++
	default:
		at.total, at.looks = got.listing.total, 0
		if at.empty++; len(got.listing.services) > 0 {
			at.empty = 0
		} else if at.missing = w.missing(ctx, n.id, at); at.missing {
			got.err = fmt.Errorf("namespace %s: %w", n.name, errMissing)
			return got
		}
	}
	if at.mapped && time.Since(at.mappedAt) >= mappingPause {
		at.mappedAt = time.Now()
		got.mapping, got.mappingErr = w.mapping(ctx, n.id, at.seen)
	}
	return got
}

// missing reports whether the server is known not to have a namespace: it answers for one that it lacks as for an empty one.
// Of one that stays empty this is asked now and then.
func (w *watcher) missing(ctx context.Context, id string, at *lookedAt) bool {
	ids := w.ids
	if !w.all {
		if at.empty > 2 && !at.missing && at.empty%emptyEvery != 0 {
			return false
		}
		var err error
		if ids, err = w.lister.namespaces(ctx); err != nil {
			return false // it tells nobody, or not this identity
		}
	}
	return !slices.Contains(ids, id)
}
