package canaries

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"meshbridge/config/follow"
	"meshbridge/convert"
	"meshbridge/convert/canary"
)

// together is how long changes wait for those of files that are being read meanwhile, so that what was put in place at once is
// handed on at once.
const together = 20 * time.Millisecond

// Run calls apply with all documents whenever they differ from those of the last time, from one goroutine, until ctx ends. The
// entries are shared and not to be changed. A document that says what it said before keeps its *canary.Document, whatever else
// has changed, so that whoever takes the entries can tell those that are new by their pointers.
func (w *Watcher) Run(ctx context.Context, apply func([]canary.Entry)) error {
	notices := follow.NewNotices(w.log)
	defer notices.Close()
	return w.run(ctx, notices, apply)
}

func (w *Watcher) run(ctx context.Context, notices *follow.Notices, apply func([]canary.Entry)) error {
	r := w.runner(ctx, notices, apply)
	poll := time.NewTicker(cmp.Or(w.Poll, 30*time.Second))
	defer poll.Stop()
	defer r.wake.Stop()
	r.look() // files may have changed since they were read
	for {
		// What can happen: the kernel tells of something near the files, or has lost what it would tell; it is time to look at
		// all of them; a file has rested, or something has been away for long enough; there is another configuration; a file
		// has been read; the end, which waits for no file that is being read.
		select {
		case e := <-notices.Events:
			r.notice(e)
		case err := <-notices.Errors:
			w.log.Warn("notices of changed files may be lost, looking at the files instead", "err", err)
			r.lookSoon()
		case <-poll.C:
			r.look()
		case now := <-r.wake.C:
			r.armed = time.Time{}
			r.rested(now)
		case <-w.again:
			r.configure()
		case result := <-r.done:
			r.take(result)
		case <-ctx.Done():
			return ctx.Err()
		}
		r.hand()
	}
}

// runner is the state of Run, owned by it.
type runner struct {
	*Watcher
	ctx     context.Context
	notices *follow.Notices
	apply   func([]canary.Entry)
	rest    time.Duration

	wake   *time.Timer
	armed  time.Time      // when it fires, zero if it does not
	due    map[*file]bool // files that have a time to be looked at
	lookAt time.Time      // when all files are, zero if that need not be soon
	looked time.Time      // when they were

	leafs   map[string][]follow.Folder // by folder, as notices name it: those that globs find files in
	links   map[string]bool            // on the way to files
	watched map[string]bool            // all folders of which there are notices

	waiting map[string][]*file // by team: files to be read, of which the first is being read
	reading int                // files in waiting
	done    chan result
	handAt  time.Time // when changes are handed on whatever is being read; zero if there are none
}

// result is what a file had when it was read by a configuration.
type result struct {
	reading
	of   *file
	team string
	cfg  *convert.Config
}

func (w *Watcher) runner(ctx context.Context, notices *follow.Notices, apply func([]canary.Entry)) *runner {
	return &runner{
		Watcher: w, ctx: ctx, notices: notices, apply: apply, rest: cmp.Or(w.Rest, 50*time.Millisecond), wake: time.NewTimer(0),
		done: make(chan result), waiting: map[string][]*file{}, due: map[*file]bool{},
	}
}

// by makes the timer fire at a time, or before.
func (r *runner) by(t time.Time) {
	if t.IsZero() || !r.armed.IsZero() && !t.Before(r.armed) {
		return
	}
	r.armed = t
	r.wake.Reset(time.Until(t))
}

// notice takes in what the kernel tells: of a file, or of something else that may change which files there are.
func (r *runner) notice(e fsnotify.Event) {
	leafs := r.leafs[filepath.Dir(e.Name)]
	if len(leafs) == 0 || r.links[e.Name] || r.watched[e.Name] {
		r.lookSoon()
		return
	}
	name := filepath.Base(e.Name)
	for _, leaf := range leafs {
		if follow.Matches(leaf.Glob, name) {
			f := r.tree.file(filepath.Join(leaf.Path, name), leaf.Root)
			f.sighted = false
			r.later(f)
		}
	}
}

// later has a file looked at when it will have rested.
func (r *runner) later(f *file) {
	f.due = time.Now().Add(r.rest)
	r.due[f] = true
	r.by(f.due)
}

// lookSoon has all files looked at, at once if that was not done just now.
func (r *runner) lookSoon() {
	now := time.Now()
	if now.Sub(r.looked) >= r.rest {
		r.look()
		return
	}
	if r.lookAt.IsZero() {
		r.lookAt = now.Add(r.rest)
		r.by(r.lookAt)
	}
}

