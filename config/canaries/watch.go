package canaries

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"meshbridge/config/follow"
	"meshbridge/convert"
	"meshbridge/convert/canary"
)

// Load reads the documents once, by file and place.
func Load(cfg convert.Config) []canary.Entry {
	return New(cfg, slog.New(slog.DiscardHandler)).Read()
}

// Parse reads the documents of a text as if it were one of the files that the configuration names. Without a file it is
// nobody's, and nothing is said of teams.
func Parse(cfg convert.Config, file string, data []byte) []canary.Entry {
	if file == "" {
		cfg.Canary.Teams = nil
	}
	return parse(cfg, []follow.File{{Path: file, Data: data}})
}

// Watcher follows the documents of a running bridge. Read it once, then Run it.
type Watcher struct {
	// Set once.
	Settle time.Duration // as in follow.Options
	Poll   time.Duration // as in follow.Options
	log    *slog.Logger
	again  chan struct{} // the configuration has changed

	mu  sync.Mutex
	cfg convert.Config // guarded by mu

	// Owned by Read and Run, which follow each other.
	files   *follow.Files
	held    map[string]follow.Match // by glob: what it found when its folder was there last
	states  map[string]string       // by glob: what was told of it
	refused map[document]string     // what was told of documents at fault
	entries []canary.Entry
}

// document tells documents apart in the log.
type document struct {
	file  string
	place int // in the file
}

// New makes a watcher of the files that a configuration names.
func New(cfg convert.Config, log *slog.Logger) *Watcher {
	return &Watcher{
		log: log, cfg: cfg, again: make(chan struct{}, 1),
		held: map[string]follow.Match{}, states: map[string]string{}, refused: map[document]string{},
	}
}

// Set puts another configuration in force; what it changes is read soon.
func (w *Watcher) Set(cfg convert.Config) {
	w.mu.Lock()
	w.cfg = cfg
	w.mu.Unlock()
	select {
	case w.again <- struct{}{}:
	default:
	}
}

// Parse is Parse with the configuration in force. It may be called at any time.
func (w *Watcher) Parse(file string, data []byte) []canary.Entry {
	w.mu.Lock()
	cfg := w.cfg
	w.mu.Unlock()
	return Parse(cfg, file, data)
}

// Run calls apply with all documents whenever they differ from those of the last reading, from one goroutine, until ctx
// ends. The entries are shared and not to be changed.
func (w *Watcher) Run(ctx context.Context, apply func([]canary.Entry)) error {
	opts := follow.Options{Log: w.log, Settle: w.Settle, Poll: w.Poll, Again: w.again}
	return follow.Run(ctx, opts, w.files, func() *follow.Files {
		before := w.entries
		if entries := w.Read(); !reflect.DeepEqual(before, entries) {
			apply(entries)
		}
		return w.files
	})
}

// Read reads the documents, by file and place.
func (w *Watcher) Read() []canary.Entry {
	w.mu.Lock()
	cfg := w.cfg
	w.mu.Unlock()
	w.files = &follow.Files{}
	held, states := map[string]follow.Match{}, map[string]string{}
	var files []follow.File
	for _, glob := range cfg.Canary.Files {
		m, was := w.files.Glob(filepath.Clean(glob)), w.held[glob]
		lost, why := gone(was, m)
		if lost {
			m = was
			w.tell(states, glob, why, w.log.Warn, "the folder of canary documents is gone, they stay as they were; put it back, or take it out of canary.files", "reason", why)
		} else if len(m.Files) == 0 {
			w.tell(states, glob, "empty", w.log.Info, "no canary documents")
		}
		held[glob] = m
		files = append(files, m.Files...)
	}
	w.held, w.states = held, states
	w.entries = parse(cfg, files)
	w.report()
	return w.entries
}

// gone reports whether a glob finds nothing because its folder is not what it was, as when a volume is not mounted, and
// why. Whoever wants documents to go deletes their files.
func gone(was, now follow.Match) (lost bool, why string) {
	switch {
	case len(was.Files) == 0 || len(now.Files) > 0:
		return false, ""
	case now.Err != nil:
		return true, now.Err.Error()
	case now.Folder == nil:
		return true, "it does not exist"
	case !os.SameFile(was.Folder, now.Folder):
		return true, "it is another one and empty"
	}
	return false, ""
}

// tell logs what has become of a glob, once.
func (w *Watcher) tell(states map[string]string, glob, state string, log func(string, ...any), msg string, args ...any) {
	if states[glob] = state; w.states[glob] != state {
		log(msg, append([]any{"files", glob}, args...)...)
	}
}

// report logs each document that is at fault or no longer so, once.
func (w *Watcher) report() {
	refused := map[document]string{}
	places := map[string]int{}
	for _, e := range w.entries {
		d := document{e.File, places[e.File]}
		places[e.File]++
		log := w.log.With("canary", e.Name, "file", e.File)
		if e.Team != "" {
			log = log.With("team", e.Team)
		}
		if len(e.Faults) == 0 {
			if w.refused[d] != "" {
				log.Info("canary document is good again")
			}
			continue
		}
		faults := words(e.Faults)
		if refused[d] = faults; w.refused[d] != faults {
			log.Error("canary document refused", "err", errors.New(faults))
		}
	}
	w.refused = refused
}

func words(faults []canary.Fault) string {
	var lines []string
	for _, f := range faults {
		lines = append(lines, f.Text)
	}
	return strings.Join(slices.Compact(lines), "\n")
}
