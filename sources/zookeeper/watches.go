package zookeeper

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-zookeeper/zk"
)

// conn is what is asked of a connection. The channels that the watching calls return are dropped: every event also reaches
// the connection's callback, and that is the only way in which they are received here.
type conn interface {
	Children(path string) ([]string, *zk.Stat, error)
	ChildrenW(path string) ([]string, *zk.Stat, <-chan zk.Event, error)
	Get(path string) ([]byte, *zk.Stat, error)
	GetW(path string) ([]byte, *zk.Stat, <-chan zk.Event, error)
	ExistsW(path string) (bool, *zk.Stat, <-chan zk.Event, error)
}

// watches reads through one connection and remembers which watches are armed on it. A watch fires once. It is armed by
// the read whose answer is used, so that a later change cannot be missed, and never twice, because the client keeps
// something for each time.
//
// A server drops a watch without a word when it fires while the client lacks the permission to read the node. So every
// part is read again from time to time, and a node that changed while its watch was thought to be armed has lost it.
type watches struct {
	conn  conn
	fired chan struct{} // says that there is something to take

	mu    sync.Mutex
	armed map[string][]*watch // by path; guarded by mu
	dirty map[*unit]struct{}  // guarded by mu
}

// watch is what one unit has armed at one path, and the transaction that it has seen there last.
type watch struct {
	unit           *unit
	children, data bool
	pzxid, mzxid   int64 // 0 if the read was not answered yet
}

func newWatches(c conn) *watches {
	return &watches{conn: c, fired: make(chan struct{}, 1), armed: map[string][]*watch{}, dirty: map[*unit]struct{}{}}
}

// event takes an event of the connection. It is called from the client's receiving goroutine, before the client hands
// out the answer to any later request, and does not block.
func (w *watches) event(ev zk.Event) {
	var children, data bool
	switch ev.Type {
	case zk.EventNodeChildrenChanged:
		children = true
	case zk.EventNodeCreated, zk.EventNodeDataChanged:
		data = true
	case zk.EventNodeDeleted:
		children, data = true, true
	default:
		return
	}
	w.mu.Lock()
	for _, at := range w.armed[ev.Path] {
		if children && at.children || data && at.data {
			w.dirty[at.unit] = struct{}{}
		}
		at.children, at.data = at.children && !children, at.data && !data
	}
	w.dropIdleLocked(ev.Path)
	w.mu.Unlock()

	select {
	case w.fired <- struct{}{}:
	default:
	}
}

func (w *watches) dropIdleLocked(path string) {
	kept := slices.DeleteFunc(w.armed[path], func(at *watch) bool { return !at.children && !at.data })
	if len(kept) == 0 {
		delete(w.armed, path)
	} else {
		w.armed[path] = kept
	}
}

// take drains the units of which something changed.
func (w *watches) take() []*unit {
	w.mu.Lock()
	defer w.mu.Unlock()
	units := make([]*unit, 0, len(w.dirty))
	for u := range w.dirty {
		units = append(units, u)
	}
	w.dirty = map[*unit]struct{}{} // an emptied map keeps the size, and the cost of walking it, of its largest burst
	return units
}

type watchKind int

const (
	childrenWatch watchKind = iota
	dataWatch
)

// set marks a watch before the request that arms it is sent, so that an event that overtakes the answer's receiver is
// not lost: it unmarks the watch, and the unit is read again. It reports whether the watch was marked already.
func (w *watches) set(u *unit, path string, kind watchKind) (already bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.findLocked(u, path)
	if at == nil {
		at = &watch{unit: u}
		w.armed[path] = append(w.armed[path], at)
	}
	mark := &at.children
	if kind == dataWatch {
		mark = &at.data
	}
	already, *mark = *mark, true
	return already
}

// unset takes the mark back: the request failed, or the watch is lost.
func (w *watches) unset(u *unit, path string, kind watchKind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.findLocked(u, path); at != nil && kind == dataWatch {
		at.data = false
	} else if at != nil {
		at.children = false
	}
	w.dropIdleLocked(path)
}

