package store

import (
	"slices"
	"sync"
)

// Store holds the current snapshot. Apply and Open are called by one writer; Snapshot by anyone.
type Store struct {
	mu      sync.Mutex
	current *Snapshot
	stale   chan struct{} // closed when current no longer is
}

// NewStore makes an empty store whose gate is closed.
func NewStore() *Store {
	return &Store{current: &Snapshot{trees: map[Kind]*tree{}}, stale: make(chan struct{})}
}

// Snapshot returns the current snapshot, and a channel that is closed when it no longer is.
func (s *Store) Snapshot() (*Snapshot, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.stale
}

// Removal names a resource that goes, and the host in whose slot it lives.
type Removal struct {
	Key
	Host string
}

// Change is a set of puts and removals that become visible together.
type Change struct {
	Put    []*Resource
	Remove []Removal
	Open   bool // opens the gate, for ever
}

// Apply commits a change and returns the snapshot that holds it. Putting a resource of the same Version, sources and Successor, removing
// one that is not there and opening an open gate are no change; without any change the current snapshot stays. Its cost is in
// the size of the change.
func (s *Store) Apply(c Change) *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := editor{base: s.current, trees: map[Kind]*tree{}, owned: map[*node]bool{}}
	for _, r := range c.Remove {
		e.set(r.Key, Slot(r.Host), nil)
	}
	for _, r := range c.Put {
		e.set(r.Key, Slot(r.Host), r)
	}
	open := s.current.Open || c.Open
	if len(e.trees) == 0 && open == s.current.Open {
		return s.current
	}
	next := &Snapshot{Generation: s.current.Generation + 1, Open: open, trees: make(map[Kind]*tree, len(s.current.trees))}
	for k, t := range s.current.trees {
		next.trees[k] = t
	}
	for k, t := range e.trees {
		next.trees[k] = t
	}
	s.current = next
	close(s.stale)
	s.stale = make(chan struct{})
	return next
}

// editor copies on the first write what a change touches.
type editor struct {
	base  *Snapshot
	trees map[Kind]*tree // copied by this change
	owned map[*node]bool // nodes copied by this change
}

// set puts or, with nil, removes the resource of a key. An equal one is left alone, and keeps its Gate.
func (e *editor) set(key Key, slot int, r *Resource) {
	t := e.trees[key.Kind]
	if t == nil {
		t = e.base.trees[key.Kind]
	}
	old := t.node(slot % fan).bucket(slot / fan)
	i, found := old.find(key.Name)
	if r == nil && !found || r != nil && found && equal(old[i], r) {
		return
	}
	next := make(bucket, 0, len(old)+1)
	next = append(next, old[:i]...)
	if r != nil {
		next = append(next, r)
	}
	if found {
		i++
	}
	next = append(next, old[i:]...)
	t = e.own(key.Kind, slot%fan)
	t.nodes[slot%fan][slot/fan] = next
	t.count += len(next) - len(old)
}

func equal(a, b *Resource) bool {
	return a.Version == b.Version && a.Successor == b.Successor && slices.Equal(a.Sources, b.Sources)
}

func (e *editor) own(kind Kind, i int) *tree {
	t := e.trees[kind]
	if t == nil {
		t = new(tree)
		if base := e.base.trees[kind]; base != nil {
			*t = *base
		}
		e.trees[kind] = t
	}
	n := t.nodes[i]
	if n == nil || !e.owned[n] {
		copied := new(node)
		if n != nil {
			*copied = *n
		}
		t.nodes[i], e.owned[copied] = copied, true
	}
	return t
}
