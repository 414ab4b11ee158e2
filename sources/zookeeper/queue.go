package zookeeper

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"time"
)

const (
	// settle is the least time between two reads of one unit: the first of a burst of changes is read at once, the rest
	// together.
	settle = 200 * time.Millisecond
	// A unit that cannot be read is tried again after a pause that doubles from retryMin to retryMax.
	retryMin = 500 * time.Millisecond
	retryMax = 30 * time.Second
	// audit is about the time after which a unit of which nothing was heard is read again all the same, because a watch
	// can be lost without a word.
	audit = 3 * time.Minute
)

// unit is a part of the tree that is read as a whole.
type unit struct {
	// Set once.
	kind  kind
	scope *scope
	name  string // of the interface or application, decoded
	path  string

	// Owned by the follower.
	settled  bool // it was read, or found unreadable, in this session
	gone     bool // its parent no longer lists it
	failures int
	state    unitState
	again    bool // changed while it was being read
	audited  bool // it is read without having changed, so that nothing remembered of it counts
	due      time.Time
	begun    time.Time

	// Owned by whoever reads it, one at a time.
	instances map[string]appInstance // of an application, by node name; true as long as the node's watch holds
}

type unitState int

const (
	idle unitState = iota
	waiting
	reading
)

// queue orders the reads of units by the time at which they are due. It holds each unit at most once.
type queue struct {
	heap dueHeap
	seq  int
}

type dueEntry struct {
	unit *unit
	at   time.Time
	seq  int // first come, first served
}

// want asks for a read as soon as settle allows it.
func (q *queue) want(u *unit, now time.Time) {
	at := now
	if next := u.begun.Add(settle); next.After(now) {
		at = next
	}
	switch {
	case u.gone:
	case u.state == reading:
		u.again = true
	case u.state == waiting && !at.Before(u.due):
	default:
		u.audited = false
		q.push(u, at)
	}
}

func (q *queue) push(u *unit, at time.Time) {
	u.state, u.due = waiting, at
	q.seq++
	heap.Push(&q.heap, dueEntry{u, at, q.seq})
}

// head is the next unit to read, if one is due, else the time until one is; 0 means none is waiting.
func (q *queue) head(now time.Time) (*unit, time.Duration) {
	for len(q.heap) > 0 {
		e := q.heap[0]
		switch {
		case e.unit.gone || e.unit.state != waiting || !e.at.Equal(e.unit.due):
			heap.Pop(&q.heap) // it was moved forward, or is wanted no more
		case e.at.After(now):
			return nil, e.at.Sub(now)
		default:
			return e.unit, 0
		}
	}
	return nil, 0
}

// begin takes the head, which is being read from now on.
func (q *queue) begin(u *unit, now time.Time) {
	heap.Pop(&q.heap)
	u.state, u.begun, u.again = reading, now, false
}

// done says that a unit was read, or could not be, and when to read it next.
func (q *queue) done(u *unit, now time.Time, err error) {
	u.state = idle
	if u.gone {
		return
	}
	if err != nil {
		u.failures++
		q.push(u, now.Add(backoff(u.failures, retryMin, retryMax)))
		return
	}
	u.failures = 0
	if u.again {
		q.want(u, now)
		return
	}
	u.audited = true
	q.push(u, now.Add(audit/2+rand.N(audit)))
}

// backoff is the pause after so many failures in a row: it doubles from low to high and is drawn from its upper half, so
// that clients that failed together do not come back together.
func backoff(failures int, low, high time.Duration) time.Duration {
	d := min(low<<min(max(failures-1, 0), 16), high)
	return d/2 + rand.N(d/2+1)
}

// dueHeap implements [heap.Interface].
type dueHeap []dueEntry

func (h dueHeap) Len() int { return len(h) }

func (h dueHeap) Less(i, k int) bool {
	return cmp.Or(h[i].at.Compare(h[k].at), cmp.Compare(h[i].seq, h[k].seq)) < 0
}

func (h dueHeap) Swap(i, k int) { h[i], h[k] = h[k], h[i] }

func (h *dueHeap) Push(x any) { *h = append(*h, x.(dueEntry)) }

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = dueEntry{}
	*h = (*h)[:last]
	return e
}
