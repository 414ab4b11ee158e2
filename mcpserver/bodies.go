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
	maxRefs   = 4 << 20     // entries referred to by all bodies; about 40 bytes each
	maxJoined = 16 << 20    // bytes of the bodies that are copies in one piece
	bodyIdle  = time.Minute // a body not asked for in this time is dropped, so that it pins no old state
)

// body is the resources of one state of the world, as bytes.
type body struct {
	entries   mem.BufferSlice
	resources int
	bytes     int
	version   string // a hash of the state, equal on every replica
}

// bodies shares each view's newest body among the streams of that view, which ask for it at about the same time.
type bodies struct {
	now func() time.Time

	mu     sync.Mutex
	byView map[bodyKey]*cached
	refs   int // of all
	joined int // bytes of all that are
	pruned time.Time
}

type bodyKey struct {
	view View
	kind store.Kind
}

type cached struct {
	// Guarded by bodies.mu.
	used   time.Time
	refs   int
	joined int

	mu       sync.Mutex
	snapshot *store.Snapshot
	body     *body
}

func newBodies(now func() time.Time) *bodies {
	return &bodies{now: now, byView: map[bodyKey]*cached{}}
}

// get returns the body of a response that holds nothing back.
func (b *bodies) get(resp *Response) *body {
	key := bodyKey{view: resp.View, kind: resp.Kind}
	c := b.entry(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.snapshot == nil, c.snapshot.Generation <= resp.Snapshot.Generation:
		if c.snapshot == nil || resp.View.differs(c.snapshot, resp.Snapshot, resp.Kind) {
			body := assemble(resp.Resources())
			keep, join := b.fits(key, c, body)
			if !keep {
				c.snapshot, c.body = nil, nil
				return body
			}
			if join {
				body.join()
			}
			c.body = body
		}
		c.snapshot = resp.Snapshot
		return c.body
	case resp.View.differs(resp.Snapshot, c.snapshot, resp.Kind):
		return assemble(resp.Resources()) // a straggler; the newer body stays
	default:
		return c.body
	}
}

// entry finds or makes a view's, and drops those that nobody has asked for.
func (b *bodies) entry(key bodyKey) *cached {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if now.Sub(b.pruned) > bodyIdle {
		b.pruned = now
		for k, c := range b.byView {
			if now.Sub(c.used) > bodyIdle {
				b.refs -= c.refs
				b.joined -= c.joined
				delete(b.byView, k)
			}
		}
	}
	c := b.byView[key]
	if c == nil {
		c = &cached{}
		b.byView[key] = c
	}
	c.used = now
	return c
}

// fits reports whether a body may be kept, and whether as a copy in one piece. Clients choose their views, so the sums are
// bounded; what does not fit is served all the same, and not shared or not copied.
func (b *bodies) fits(key bodyKey, c *cached, next *body) (keep, join bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byView[key] != c { // dropped meanwhile
		return false, false
	}
	b.refs -= c.refs
	b.joined -= c.joined
	c.refs, c.joined = 0, 0
	switch {
	case b.joined+next.bytes <= maxJoined:
		c.joined = next.bytes
	case b.refs+len(next.entries) <= maxRefs:
		c.refs = len(next.entries)
	default:
		delete(b.byView, key)
		return false, false
	}
	b.refs += c.refs
	b.joined += c.joined
	return true, c.joined > 0
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
	b.resources = len(b.entries)
	b.version = hex.EncodeToString(hash.Sum(nil)[:8])
	return b
}

// join copies the entries into one buffer: gRPC takes each buffer on its own, and for each stream.
func (b *body) join() {
	joined := make([]byte, 0, b.bytes)
	for _, e := range b.entries {
		joined = append(joined, e.ReadOnlyData()...)
	}
	b.entries = mem.BufferSlice{mem.SliceBuffer(joined)}
}
