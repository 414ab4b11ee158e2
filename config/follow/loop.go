package follow

import (
	"cmp"
	"context"
	"crypto/sha256"
	"log/slog"
	"time"
)

// Options say how files are followed.
type Options struct {
	Log *slog.Logger
	// Settle is how long the files must hold the same before they are read, so that a file being written is not read
	// half. Default 200ms.
	Settle time.Duration
	// Poll is how often the files are looked at even if the kernel says nothing, as for network file systems. Default 30s.
	Poll time.Duration
}

// Run calls read, from one goroutine until ctx ends, whenever files have changed and come to rest. read gives what it read
// in their place.
func Run(ctx context.Context, opts Options, files *Files, read func() *Files) error {
	f := &follower{notices: NewNotices(opts.Log), files: files, read: read}
	defer f.notices.Close()
	poll := time.NewTicker(cmp.Or(opts.Poll, 30*time.Second))
	defer poll.Stop()
	settle := time.NewTimer(0) // the files may have changed since they were read
	defer settle.Stop()
	armed := true
	for {
		// What can happen: something moved near the files, or may have unseen; the files were left alone for a while; the end.
		again := true
		select {
		case <-f.notices.Events:
		case err := <-f.notices.Errors:
			opts.Log.Warn("notices of changed files may be lost, looking at the files instead", "err", err)
		case <-poll.C:
		case <-settle.C:
			armed = false
			again = f.look()
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
	notices *Notices
	files   *Files
	read    func() *Files
	last    [sha256.Size]byte // what the previous look found
}

// look compares the files with what they held when they were read, and reads them once two looks found the same. It
// reports whether to look again soon.
func (f *follower) look() bool {
	f.notices.Follow(f.files.folders())
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
