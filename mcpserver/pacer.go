package mcpserver

import (
	"sync"
	"time"

	"meshbridge/mcpserver/store"
)

const (
	slowStream   = 2 * time.Second // after this long without an ACK a stream no longer holds its siblings back
	refreshEvery = time.Minute     // an idle stream is moved on this often, so that it pins no old snapshot
)

// pacer decides when the streams of one istiod may send. Each event restarts istiod's debounce, so changes go out in bursts:
// a change after a pause at once, the next burst when every stream has acknowledged the last one and quiet has passed since.
// An istiod goes on working through the events of a burst after it has acknowledged it, for a time in proportion to the time
// that the ACKs took. So after a burst that took long the pause is longer, or a quiet of 150ms would never be quiet for it:
// measured at 1,000 changes/s, its debounce then ran to its end of 10 s, time after time.
// It is pure but for its lock: time and snapshots come in, and those to be woken go out.
type pacer struct {
	// Set once.
	key   pacerKey
	quiet time.Duration
	poke  chan struct{} // size 1: look again

	mu      sync.Mutex
	base    *store.Snapshot // what the members have been told of; nil before the first joined
	members map[*member]bool
	busy    map[*member]bool
	dirty   map[*member]bool
	byShard map[store.Shard]map[*member]bool
	widths  map[int]int // members by number of shards
	began   time.Time   // when the last burst did, or other work after it
	idle    time.Time   // when the last burst was done, slow streams apart
	swept   time.Time
}

// member is one stream in its pacer.
type member struct {
	wake chan struct{} // size 1: take the newer snapshot
	view View

	// Guarded by the pacer's mu.
	target *store.Snapshot
	told   time.Time // when target was set
	since  time.Time // busy since; zero: idle
	worked bool      // it has sent something since then
	done   time.Time // when its last work was
}

func newPacer(key pacerKey, quiet time.Duration) *pacer {
	return &pacer{
		key: key, quiet: quiet, poke: make(chan struct{}, 1),
		members: map[*member]bool{}, busy: map[*member]bool{}, dirty: map[*member]bool{},
		byShard: map[store.Shard]map[*member]bool{}, widths: map[int]int{},
	}
}

// whole gives the whole one form.
func whole(s store.Shard) store.Shard {
	if s.Of <= 1 {
		return store.Shard{Of: 1}
	}
	return s
}

// join adds a stream that has just begun on snap, and returns the snapshot to begin with: no older than its siblings'.
func (p *pacer) join(m *member, snap *store.Snapshot, now time.Time) *store.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.base == nil {
		p.base = snap
	}
	if p.base.Generation > snap.Generation {
		snap = p.base
	}
	m.target, m.told = snap, now
	p.members[m] = true
	shard := whole(m.view.Shard)
	if p.byShard[shard] == nil {
		p.byShard[shard] = map[*member]bool{}
	}
	p.byShard[shard][m] = true
	p.widths[shard.Of]++
	return snap
}

// leave removes a stream and reports whether others remain.
func (p *pacer) leave(m *member) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	shard := whole(m.view.Shard)
	delete(p.members, m)
	delete(p.busy, m)
	delete(p.dirty, m)
	delete(p.byShard[shard], m)
	if len(p.byShard[shard]) == 0 {
		delete(p.byShard, shard)
	}
	if p.widths[shard.Of]--; p.widths[shard.Of] == 0 {
		delete(p.widths, shard.Of)
	}
	p.again()
	return len(p.members) > 0
}

// report says whether a stream has a response in flight. Streams call it after all that they do.
func (p *pacer) report(m *member, busy bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case busy:
		if m.since.IsZero() {
			m.since = now
			if len(p.busy) == 0 { // a first state, outside any burst
				p.began = now
			}
		}
		m.worked = true
		p.busy[m] = true
	case !m.since.IsZero():
		if m.worked {
			m.done = now
			if now.Sub(m.since) < slowStream {
				p.idle = now
			}
		}
		m.since, m.worked = time.Time{}, false
		delete(p.busy, m)
		p.again()
	}
}

// due asks for a turn in the next burst: something that the stream held back has settled.
func (p *pacer) due(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.members[m] {
		p.dirty[m] = true
		p.again()
	}
}

func (p *pacer) again() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// take is the snapshot that a stream may move to.
func (p *pacer) take(m *member) *store.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m.target
}

// advance starts a burst if it is time for one, and returns who is to be woken. ready means that a newer snapshot would be
// looked at; next, unless zero, is when to call again although nothing happens.
func (p *pacer) advance(snap *store.Snapshot, now time.Time) (wake []*member, ready bool, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.gate(now); at.After(now) {
		return nil, false, at
	}
	p.mark(snap, now)
	for m := range p.dirty {
		switch at := m.done.Add(p.quiet); {
		case !m.since.IsZero(): // slow; it reports when it is done
		case at.After(now):
			if next.IsZero() || at.Before(next) {
				next = at
			}
		default:
			m.target, m.told, m.since = p.base, now, now
			p.busy[m] = true
			delete(p.dirty, m)
			wake = append(wake, m)
		}
	}
	if len(wake) > 0 {
		p.began = now
		if slow := now.Add(slowStream); next.IsZero() || slow.Before(next) {
			next = slow
		}
	}
	return wake, len(wake) == 0, next
}

// gate is when the next burst may begin if nobody reports meanwhile.
func (p *pacer) gate(now time.Time) time.Time {
	at := p.idle.Add(p.pause())
	for m := range p.busy {
		if slow := m.since.Add(slowStream); slow.After(now) {
			at = later(at, slow)
		}
	}
	return at
}

// pause is the quiet after the last burst and, unless there is to be none, twice the time that its ACKs took.
func (p *pacer) pause() time.Duration {
	if p.quiet == 0 || p.idle.Before(p.began) {
		return p.quiet
	}
	return p.quiet + min(2*p.idle.Sub(p.began), slowStream)
}

// mark finds out who sees what changed. Its cost is in the change, not in the number of streams.
func (p *pacer) mark(snap *store.Snapshot, now time.Time) {
	if p.base == nil || snap.Generation <= p.base.Generation {
		return
	}
	if snap.Open && !p.base.Open {
		for m := range p.members {
			p.dirty[m] = true
		}
	}
	for _, kind := range store.Kinds() {
		for d := range snap.Since(p.base, kind) {
			for of := range p.widths {
				for m := range p.byShard[whole(store.Shard{Index: d.Slot % of, Of: of})] {
					if m.view.visible(d.Old) != nil || m.view.visible(d.New) != nil {
						p.dirty[m] = true
					}
				}
			}
		}
	}
	p.base = snap
	if now.Sub(p.swept) < refreshEvery/4 {
		return
	}
	p.swept = now
	for m := range p.members {
		if now.Sub(m.told) >= refreshEvery && m.since.IsZero() {
			p.dirty[m] = true
		}
	}
}
