package sources

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"syscall"
	"time"
)

// How often what changed is written, how often that a scope is still followed, and how long after a write that failed.
const (
	saveEvery  = time.Second
	vouchEvery = 30 * time.Second
	retryEvery = 10 * time.Second
)

// saveBatch bounds the services of one transaction.
const saveBatch = 4096

// keeper writes what is served to disk. A nil keeper keeps nothing.
type keeper struct {
	file    *lastGood // nil: it cannot be used
	path    string
	changes chan struct{}

	// Guarded by the mirror's mutex.
	restoring  bool // what is served now comes from the file
	dirty      map[Ref]bool
	identities map[string]string // that are to be written
	gone       []goneScope
	writing    int // services that are being written
	status     KeptStatus
}

// KeptStatus says how what the sources last said is kept on disk.
type KeptStatus struct {
	Path    string    `json:"path"`              // of the file, "" if nothing is kept
	Err     string    `json:"error,omitempty"`   // why it cannot be read or written just now
	Saved   time.Time `json:"saved"`             // when all was written; zero: never by this process
	Unsaved int       `json:"unsaved,omitempty"` // changed services that are not written yet
}

// Restore keeps what is served in a folder from now on, and serves what an earlier process kept there until each registry is
// read. It comes before [Mirror.Expect]. A file that cannot be used is logged and told by [Mirror.Kept]; the mirror works on without.
// The function that it returns closes the file.
func (m *Mirror) Restore(dir string) (closeFile func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := &keeper{changes: make(chan struct{}, 1), dirty: map[Ref]bool{}, identities: map[string]string{}}
	k.status.Path = dir
	m.keeper = k
	file, err := openLastGood(dir, m.log)
	if err != nil {
		k.status.Err = err.Error()
		m.log.Error("what the registries say cannot be kept: a restart with a registry down will have nothing to serve", "dir", dir, "err", err)
		return func() {}
	}
	k.file, k.path = file, file.db.Path()
	k.status.Path = k.path
	return func() {
		if err := file.close(); err != nil {
			m.log.Error("close what the registries last said", "file", k.path, "err", err)
		}
	}
}

// Kept says how what the sources last said is kept.
func (m *Mirror) Kept() KeptStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keeper == nil {
		return KeptStatus{}
	}
	st := m.keeper.status
	st.Unsaved = len(m.keeper.dirty) + m.keeper.writing
	return st
}

// restoreLocked serves what a source last said to an earlier process.
func (m *Mirror) restoreLocked(src *mirrored) {
	k := m.keeper
	if k == nil || k.file == nil {
		return
	}
	scopes, err := k.file.load(src.Name, src.Identity)
	if err != nil {
		k.status.Err = err.Error()
		m.log.Error("what a source last said cannot be used", "source", src.Name, "err", err)
	}
	k.restoring = true
	for id, kept := range scopes {
		sc := src.scope(id, m.now())
		for key, p := range kept.services {
			m.serveLocked(src, sc, key, p)
		}
		sc.status.State, sc.status.LastReport, sc.status.Events = Stale, kept.seen, 0
		sc.guard.history.set(sc.usable(), m.now())
		m.log.Info("served as it was last read, until it is read again", "source", src.Name, "scope", id,
			"services", sc.status.Services, "instances", sc.status.Instances, "read", kept.seen.UTC().Format(time.RFC3339))
	}
	k.restoring = false
	src.keptAs = src.Identity
	k.identities[src.Name] = src.Identity
}

// keepOnlyLocked forgets on disk the sources that are no longer expected, and what another identity said.
func (m *Mirror) keepOnlyLocked() {
	k := m.keeper
	if k == nil || k.file == nil {
		return
	}
	names, err := k.file.sources()
	if err != nil {
		k.status.Err = err.Error()
		return
	}
	for _, name := range names {
		if m.sources[name] == nil {
			k.gone = append(k.gone, goneScope{source: name, all: true})
		}
	}
	for name, src := range m.sources {
		if src.keptAs != src.Identity {
			src.keptAs = src.Identity
			k.identities[name] = src.Identity
			for _, sc := range src.scopes {
				for key := range sc.services {
					k.dirty[Ref{name, key}] = true // under the new identity all of it is written anew
				}
			}
		}
	}
	k.wake()
}

func (k *keeper) touch(ref Ref) {
	if k != nil && k.file != nil && !k.restoring {
		k.dirty[ref] = true
		k.wake()
	}
}

