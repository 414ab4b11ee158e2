package follow

import (
	"cmp"
	"context"
	"crypto/sha256"
	"log/slog"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options say how files are followed.
type Options struct {
	Log *slog.Logger
	// Settle is how long the files must hold the same before they are read, so that a file being written is not read
	// half. Default 200ms.
	Settle time.Duration
	// Poll is how often the files are looked at even if the kernel says nothing, as for network file systems. Default 30s.
	Poll time.Duration
	// Again, if set, asks for a reading though no file has changed.
	Again <-chan struct{}
}

// Run calls read, from one goroutine until ctx ends, whenever files have changed and come to rest. read gives what it read
// in their place.
func Run(ctx context.Context, opts Options, files *Files, read func() *Files) error {
	f := &follower{log: opts.Log, files: files, read: read}
	f.notify()
	defer f.close()
	poll := time.NewTicker(cmp.Or(opts.Poll, 30*time.Second))
	defer poll.Stop()
	settle := time.NewTimer(0) // the files may have changed since they were read
	defer settle.Stop()
	armed := true
	for {
		// What can happen: something moved near the files, or may have unseen; the files were left alone for a while; a
		// reading is asked for; the end.
		again := true
		select {
		case <-f.events:
		case err := <-f.errors:
			f.log.Warn("notices of changed files may be lost, looking at the files instead", "err", err)
		case <-poll.C:
		case <-settle.C:
			armed = false
			again = f.look()
		case <-opts.Again:
			f.load()
		case <-ctx.Done():
			return ctx.Err()
		}
		if again && !armed {
			armed = true
			settle.Reset(cmp.Or(opts.Settle, 200*time.Millisecond))
		}
	}
}

// follower is the state of Run, owned by it.
type follower struct {
	log      *slog.Logger
	files    *Files
	read     func() *Files
	notifier *fsnotify.Watcher // nil without notices of the kernel
	events   <-chan fsnotify.Event
	errors   <-chan error
	last     [sha256.Size]byte // what the previous look found
}

// look compares the files with what they held when they were read, and reads them once two looks found the same. It
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
	f.files, f.last = f.read(), [sha256.Size]byte{}
}

// notify asks the kernel for notices. Without them, polling still finds every change.
func (f *follower) notify() {
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		f.log.Warn("no notices of changed files, looking now and then instead", "err", err)
		return
	}
	f.notifier, f.events, f.errors = notifier, notifier.Events, notifier.Errors
}

func (f *follower) close() {
	if f.notifier == nil {
		return
	}
	if err := f.notifier.Close(); err != nil {
		f.log.Warn("stop following files", "err", err)
	}
}

// watch follows the folders of the files, and no others.
func (f *follower) watch() {
	if f.notifier == nil {
		return
	}
	wanted := map[string]bool{}
	for _, folder := range f.files.folders() {
		wanted[folder] = true
	}
	for _, folder := range f.notifier.WatchList() {
		if !wanted[folder] {
			_ = f.notifier.Remove(folder) // gone already, or never to be heard of again
		}
	}
	for folder := range wanted {
		if err := f.notifier.Add(folder); err != nil {
			f.log.Warn("folder not followed, looking at it now and then instead", "folder", folder, "err", err)
		}
	}
}
