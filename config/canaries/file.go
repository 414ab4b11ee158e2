package canaries

import (
	"slices"
	"time"

	"meshbridge/config/follow"
	"meshbridge/convert/canary"
)

// file is what is known of one file of documents.
type file struct {
	path string
	root string // the folder that it must not lead out of
	docs []parsed
	read follow.Identity // what docs come from; that of no file if it has gone
	// stale says that docs come from another configuration.
	stale bool

	// What names gave for docs.
	entries, losers []canary.Entry
	told            []string // by place: what was told of a document's faults

	// Of a watcher that runs.
	due     time.Time       // when it will have rested; zero if nothing is known to have become of it
	seen    follow.Identity // what was seen of it then
	sighted bool            // seen is set: no notice came, so it rests if it is still that
	busy    bool            // it waits to be read, or is being read
}

// next are the documents of a file of which fresh is what it holds now: what has disappeared from it stays until a time, at its
// place. A document has not disappeared because its team is another.
func next(former, fresh []parsed, until time.Time) []parsed {
	there := make(map[string]bool, len(fresh))
	for i := range fresh {
		there[fresh[i].Name] = true
	}
	all := slices.Clip(fresh)
	for i, p := range former {
		if p.Name == "" || there[p.Name] {
			continue
		}
		if p.until.IsZero() {
			p.until = until
		}
		all = slices.Insert(all, min(i, len(all)), p)
	}
	return all
}

// fades reports whether a document has disappeared from the file and stays for a while.
func (f *file) fades() bool {
	return slices.ContainsFunc(f.docs, func(p parsed) bool { return !p.until.IsZero() })
}

// stay takes back that documents have disappeared, as long as nobody knows.
func (f *file) stay() {
	f.docs = slices.Clone(f.docs)
	for i := range f.docs {
		f.docs[i].until = time.Time{}
	}
}

// drop takes out the disappeared documents that a function finds.
func (f *file) drop(gone func(*parsed) bool) {
	f.docs = slices.DeleteFunc(slices.Clone(f.docs), func(p parsed) bool { return !p.until.IsZero() && gone(&p) })
}

// same reports whether two lists say the same. Documents are compared by their pointers: one that says what it said before has
// its former one.
func same(a, b []canary.Entry) bool {
	return slices.EqualFunc(a, b, func(a, b canary.Entry) bool {
		return a.Name == b.Name && a.File == b.File && a.Team == b.Team && a.Document == b.Document && a.Unknown == b.Unknown && slices.Equal(a.Faults, b.Faults)
	})
}
