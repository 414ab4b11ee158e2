package config

import (
	"cmp"
	"context"
	"crypto/sha256"
	"log/slog"
	"reflect"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watcher follows the file of a running bridge and every file that it refers to.
type Watcher struct {
	Path string // as it was given to Load
	Env  Env
	Log  *slog.Logger
	// Settle is how long the files must hold the same before they are read, so that a file being written is not read
	// half. Default 200ms.
	Settle time.Duration
	// Poll is how often the files are looked at even if the kernel says nothing, as for network file systems. Default 30s.
	Poll time.Duration
	// Report, if set, is called after each reading: nil if the file is good, else why the last good one stays in force.
	Report func(err error)
}

// Run calls apply with each new configuration, from one goroutine, until ctx ends. current and files come from Load. A file
// with a fault changes nothing and is told of once; so is one whose settings are those in force.
func (w *Watcher) Run(ctx context.Context, current *Config, files *Files, apply func(*Config)) error {
	f := &follower{Watcher: w, current: current, files: files, apply: apply}
	f.notify()
	defer f.close()
	poll := time.NewTicker(cmp.Or(w.Poll, 30*time.Second))
	defer poll.Stop()
	settle := time.NewTimer(0) // the files may have changed since Load
	defer settle.Stop()
	armed := true
	for {
		// What can happen: something moved near the files, or may have unseen; the files were left alone for a while; the end.
		again := true
		select {
		case <-f.events:
		case err := <-f.errors:
			w.Log.Warn("notices of changed files may be lost, looking at the files instead", "err", err)
		case <-poll.C:
		case <-settle.C:
			armed = false
			again = f.look()
		case <-ctx.Done():
			return ctx.Err()
		}
		if again && !armed {
			armed = true
			settle.Reset(cmp.Or(w.Settle, 200*time.Millisecond))
		}
	}
}

// follower is the state of Run, owned by it.
type follower struct {
	*Watcher
	current  *Config
	files    *Files
	apply    func(*Config)
	notifier *fsnotify.Watcher // nil without notices of the kernel
	events   <-chan fsnotify.Event
	errors   <-chan error
	last     [sha256.Size]byte // what the previous look found
	fault    string            // of the last reading, "" if it was good
}

// look compares the files with what they held when they were read, and loads them once two looks found the same. It
// reports whether to look again soon.
func (f *follower) look() bool {
	f.watch()
	now := f.files.Look()
	switch {
	case now == f.files.Sum():
		return false
	case now != f.last:
		f.last = now
		return true
	}
	f.load()
	return true // for what changed between reading the files and watching their folders
}

func (f *follower) load() {
	next, files, err := Load(f.Path, f.Env)
	f.files, f.last = files, [sha256.Size]byte{}
	switch {
	case err != nil && err.Error() != f.fault:
		f.fault = err.Error()
		f.Log.Error("configuration refused, the last good one stays in force", "file", f.Path, "err", err)
	case err == nil:
		if f.fault != "" {
			f.fault = ""
			f.Log.Info("configuration is good again", "file", f.Path)
		}
		if !reflect.DeepEqual(f.current, next) {
			f.current = next
			f.apply(next)
		}
	}
	if f.Report != nil {
		f.Report(err)
	}
}

// notify asks the kernel for notices. Without them, polling still finds every change.
func (f *follower) notify() {
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		f.Log.Warn("no notices of changed files, looking now and then instead", "err", err)
		return
	}
	f.notifier, f.events, f.errors = notifier, notifier.Events, notifier.Errors
}

func (f *follower) close() {
	if f.notifier == nil {
		return
	}
	if err := f.notifier.Close(); err != nil {
		f.Log.Warn("stop following files", "err", err)
	}
}

// watch follows the folders of the files, and no others.
func (f *follower) watch() {
	if f.notifier == nil {
		return
	}
	wanted := map[string]bool{}
	for _, path := range f.files.Paths() {
		for _, folder := range folders(path) {
			wanted[folder] = true
		}
	}
	for _, folder := range f.notifier.WatchList() {
		if !wanted[folder] {
			_ = f.notifier.Remove(folder) // gone already, or never to be heard of again
		}
	}
	for folder := range wanted {
		if err := f.notifier.Add(folder); err != nil {
			f.Log.Warn("folder not followed, looking at it now and then instead", "folder", folder, "err", err)
		}
	}
}