// forget has the bucket of a scope deleted.
func (k *keeper) forget(source, scope string) {
	if k != nil && k.file != nil {
		k.gone = append(k.gone, goneScope{source: source, scope: scope})
		k.wake()
	}
}

func (k *keeper) wake() {
	select {
	case k.changes <- struct{}{}:
	default:
	}
}

// start writes until ctx ends; the function that it returns waits for the last write.
func (k *keeper) start(ctx context.Context, m *Mirror) (wait func()) {
	if k == nil || k.file == nil {
		return func() {}
	}
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx, m) })
	return running.Wait
}

func (k *keeper) run(ctx context.Context, m *Mirror) {
	vouch := time.NewTicker(vouchEvery)
	defer vouch.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	changes := k.changes
	for {
		select { // something changed, the pause after a write is over, it is time to vouch, or we are told to stop
		case <-changes:
			changes = nil
			pause.Reset(saveEvery)
		case <-pause.C:
			if changes = k.changes; !k.saveAll(m) {
				changes = nil
				pause.Reset(retryEvery)
			}
		case <-vouch.C:
			k.saveAll(m)
		case <-ctx.Done():
			k.saveAll(m)
			return
		}
	}
}

// saveAll writes everything that changed, in parts if it is much, and that the scopes which are followed still stand.
func (k *keeper) saveAll(m *Mirror) bool {
	u, dirty := m.unsaved()
	rest := inOrder(dirty)
	for {
		u.services, rest = rest[:min(len(rest), saveBatch)], rest[min(len(rest), saveBatch):]
		m.fill(&u, len(rest) == 0)
		if err := k.file.save(u); err != nil {
			m.notSaved(u, rest, err)
			return false
		}
		if len(rest) == 0 {
			break
		}
		u = unsaved{}
	}
	m.saved()
	return true
}

// unsaved takes what is to be written but for what is served, and the services of which that is to be written.
func (m *Mirror) unsaved() (u unsaved, dirty map[Ref]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.keeper
	u, dirty = unsaved{identities: k.identities, gone: k.gone}, k.dirty
	k.identities, k.gone, k.dirty, k.writing = map[string]string{}, nil, map[Ref]bool{}, len(dirty)
	return u, dirty
}

// fill adds what is served now, and with the last part when the registries vouched for it.
func (m *Mirror) fill(u *unsaved, last bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range u.services {
		u.services[i].served = m.packedLocked(u.services[i].ref)
	}
	if !last {
		return
	}
	u.seen = map[string]map[string]time.Time{}
	for name, src := range m.sources {
		seen := map[string]time.Time{}
		for id, sc := range src.scopes {
			switch at := sc.status.LastReport; {
			case sc.status.State == Synced:
				seen[id] = m.now()
			case !at.IsZero():
				seen[id] = at
			}
		}
		u.seen[name] = seen
	}
}

func (m *Mirror) packedLocked(ref Ref) packed {
	if src := m.sources[ref.Source]; src != nil && src.scopes[ref.Key.Scope] != nil {
		return src.scopes[ref.Key.Scope].services[ref.Key]
	}
	return nil
}

// notSaved puts back what could not be written.
func (m *Mirror) notSaved(u unsaved, rest []unsavedService, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.keeper
	for _, s := range slices.Concat(u.services, rest) {
		k.dirty[s.ref] = true
	}
	for name, identity := range u.identities {
		if _, newer := k.identities[name]; !newer {
			k.identities[name] = identity
		}
	}
	k.gone, k.writing = append(u.gone, k.gone...), 0
	if k.status.Err == "" {
		m.log.Error("what the registries say cannot be written; it is tried again", "file", k.path, "every", retryEvery, "err", err)
	}
	k.status.Err = fmt.Sprintf("write %s: %v", k.path, err)
}

func (m *Mirror) saved() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keeper.status.Err != "" {
		m.log.Info("what the registries say is written again", "file", m.keeper.path)
	}
	m.keeper.status.Err, m.keeper.status.Saved, m.keeper.writing = "", m.now(), 0
}

var errNoRoom = errors.New("no room on the device")

// noRoom marks errors that say nothing of the file itself.
func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	return err
}

// text is the key in one string, in which nothing can be mistaken for something else.
func (k Key) text() string {
	return fmt.Sprintf("%q %q %q %q", k.Name, k.Namespace, k.Group, k.Version)
}
