package store

import (
	"iter"
	"slices"
	"strings"
)

// fan is the width of both levels of a tree: fan*fan == Slots.
const fan = 64

// bucket holds the resources of one slot, sorted by name.
type bucket []*Resource

// node is the lower level of a tree: the buckets of the slots that are equal modulo fan.
type node [fan]bucket

// tree holds the resources of one kind. Slot s is at [s%fan][s/fan], so that shard i of fan is one node. Trees share what
// did not change: a change copies one bucket, one node and the root.
type tree struct {
	nodes [fan]*node
	count int
}

// Snapshot is an immutable state of the store.
type Snapshot struct {
	Generation uint64 // counts the states of this process; 0 is the empty first one
	Open       bool   // the gate: false until every source is in. Before it, kinds of ours get no answer

	trees map[Kind]*tree
}

// Len is the number of resources of a kind.
func (s *Snapshot) Len(kind Kind) int {
	if t := s.trees[kind]; t != nil {
		return t.count
	}
	return 0
}

// Lookup finds a resource of a known host, or nil.
func (s *Snapshot) Lookup(key Key, host string) *Resource {
	return s.lookup(key, Slot(host))
}

func (s *Snapshot) lookup(key Key, slot int) *Resource {
	t := s.trees[key.Kind]
	if t == nil || t.nodes[slot%fan] == nil {
		return nil
	}
	b := t.nodes[slot%fan][slot/fan]
	if i, ok := b.find(key.Name); ok {
		return b[i]
	}
	return nil
}

// Find finds the resource of a key whose host is not known, or nil. It looks first where the resource is if it lives with
// one of the given hosts or is named by its own, and then everywhere.
func (s *Snapshot) Find(key Key, hosts ...string) *Resource {
	_, own, _ := strings.Cut(key.Name, "/")
	for _, host := range append(hosts, own) {
		if r := s.Lookup(key, host); r != nil {
			return r
		}
	}
	for r := range s.All(key.Kind, Shard{}) {
		if r.Name == key.Name {
			return r
		}
	}
	return nil
}

func (b bucket) find(name string) (int, bool) {
	return slices.BinarySearchFunc(b, name, func(r *Resource, name string) int { return strings.Compare(r.Name, name) })
}

// Shard is a part of the hosts: those whose slot is Index modulo Of. The zero Shard is the whole.
type Shard struct{ Index, Of int }

// Has reports whether a slot belongs to the shard.
func (sh Shard) Has(slot int) bool { return sh.Of <= 1 || slot%sh.Of == sh.Index }

// slots yields the shard's slots in ascending order.
func (sh Shard) slots() iter.Seq[int] {
	step := max(sh.Of, 1)
	return func(yield func(int) bool) {
		for s := sh.Index; s < Slots; s += step {
			if !yield(s) {
				return
			}
		}
	}
}

// All yields the resources of a kind in a shard, by slot and name.
func (s *Snapshot) All(kind Kind, shard Shard) iter.Seq[*Resource] {
	return func(yield func(*Resource) bool) {
		t := s.trees[kind]
		if t == nil {
			return
		}
		for slot := range shard.slots() {
			n := t.nodes[slot%fan]
			if n == nil {
				continue
			}
			for _, r := range n[slot/fan] {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// Difference is one key whose resource differs between two snapshots.
type Difference struct {
	Slot     int
	Old, New *Resource // nil: absent; not both
}

// Key is the key that differs.
func (d Difference) Key() Key {
	if d.New != nil {
		return d.New.Key
	}
	return d.Old.Key
}

// Since yields what differs in a kind between an older snapshot of the same store, or nil for nothing at all, and this one,
// by slot position and name. Its cost is in what changed, not in what there is: shared parts are told by their address.
func (s *Snapshot) Since(old *Snapshot, kind Kind) iter.Seq[Difference] {
	return s.SinceIn(old, kind, Shard{})
}

// SinceIn is Since for the slots of one shard.
func (s *Snapshot) SinceIn(old *Snapshot, kind Kind, shard Shard) iter.Seq[Difference] {
	return func(yield func(Difference) bool) {
		var before *tree
		if old != nil {
			before = old.trees[kind]
		}
		now := s.trees[kind]
		if before == now {
			return
		}
		for i := range fan {
			a, b := before.node(i), now.node(i)
			if a == b {
				continue
			}
			for j := range fan {
				if slot := j*fan + i; shard.Has(slot) && !diffBuckets(a.bucket(j), b.bucket(j), slot, yield) {
					return
				}
			}
		}
	}
}

func (t *tree) node(i int) *node {
	if t == nil {
		return nil
	}
	return t.nodes[i]
}

func (n *node) bucket(j int) bucket {
	if n == nil {
		return nil
	}
	return n[j]
}

func diffBuckets(a, b bucket, slot int, yield func(Difference) bool) bool {
	if len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) {
		return true
	}
	for len(a) > 0 || len(b) > 0 {
		d := Difference{Slot: slot}
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Name < b[0].Name:
			d.Old, a = a[0], a[1:]
		case len(a) == 0 || b[0].Name < a[0].Name:
			d.New, b = b[0], b[1:]
		default:
			d.Old, d.New, a, b = a[0], b[0], a[1:], b[1:]
			if d.Old == d.New {
				continue
			}
		}
		if !yield(d) {
			return false
		}
	}
	return true
}