func (w *watches) findLocked(u *unit, path string) *watch {
	for _, at := range w.armed[path] {
		if at.unit == u {
			return at
		}
	}
	return nil
}

// holds reports whether the unit's data watch at a path is armed: what it read there is still so.
func (w *watches) holds(u *unit, path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.findLocked(u, path)
	return at != nil && at.data
}

// armedAt notes the transaction that an armed watch starts from.
func (w *watches) armedAt(u *unit, path string, kind watchKind, zxid int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.findLocked(u, path); at != nil && kind == dataWatch {
		at.mzxid = zxid
	} else if at != nil {
		at.pzxid = zxid
	}
}

// lost reports whether a node changed without the event that should have come before any read that shows the change.
func (w *watches) lost(u *unit, path string, kind watchKind, zxid int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.findLocked(u, path)
	switch {
	case at == nil:
		return false // it fired since, and the unit is read again
	case kind == dataWatch:
		return at.data && at.mzxid != zxid
	}
	return at.children && at.pzxid != zxid
}

const appearTries = 16 // of a node that is deleted and created again between two requests

// children lists a node's children and makes sure that the unit hears of the next change, also when the node does not
// exist yet.
func (w *watches) children(u *unit, path string) (names []string, exists bool, err error) {
	for range appearTries {
		names, err = w.list(u, path)
		if err == nil {
			return names, true, nil
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return nil, false, fmt.Errorf("list %s: %w", path, err)
		}
		if exists, err := w.appears(u, path); !exists {
			return nil, false, err
		}
	}
	return nil, false, fmt.Errorf("list %s: it comes and goes", path)
}

// list lists a node's children under an armed watch.
func (w *watches) list(u *unit, path string) ([]string, error) {
	if w.set(u, path, childrenWatch) {
		names, stat, err := w.conn.Children(path)
		if err != nil || !w.lost(u, path, childrenWatch, stat.Pzxid) {
			return names, err
		}
	}
	names, stat, _, err := w.conn.ChildrenW(path)
	if err != nil {
		w.unset(u, path, childrenWatch)
		return nil, err
	}
	w.armedAt(u, path, childrenWatch, stat.Pzxid)
	return names, nil
}

// data reads a node and makes sure that the unit hears of its next change, also when it does not exist: its parent's
// listing would not show that it went and came back.
func (w *watches) data(u *unit, path string) (data []byte, exists bool, err error) {
	for range appearTries {
		data, _, err := w.get(u, path)
		if err == nil {
			return data, true, nil
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return nil, false, fmt.Errorf("read %s: %w", path, err)
		}
		if exists, err := w.appears(u, path); !exists {
			return nil, false, err
		}
	}
	return nil, false, fmt.Errorf("read %s: it comes and goes", path)
}

// appears arms a watch for a node that did not exist, and reports whether it does by now.
func (w *watches) appears(u *unit, path string) (bool, error) {
	if w.set(u, path, dataWatch) {
		return false, nil
	}
	exists, _, _, err := w.conn.ExistsW(path)
	if err != nil {
		w.unset(u, path, dataWatch)
		return false, fmt.Errorf("look for %s: %w", path, err)
	}
	return exists, nil
}

// get reads a node under an armed watch.
func (w *watches) get(u *unit, path string) ([]byte, *zk.Stat, error) {
	if w.set(u, path, dataWatch) {
		data, stat, err := w.conn.Get(path)
		if err != nil || !w.lost(u, path, dataWatch, stat.Mzxid) {
			return data, stat, err
		}
	}
	data, stat, _, err := w.conn.GetW(path)
	if err != nil {
		w.unset(u, path, dataWatch)
		return nil, nil, err
	}
	w.armedAt(u, path, dataWatch, stat.Mzxid)
	return data, stat, nil
}
