package config

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"meshbridge/config/follow"
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
	// Report, if set, is called after each reading: nil if the file is good, else why the last good one stays active.
	Report func(err error)
}

// Run calls apply with each new configuration, from one goroutine, until ctx ends. current and files come from Load. A file
// with a fault changes nothing and is told of once; so is one whose settings are those that are active.
func (w *Watcher) Run(ctx context.Context, current *Config, files *Files, apply func(*Config)) error {
	l := &loader{Watcher: w, current: current, apply: apply}
	return follow.Run(ctx, follow.Options{Log: w.Log, Settle: w.Settle, Poll: w.Poll}, files, l.load)
}

// loader is the state of Run, owned by it.
type loader struct {
	*Watcher
	current *Config
	apply   func(*Config)
	fault   string // of the last reading, "" if it was good
}

func (l *loader) load() *Files {
	next, files, err := Load(l.Path, l.Env)
	switch {
	case err != nil && err.Error() != l.fault:
		l.fault = err.Error()
		l.Log.Error("configuration refused, the last good one stays active", "file", l.Path, "err", err)
	case err == nil:
		if l.fault != "" {
			l.fault = ""
			l.Log.Info("configuration is good again", "file", l.Path)
		}
		if !reflect.DeepEqual(l.current, next) {
			l.current = next
			l.apply(next)
		}
	}
	if l.Report != nil {
		l.Report(err)
	}
	return files
}
