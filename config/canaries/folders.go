package canaries

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"meshbridge/config/follow"
	"meshbridge/config/strict"
	"meshbridge/convert/canary"
)

// folders is what is known of the folders that globs look in. Unknown is never empty: a folder that is not there, cannot be
// listed, or is suddenly another and empty takes no document away. Whoever wants documents to go deletes their files.
type folders struct {
	known map[string]os.FileInfo // by glob: the folder as it was listed last
	lost  map[string]string      // by glob: why its documents stay as they were read
	never map[string]*unread     // by glob: nothing was ever read there

	// Of the last look.
	found  []follow.Folder // that could be listed
	listed []follow.Folder // all of them
	empty  map[string]bool // globs of canary.files that find nothing, though their folder is there
}

// unread is a folder of which nothing is known yet.
type unread struct {
	why   string
	until time.Time // when all that is in it should have been read; zero while there is nothing
}

func newFolders() *folders {
	return &folders{known: map[string]os.FileInfo{}, never: map[string]*unread{}}
}

// look lists the folders of globs, and gives those that could be listed. has reports whether documents of files that match a
// glob are known. Of a folder that nothing was known of, all is known at a time to come.
func (l *folders) look(globs []string, has func(glob string) bool, then time.Time) []follow.Folder {
	known, never := map[string]os.FileInfo{}, map[string]*unread{}
	l.lost, l.empty, l.found, l.listed = map[string]string{}, map[string]bool{}, nil, nil
	for _, glob := range globs {
		glob = filepath.Clean(glob)
		files := 0
		for _, f := range follow.List(glob) {
			l.listed = append(l.listed, f)
			was, why := l.known[f.Glob], trouble(f)
			switch {
			case why != "" && has(f.Glob), len(f.Names) == 0 && was != nil && why == "" && !os.SameFile(was, f.Info) && has(f.Glob):
				if why == "" {
					why = "it is another one and empty"
				}
				known[f.Glob], l.lost[f.Glob] = was, "the folder "+f.Path+": "+why
				continue
			case why != "" && was == nil:
				never[f.Glob] = &unread{why: "nothing was read of the folder " + f.Path + " yet: " + why}
				continue
			case why != "":
				known[f.Glob] = was // it was empty
				continue
			}
			if u := l.never[f.Glob]; u != nil {
				never[f.Glob] = u
				switch {
				case len(f.Names) == 0:
					u.why, u.until = "nothing was read of the folder "+f.Path+" yet: it was not there, and is empty now", time.Time{}
				case u.until.IsZero():
					u.until = then
				}
			}
			known[f.Glob] = f.Info
			l.found = append(l.found, f)
			if f.Last {
				files += len(f.Names)
			}
		}
		l.empty[glob] = files == 0 && never[glob] == nil && l.lost[glob] == ""
	}
	l.known, l.never = known, never
	return l.found
}

// trouble says why a folder cannot be listed, or "".
func trouble(f follow.Folder) string {
	switch {
	case f.Err == nil:
		return ""
	case errors.Is(f.Err, fs.ErrNotExist):
		return "it does not exist"
	}
	return f.Err.Error()
}

// unknown reports whether a file lies where nothing is known now.
func (l *folders) unknown(path string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(l.lost)), matching(path))
}

// first reports whether a file is the first that was read where nothing was known before.
func (l *folders) first(path string) bool {
	for glob, u := range l.never {
		if u.until.IsZero() && matching(path)(glob) {
			return true
		}
	}
	return false
}

func matching(path string) func(glob string) bool {
	return func(glob string) bool {
		ok, err := filepath.Match(glob, path)
		return ok && err == nil
	}
}

// expire ends that nothing is known of folders that have been read, and tells when it will end for the next ones.
func (l *folders) expire(now time.Time) (next time.Time) {
	for glob, u := range l.never {
		switch {
		case u.until.IsZero():
		case u.until.After(now):
			next = earlier(next, u.until)
		default:
			delete(l.never, glob)
		}
	}
	return next
}

// entries say of which globs nothing is known.
func (l *folders) entries() []canary.Entry {
	var all []canary.Entry
	for _, glob := range slices.Sorted(maps.Keys(l.never)) {
		fault := strict.Fault{File: glob, Wrong: l.never[glob].why, Right: "put the folder and its files there, or take them out of canary.files; what was active from there stays"}
		all = append(all, canary.Entry{File: glob, Unknown: true, Faults: []canary.Fault{{Text: short(fault.Error(), maxText)}}})
	}
	return all
}
