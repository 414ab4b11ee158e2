package canaries

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"meshbridge/config/follow"
	"meshbridge/convert/canary"
)

// tree is what is known of all files. Its invariant: order has the files that have documents or are there, by path, and the
// entries of every file that is not in changed are those that names gives for its documents.
type tree struct {
	gone    time.Duration // how long a document has to be away until it counts
	files   map[string]*file
	order   []*file
	names   names
	fading  map[*file]bool // those with documents that have disappeared
	losing  map[*file]bool // those with documents whose name is another's
	changed map[*file]bool // since the entries were collected
	folders *folders
}

func newTree(gone time.Duration) *tree {
	return &tree{
		gone: gone, files: map[string]*file{}, names: names{}, folders: newFolders(),
		fading: map[*file]bool{}, losing: map[*file]bool{}, changed: map[*file]bool{},
	}
}

// file is what is known of a file, which a glob found in a folder.
func (t *tree) file(path, root string) *file {
	f := t.files[path]
	if f == nil {
		f = &file{path: path, root: root}
		t.files[path] = f
		at, _ := slices.BinarySearchFunc(t.order, path, func(f *file, path string) int { return strings.Compare(f.path, path) })
		t.order = slices.Insert(t.order, at, f)
	}
	return f
}

// forget leaves out a file that has gone with all its documents.
func (t *tree) forget(f *file) {
	delete(t.files, f.path)
	if at, ok := slices.BinarySearchFunc(t.order, f.path, func(f *file, path string) int { return strings.Compare(f.path, path) }); ok {
		t.order = slices.Delete(t.order, at, at+1)
	}
}

// look looks at all files, without reading any, and lists those that are another than when they were read. What has gone
// disappears.
func (t *tree) look(globs []string, now time.Time) (moved []*file) {
	there := map[string]bool{}
	for _, found := range t.folders.look(globs, t.has, now.Add(t.gone)) {
		if !found.Last {
			continue
		}
		for _, name := range found.Names {
			path := filepath.Join(found.Path, name)
			id := follow.Look(path)
			if id.Dir() || there[path] {
				continue
			}
			there[path] = true
			f := t.file(path, found.Root)
			if !id.Same(f.read) || f.stale {
				moved = append(moved, f)
			}
		}
	}
	for _, f := range slices.Clone(t.order) {
		switch {
		case there[f.path] || t.folders.unknown(f.path):
			if f.fades() && (!there[f.path] || !f.read.Known()) {
				t.edit(f, f.stay)
			}
		case f.read.Known() || len(f.docs) == 0 || len(f.keys()) > 0:
			f.read = follow.Identity{}
			t.put(f, nil, now)
		}
	}
	return moved
}

// has reports whether documents of files that match a glob are known.
func (t *tree) has(glob string) bool {
	for _, f := range t.order {
		if len(f.docs) > 0 && matching(f.path)(glob) {
			return true
		}
	}
	return false
}

// take makes the documents of a file those that were read.
func (t *tree) take(f *file, id follow.Identity, docs []parsed, now time.Time) {
	f.read, f.stale = id, false
	t.put(f, docs, now)
}

// put makes the documents of a file those that are in it, and those that were until now.
func (t *tree) put(f *file, docs []parsed, now time.Time) {
	t.edit(f, func() { f.docs = next(f.docs, docs, now.Add(t.gone)) })
}

// edit changes the documents of a file, and finds the files whose entries this may change.
func (t *tree) edit(f *file, change func()) {
	t.touch(f)
	t.names.remove(f)
	change()
	t.names.add(f)
	t.touch(f)
	if t.fading[f] = f.fades(); !t.fading[f] {
		delete(t.fading, f)
	}
	for o := range maps.Clone(t.fading) { // a document that is there takes the place of one that has disappeared
		o.drop(func(p *parsed) bool { return t.names[p.key()] != nil })
		t.changed[o] = true
		if !o.fades() {
			delete(t.fading, o)
		}
	}
}

// touch marks a file and those that have documents of its names.
func (t *tree) touch(f *file) {
	t.changed[f] = true
	for _, k := range f.keys() {
		for _, o := range t.names[k] {
			t.changed[o] = true
		}
	}
}

// expire lets those documents go that have been away for long enough, and tells when the next ones will be.
func (t *tree) expire(now time.Time) (next time.Time) {
	next = t.folders.expire(now)
	for f := range maps.Clone(t.fading) {
		before := len(f.docs)
		if f.drop(func(p *parsed) bool { return !p.until.After(now) }); len(f.docs) < before {
			t.changed[f] = true
		}
		if !f.fades() {
			delete(t.fading, f)
		}
		for _, p := range f.docs {
			if !p.until.IsZero() {
				next = earlier(next, p.until)
			}
		}
	}
	return next
}

// earlier is the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// decide brings the entries of the changed files up to date, and lists the files of which they differ from before.
func (t *tree) decide() (differ []*file) {
	for f := range t.changed {
		entries, losers := t.names.entriesOf(f)
		if !same(entries, f.entries) || !same(losers, f.losers) {
			f.entries, f.losers = entries, losers
			differ = append(differ, f)
		}
		if t.losing[f] = len(losers) > 0; !t.losing[f] {
			delete(t.losing, f)
		}
		if len(f.docs) == 0 && !f.read.Known() && f.due.IsZero() && !f.busy {
			t.forget(f)
		}
	}
	clear(t.changed)
	slices.SortFunc(differ, func(a, b *file) int { return strings.Compare(a.path, b.path) })
	return differ
}

// entries are all of them: by file and place, then the globs of which nothing is known, then the documents whose name is
// another's.
func (t *tree) entries() []canary.Entry {
	n := 0
	for _, f := range t.order {
		n += len(f.entries) + len(f.losers)
	}
	all := make([]canary.Entry, 0, n)
	for _, f := range t.order {
		all = append(all, f.entries...)
	}
	all = append(all, t.folders.entries()...)
	for _, f := range t.order {
		if t.losing[f] {
			all = append(all, f.losers...)
		}
	}
	return all
}
