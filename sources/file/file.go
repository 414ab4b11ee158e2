// Package file follows a folder of YAML service lists, for hosts that no registry knows. Its invariant: a file that cannot
// be read keeps what it last said; only its deletion, or a readable file that no longer lists a service, removes.
package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"meshbridge/sources"
)

const (
	// settle lets a burst of writes end before the folder is read.
	settle = 100 * time.Millisecond
	// recheck reads the folder without being told, for file systems that send no events, and a folder that was not there.
	recheck = 2 * time.Second
)

// Source follows one folder.
type Source struct {
	dir string
	log *slog.Logger
}

// New makes a source that follows the configured folder.
func New(cfg Config, log *slog.Logger) *Source {
	return &Source{dir: filepath.Clean(cfg.Path), log: log}
}

// Run reports the folder's services until ctx ends. It does not return for a folder that is missing: it waits for it.
func (s *Source) Run(ctx context.Context, sink sources.Sink) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.dir, err)
	}
	defer func() {
		if err := watcher.Close(); err != nil {
			s.log.Debug("close the file watcher", "err", err)
		}
	}()
	sink.Scopes([]string{s.dir})
	f := folder{dir: s.dir, files: map[string]*entry{}}
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	settled := time.NewTimer(settle)
	settled.Stop()
	defer settled.Stop()
	for {
		// Watching before reading: what changes in between is told after.
		if err := watcher.Add(s.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Debug("no file events; the folder is read every "+recheck.String(), "path", s.dir, "err", err)
		}
		f.report(sink)
		// One of four things can happen: a file changed, the changes have settled, it is time to look anyway, or we are told to stop.
		for wait, armed := true, false; wait; {
			select {
			case _, ok := <-watcher.Events:
				if !ok {
					return errors.New("the file watcher ended")
				}
				if !armed {
					armed = true
					settled.Reset(settle)
				}
			case err := <-watcher.Errors:
				return fmt.Errorf("watch %s: %w", s.dir, err)
			case <-settled.C:
				wait = false
			case <-tick.C:
				wait = false
				settled.Stop()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// folder is what was last read of the folder.
type folder struct {
	dir      string
	identity os.FileInfo // of the folder when it was last read
	files    map[string]*entry
	deleted  []sources.Key // of services of files that were deleted since the last report
	reported bool
}

// entry is the last good reading of one file, and what is wrong with its present content.
type entry struct {
	sum      [sha256.Size]byte
	services []*sources.Service // last good, nil: never read
	err      error
}

// report reads the folder and reports what changed.
func (f *folder) report(sink sources.Sink) {
	changed, err := f.read()
	if err != nil {
		sink.State(f.dir, err)
		return
	}
	services, faults, err := f.services()
	if err != nil && !f.reported {
		sink.State(f.dir, err)
		sink.Faults(f.dir, faults)
		return
	}
	if changed || !f.reported {
		f.reported = true
		if gone := f.retired(services); len(gone) > 0 {
			sink.Retire(f.dir, gone)
		}
		sink.Snapshot(f.dir, services, nil)
		sink.Faults(f.dir, faults)
	} else {
		sink.State(f.dir, nil)
	}
}

var errEmptied = errors.New("the folder is another one than before and is empty (an unmounted volume?): put the files back, or remove the source")

// read brings the files up to date, and reports whether any changed.
func (f *folder) read() (changed bool, err error) {
	identity, err := os.Stat(f.dir)
	if err != nil {
		return false, err
	}
	found, err := os.ReadDir(f.dir)
	if err != nil {
		return false, err
	}
	present := map[string]bool{}
	for _, d := range found {
		if name := d.Name(); !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")) {
			present[name] = true
		}
	}
	if len(present) == 0 && len(f.files) > 0 && !os.SameFile(identity, f.identity) {
		return false, errEmptied
	}
	f.identity = identity
	for name, e := range f.files {
		if !present[name] {
			for _, s := range e.services {
				f.deleted = append(f.deleted, s.Key)
			}
			delete(f.files, name)
			changed = true
		}
	}
	for name := range present {
		changed = f.readFile(name) || changed
	}
	return changed, nil
}

// retired lists the services of deleted files that no other file lists. Whoever deletes a file means it.
func (f *folder) retired(services []*sources.Service) []sources.Key {
	listed := map[sources.Key]bool{}
	for _, s := range services {
		listed[s.Key] = true
	}
	var gone []sources.Key
	for _, key := range f.deleted {
		if key.Scope = f.dir; !listed[key] {
			gone = append(gone, key)
		}
	}
	f.deleted = nil
	return gone
}

// readFile brings one file up to date, and reports whether it changed.
func (f *folder) readFile(name string) bool {
	data, err := os.ReadFile(filepath.Join(f.dir, name))
	e := f.files[name]
	if errors.Is(err, os.ErrNotExist) { // gone since the folder was listed, or a link into nothing
		err = fmt.Errorf("the file cannot be opened: %w", err)
	}
	if e == nil {
		e = new(entry)
		f.files[name] = e
	}
	sum := sha256.Sum256(data)
	if err == nil && e.sum == sum && (e.services != nil || e.err != nil) {
		return false
	}
	var services []*sources.Service
	if err == nil {
		e.sum = sum
		services, err = parse(name, data)
	}
	was := e.err
	e.err = err
	if err != nil {
		return was == nil || was.Error() != err.Error()
	}
	if services == nil {
		services = []*sources.Service{}
	}
	e.services = services
	return true
}

// services joins what the files last said, in the order of their names. The error names the files that were never readable.
func (f *folder) services() ([]*sources.Service, []sources.Fault, error) {
	var all []*sources.Service
	var faults []sources.Fault
	var never []error
	owner := map[sources.Key]string{}
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		e := f.files[name]
		path := filepath.Join(f.dir, name)
		if e.err != nil {
			reason := e.err.Error()
			if e.services == nil {
				never = append(never, fmt.Errorf("%s: %w", path, e.err))
			} else {
				reason += " (what it last said stands)"
			}
			faults = append(faults, sources.Fault{Where: path, Reason: reason})
		}
		for _, s := range e.services {
			if first, taken := owner[s.Key]; taken {
				faults = append(faults, sources.Fault{Where: path, Reason: fmt.Sprintf("service %s is already listed in %s, which stands", s.Name, first)})
				continue
			}
			owner[s.Key] = name
			copied := *s // the sink owns what it is given
			copied.Scope = f.dir
			all = append(all, &copied)
		}
	}
	return all, faults, errors.Join(never...)
}
