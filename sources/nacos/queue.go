package nacos

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"time"
)

const (
	// settle is the least time between two reads of one service: the first of a burst of changes is read at once, the rest
	// together.
	settle = 200 * time.Millisecond
	// A service that cannot be read is tried again after a pause that doubles from retryMin to retryMax.
	retryMin = 500 * time.Millisecond
	retryMax = 30 * time.Second
)

// due is when and how a service is read; it is part of each unit.
type due struct {
	state    dueState
	again    bool // heard of while it was being read
	at       time.Time
	begun    time.Time
	failures int
}

type dueState int

const (
	idle dueState = iota
	waiting
	reading
)

// queue orders the reads of units by the time at which they are due. It holds each unit at most once.
type queue struct {
	reread time.Duration
	heap   dueHeap
	seq    int
}

type dueEntry struct {
	unit *unit
	at   time.Time
	seq  int // first come, first served
}

// want asks for a read as soon as settle allows it.
func (q *queue) want(u *unit, now time.Time) {
	at := now
	if next := u.due.begun.Add(settle); next.After(now) {
		at = next
	}
	switch {
	case u.due.state == reading:
		u.due.again = true
	case u.due.state == waiting && !at.Before(u.due.at):
	default:
		q.push(u, at)
	}
}

func (q *queue) push(u *unit, at time.Time) {
	u.due.state, u.due.at = waiting, at
	q.seq++
	heap.Push(&q.heap, dueEntry{u, at, q.seq})
}

// head is the next unit to read, if one is due, else the time until one is; 0 means none is waiting.
func (q *queue) head(now time.Time) (*unit, time.Duration) {
	for len(q.heap) > 0 {
		e := q.heap[0]
		switch {
		case e.unit.gone || e.unit.due.state != waiting || !e.at.Equal(e.unit.due.at):
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
	u.due.state, u.due.begun, u.due.again = reading, now, false
}

// done says that a unit was read, or could not be, and when to read it next.
func (q *queue) done(u *unit, now time.Time, err error) {
	u.due.state = idle
	switch {
	case u.gone:
	case err != nil:
		u.due.failures++
		q.push(u, now.Add(backoff(u.due.failures, retryMin, retryMax)))
	case u.due.again:
		u.due.failures = 0
		q.want(u, now)
	default:
		u.due.failures = 0
		q.push(u, now.Add(q.reread/2+rand.N(q.reread)))
	}
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
