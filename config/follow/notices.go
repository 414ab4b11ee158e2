package follow

import (
	"log/slog"

	"github.com/fsnotify/fsnotify"
)

// Notices is what the kernel tells of changes in folders. Where it tells nothing, Events and Errors are nil, and polling still
// finds every change.
type Notices struct {
	Events   <-chan fsnotify.Event
	Errors   <-chan error
	log      *slog.Logger
	notifier *fsnotify.Watcher // nil without notices of the kernel
}

// NewNotices asks the kernel for notices, of no folder yet. They are to be closed.
func NewNotices(log *slog.Logger) *Notices {
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("no notices of changed files, looking now and then instead", "err", err)
		return &Notices{log: log}
	}
	return &Notices{notifier.Events, notifier.Errors, log, notifier}
}

// Close ends the notices.
func (n *Notices) Close() {
	if n.notifier == nil {
		return
	}
	if err := n.notifier.Close(); err != nil {
		n.log.Warn("stop following files", "err", err)
	}
}

// Follow follows folders, and no others. It reports whether there is one that was not followed before: what has changed in it
// until now is not told.
func (n *Notices) Follow(folders []string) (more bool) {
	if n.notifier == nil {
		return false
	}
	wanted, followed := map[string]bool{}, map[string]bool{}
	for _, folder := range folders {
		wanted[folder] = true
	}
	for _, folder := range n.notifier.WatchList() {
		if followed[folder] = wanted[folder]; !wanted[folder] {
			_ = n.notifier.Remove(folder) // gone already, or never to be heard of again
		}
	}
	for folder := range wanted {
		if err := n.notifier.Add(folder); err != nil { // also if it is followed: it may be another one by now
			n.log.Warn("folder not followed, looking at it now and then instead", "folder", folder, "err", err)
			continue
		}
		more = more || !followed[folder]
	}
	return more
}
