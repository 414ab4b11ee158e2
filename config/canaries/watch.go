package canaries

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
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
	return New(cfg, slog.New(slog.DiscardHandler)).load(nil)
}

// Parse reads the documents of a text as if it were one of the files that the configuration names; a path that it does not name
// is that of the file whose path ends most alike. Without a file it is nobody's, and nothing is said of teams.
func Parse(cfg convert.Config, file string, data []byte) []canary.Entry {
	if file == "" {
		cfg.Canary.Teams = nil
	} else {
		file = located(cfg.Canary.Files, file)
	}
	var err error
	if len(data) > MaxFile {
		err = tooLong(file)
	}
	t := newTree(0)
	t.take(t.file(file, ""), follow.Identity{}, (&parser{cfg: cfg}).file(file, data, err, nil), time.Time{})
	t.decide()
	return t.entries()
}

// Watcher follows the documents of a running bridge. Read it once, then Run it.
type Watcher struct {
	// Set once.
	Rest  time.Duration // how long a file must have been left alone before it is read. Default 50ms.
	Gone  time.Duration // how long a document must have been away before that counts. Default 5s.
	Poll  time.Duration // how often all files are looked at even if the kernel says nothing. Default 30s.
	log   *slog.Logger
	again chan struct{} // the configuration has changed

	mu  sync.Mutex
	cfg convert.Config // guarded by mu

	// Owned by Read and Run, which follow each other.
	tree    *tree
	current convert.Config // what tree comes from
	unknown []canary.Entry // of globs, as they were told last
	states  map[string]string
	// read reads a file; a test counts.
	read func(root, path string, limit int64) ([]byte, follow.Identity, error)
}

// New makes a watcher of the files that a configuration names.
func New(cfg convert.Config, log *slog.Logger) *Watcher {
	return &Watcher{log: log, cfg: cfg, again: make(chan struct{}, 1), read: follow.ReadWithin}
}

// Set makes another configuration the active one; what it changes is read soon.
func (w *Watcher) Set(cfg convert.Config) {
	w.mu.Lock()
	w.cfg = cfg
	w.mu.Unlock()
	select {
	case w.again <- struct{}{}:
	default:
	}
}

func (w *Watcher) config() convert.Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cfg
}

// Parse is Parse with the active configuration. It may be called at any time.
func (w *Watcher) Parse(file string, data []byte) []canary.Entry {
	return Parse(w.config(), file, data)
}

// Read reads the documents, by file and place. If ctx ends meanwhile, those of the files that are left are unreadable.
func (w *Watcher) Read(ctx context.Context) []canary.Entry { return w.load(ctx.Done()) }

func (w *Watcher) load(done <-chan struct{}) []canary.Entry {
	w.current, w.tree = w.config(), newTree(cmp.Or(w.Gone, 5*time.Second))
	now := time.Now()
	r := &parser{cfg: w.current, done: done}
	for _, f := range w.tree.look(w.current.Canary.Files, now) {
		reading := w.readFile(r, f.path, f.root, nil)
		w.tree.take(f, reading.id, reading.docs, now)
	}
	w.reportFolders()
	w.collect()
	return w.tree.entries()
}

// reading is what came of reading a file.
type reading struct {
	id    follow.Identity
	docs  []parsed
	moved bool // the file is another than before: it was not at rest
}

// readFile reads a file. It may be called by several goroutines.
func (w *Watcher) readFile(r *parser, path, root string, former []parsed) reading {
	if r.cancelled() {
		return reading{docs: r.file(path, nil, errors.New("is not read: the bridge is being stopped"), nil)}
	}
	data, id, err := w.read(root, path, MaxFile)
	docs := r.file(path, data, err, former)
	return reading{id, docs, !follow.Look(path).Same(id)}
}

// collect brings the entries up to date, tells what has become of documents, and reports whether the entries differ.
func (w *Watcher) collect() bool {
	differ := w.tree.decide()
	for _, f := range differ {
		w.report(f)
	}
	before := w.unknown
	w.unknown = w.tree.folders.entries()
	return len(differ) > 0 || !same(before, w.unknown)
}

// reportFolders logs what has become of the folders of globs, once.
func (w *Watcher) reportFolders() {
	states := map[string]string{}
	tell := func(glob, state string, log func(string, ...any), msg string, args ...any) {
		if states[glob] = state; w.states[glob] != state {
			log(msg, append([]any{"files", glob}, args...)...)
		}
	}
	l := w.tree.folders
	for glob, why := range l.lost {
		tell(glob, why, w.log.Warn, "the folder of canary documents is gone, they stay as they were; put it back, or take it out of canary.files", "reason", why)
	}
	for _, e := range l.entries() {
		tell(e.File, e.Faults[0].Text, w.log.Error, "no canary documents are known, what was active stays", "err", errors.New(e.Faults[0].Text))
	}
	for glob, empty := range l.empty {
		if empty {
			tell(glob, "empty", w.log.Info, "no canary documents")
		}
	}
	w.states = states
}

// report logs each document of a file that is at fault or no longer so, once.
func (w *Watcher) report(f *file) {
	before := f.told
	all := slices.Concat(f.entries, f.losers)
	f.told = make([]string, len(all))
	for place, e := range all {
		was := ""
		if place < len(before) {
			was = before[place]
		}
		f.told[place] = words(e.Faults)
		log := w.log.With("canary", e.Name, "file", e.File)
		if e.Team != "" {
			log = log.With("team", e.Team)
		}
		switch now := f.told[place]; now {
		case was:
		case "":
			log.Info("canary document is good again")
		default:
			log.Error("canary document refused", "err", errors.New(now))
		}
	}
}

func words(faults []canary.Fault) string {
	var lines []string
	for _, f := range faults {
		lines = append(lines, f.Text)
	}
	return strings.Join(slices.Compact(lines), "\n")
}
