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
type watches struct {
	conn  conn
	fired chan struct{} // says that there is something to take

	mu    sync.Mutex
	armed map[string][]*watch // by path; guarded by mu
	dirty map[*unit]struct{}  // guarded by mu
}

// watch is what one unit has armed at one path.
type watch struct {
	unit           *unit
	children, data bool
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
	clear(w.dirty)
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
	i := slices.IndexFunc(w.armed[path], func(at *watch) bool { return at.unit == u })
	if i < 0 {
		i = len(w.armed[path])
		w.armed[path] = append(w.armed[path], &watch{unit: u})
	}
	mark := &w.armed[path][i].children
	if kind == dataWatch {
		mark = &w.armed[path][i].data
	}
	already, *mark = *mark, true
	return already
}

// unset takes the mark back after the request failed.
func (w *watches) unset(u *unit, path string, kind watchKind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.armed[path] {
		if at.unit != u {
			continue
		}
		if kind == dataWatch {
			at.data = false
		} else {
			at.children = false
		}
	}
	w.dropIdleLocked(path)
}

// holds reports whether the unit's data watch at a path is armed: what it read there is still so.
func (w *watches) holds(u *unit, path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.armed[path], func(at *watch) bool { return at.unit == u && at.data })
}

const appearTries = 16 // of a node that is deleted and created again between two requests

// children lists a node's children and makes sure that the unit hears of the next change, also when the node does not
// exist yet.
func (w *watches) children(u *unit, path string) (names []string, exists bool, err error) {
	for range appearTries {
		if w.set(u, path, childrenWatch) {
			names, _, err = w.conn.Children(path)
		} else if names, _, _, err = w.conn.ChildrenW(path); err != nil {
			w.unset(u, path, childrenWatch)
		}
		if err == nil {
			return names, true, nil
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return nil, false, fmt.Errorf("list %s: %w", path, err)
		}
		if w.set(u, path, dataWatch) {
			return nil, false, nil
		}
		exists, _, _, err := w.conn.ExistsW(path)
		if err != nil {
			w.unset(u, path, dataWatch)
			return nil, false, fmt.Errorf("look for %s: %w", path, err)
		}
		if !exists {
			return nil, false, nil
		}
	}
	return nil, false, fmt.Errorf("list %s: it comes and goes", path)
}

// data reads a node and makes sure that the unit hears of its next change. Of a node that does not exist it hears
// through its parent.
func (w *watches) data(u *unit, path string) (data []byte, stat *zk.Stat, exists bool, err error) {
	if w.set(u, path, dataWatch) {
		data, stat, err = w.conn.Get(path)
	} else if data, stat, _, err = w.conn.GetW(path); err != nil {
		w.unset(u, path, dataWatch)
	}
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return nil, nil, false, nil
	case err != nil:
		return nil, nil, false, fmt.Errorf("read %s: %w", path, err)
	}
	return data, stat, true, nil
}