// look looks at all files. What has changed is read when it has rested, what has gone disappears.
func (r *runner) look() {
	r.lookAt = time.Time{}
	for again := true; again; {
		r.looked = time.Now()
		for _, f := range r.tree.look(r.current.Canary.Files, r.looked) {
			if f.due.IsZero() {
				f.seen, f.sighted = follow.Look(f.path), true
				r.later(f)
			}
		}
		var folders []string
		folders, r.links = follow.Trail(r.tree.folders.listed)
		again = r.notices.Follow(folders) // until there is none whose changes were not told meanwhile
		r.watched = map[string]bool{}
		for _, folder := range folders {
			r.watched[folder] = true
		}
	}
	r.leafs = map[string][]follow.Folder{}
	for _, folder := range r.tree.folders.found {
		if real, err := follow.Resolved(folder.Path); err == nil && folder.Last {
			r.leafs[real] = append(r.leafs[real], folder)
		}
	}
	r.reportFolders()
	r.by(r.tree.expire(r.looked))
}

// rested looks at those files that should have rested, and lets go what has been away for long enough.
func (r *runner) rested(now time.Time) {
	for f := range r.due {
		if !f.due.After(now) {
			r.settle(f)
		}
	}
	if !r.lookAt.IsZero() && !r.lookAt.After(now) {
		r.look()
	}
	for f := range r.due {
		r.by(f.due)
	}
	r.by(r.lookAt)
	r.by(r.handAt)
	r.by(r.tree.expire(now))
}

// settle has a file read if it has changed and rested since.
func (r *runner) settle(f *file) {
	id := follow.Look(f.path)
	if f.busy || f.sighted && !id.Same(f.seen) {
		f.seen = id
		r.later(f)
		return
	}
	f.due = time.Time{}
	delete(r.due, f)
	switch {
	case id.Dir() || gone(id, f.path):
		r.tree.changed[f] = true
		if f.read.Known() { // perhaps its folder has gone
			r.lookAt = time.Now()
		}
	case !id.Same(f.read) || f.stale:
		r.queue(f)
	}
}

// gone reports whether there is no file, nor a link to one that is not there.
func gone(id follow.Identity, path string) bool {
	if !id.Gone() {
		return false
	}
	_, err := os.Lstat(path)
	return err != nil
}

// queue has a file read: of each team one at a time, so that none waits for another team's.
func (r *runner) queue(f *file) {
	team, _ := (&parser{cfg: r.current}).teamOf(f.path)
	f.busy = true
	r.reading++
	r.waiting[team.Name] = append(r.waiting[team.Name], f)
	if len(r.waiting[team.Name]) == 1 {
		r.start(team.Name)
	}
}

// start reads the first of a team's waiting files. What it costs is bounded by the limits of a file, and nobody waits for it once
// ctx has ended.
func (r *runner) start(team string) {
	f, cfg := r.waiting[team][0], r.current
	path, root, former := f.path, f.root, slices.Clone(f.docs)
	if f.stale {
		for i := range former {
			former[i].sum = [32]byte{} // of the same text another configuration may say something else
		}
	}
	done, ctx := r.done, r.ctx
	go func() {
		reading := r.readFile(&parser{cfg, ctx.Done()}, path, root, former)
		select {
		case done <- result{reading, f, team, &cfg}:
		case <-ctx.Done():
		}
	}()
}

// take takes in what was read.
func (r *runner) take(one result) {
	f := one.of
	f.busy = false
	r.reading--
	if r.waiting[one.team] = r.waiting[one.team][1:]; len(r.waiting[one.team]) > 0 {
		r.start(one.team)
	} else {
		delete(r.waiting, one.team)
	}
	switch {
	case one.moved || gone(one.id, f.path) || !sameRules(*one.cfg, r.current):
		f.sighted = false
		r.later(f)
	default:
		r.tree.take(f, one.id, one.docs, time.Now())
		r.by(r.tree.expire(time.Now()))
		if r.tree.folders.first(f.path) {
			r.lookSoon()
		}
	}
}

// hand hands on what has changed.
func (r *runner) hand() {
	if len(r.tree.changed) == 0 && same(r.unknown, r.tree.folders.entries()) {
		return
	}
	now := time.Now()
	if r.handAt.IsZero() {
		r.handAt = now.Add(together)
	}
	if r.reading > 0 && now.Before(r.handAt) {
		r.by(r.handAt)
		return
	}
	r.handAt = time.Time{}
	if r.collect() {
		r.apply(r.tree.entries())
	}
}

// configure goes on with another configuration.
func (r *runner) configure() {
	before := r.current
	r.current = r.config()
	if !sameRules(before, r.current) {
		for _, f := range r.tree.order {
			f.stale = true
		}
	}
	r.look()
}

// sameRules reports whether two configurations judge documents alike.
func sameRules(a, b convert.Config) bool {
	return slices.Equal(a.Subsets.Labels, b.Subsets.Labels) && reflect.DeepEqual(a.Canary.Teams, b.Canary.Teams)
}
