package mcpserver

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"sync"
	"time"

	"google.golang.org/grpc/mem"

	"meshbridge/mcpserver/store"
)

// Bounds of the shared bodies.
const (
	maxBodies = 8192
	bodyIdle  = time.Minute // a body not asked for in this time is dropped, so that it pins no old state
)

// body is the resources of one state of the world, as bytes.
type body struct {
	entries mem.BufferSlice
	bytes   int
	version string // a hash of the state, equal on every replica
}

// bodies shares each view's newest body among the streams of that view, which ask for it at about the same time.
type bodies struct {
	now func() time.Time

	mu     sync.Mutex
	byView map[bodyKey]*cached
	pruned time.Time
}

type bodyKey struct {
	view View
	kind store.Kind
}

type cached struct {
	used time.Time // guarded by bodies.mu

	mu       sync.Mutex
	snapshot *store.Snapshot
	body     *body
}

func newBodies(now func() time.Time) *bodies {
	return &bodies{now: now, byView: map[bodyKey]*cached{}}
}

// get returns the body of a response that holds nothing back.
func (b *bodies) get(resp *Response) *body {
	c := b.entry(bodyKey{view: resp.View, kind: resp.Kind})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.snapshot == nil, c.snapshot.Generation <= resp.Snapshot.Generation:
		if c.snapshot == nil || resp.View.differs(c.snapshot, resp.Snapshot, resp.Kind) {
			c.body = assemble(resp.Resources())
		}
		c.snapshot = resp.Snapshot
		return c.body
	case resp.View.differs(resp.Snapshot, c.snapshot, resp.Kind):
		return assemble(resp.Resources()) // a straggler; the newer body stays
	default:
		return c.body
	}
}

func (b *bodies) entry(key bodyKey) *cached {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if now.Sub(b.pruned) > bodyIdle || len(b.byView) >= maxBodies {
		b.pruned = now
		for k, c := range b.byView {
			if now.Sub(c.used) > bodyIdle {
				delete(b.byView, k)
			}
		}
	}
	c := b.byView[key]
	if c == nil {
		c = &cached{}
		if len(b.byView) < maxBodies {
			b.byView[key] = c
		}
	}
	c.used = now
	return c
}

// assemble refers to the entries of resources; it copies none.
func assemble(resources iter.Seq[*store.Resource]) *body {
	b := &body{}
	hash := sha256.New()
	for r := range resources {
		b.entries = append(b.entries, mem.SliceBuffer(r.Entry()))
		b.bytes += len(r.Entry())
		hash.Write([]byte(r.Version)) // never fails
	}
	b.version = hex.EncodeToString(hash.Sum(nil)[:8])
	return b
}
