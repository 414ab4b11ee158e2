package mcpserver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/mcpserver/store"
)

// The property, from the client's side alone: whatever happens in whatever order, a client has held each part that a
// VirtualService names for settle when it receives that; no part leaves it while a VirtualService that it holds names it, or
// within settle after; it never loses what was there all the time, and it ends with exactly its view. Here time and the wire
// are simulated; TestClientsOverTheWireEndWithTheirView has real ones.
func TestAClientNeverLacksWhatItNeedsAndEndsWithItsView(t *testing.T) {
	seeds := 400
	if testing.Short() {
		seeds = 40
	}
	for seed := range seeds {
		w := newWorld(t, uint64(seed))
		for i := range 360 {
			if w.phases && i%60 == 0 { // no value that a client may see both brings and takes a part
				w.settle()
				w.taking = !w.taking
			}
			w.step()
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, i)
			}
		}
		w.resend()
		w.settle()
		w.judge()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

const (
	propSettle = 10 * time.Second
	propRetain = time.Minute
)

// world is a store, the hosts that it is made of, and simulated clients.
type world struct {
	t       *testing.T
	rand    *rand.Rand
	now     time.Time
	began   time.Time // the process
	store   *store.Store
	bodies  *bodies
	hosts   []*host
	clients []*simClient
	value   int // counts changes

	phases  bool // parts only come, or only go, for a time; else anything may happen at once
	taking  bool
	refuses bool // clients refuse a response now and then
}

// host is one service: a ServiceEntry with endpoints of some subsets, and perhaps a DestinationRule with subsets, and a
// VirtualService that routes to some of these and maybe to another host's.
type host struct {
	name     string
	revision string
	value    map[store.Kind]int // 0: there is none
	parts    map[store.Kind][]string
	needs    []store.Need
	changed  map[store.Kind]time.Time
	present  map[store.Kind]uint64 // since which generation
}

var se, dr, vs = store.ServiceEntry, store.DestinationRule, store.VirtualService

func newWorld(t *testing.T, seed uint64) *world {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: now, began: now, store: store.NewStore()}
	w.phases, w.taking, w.refuses = seed%3 != 0, true, seed%4 == 0
	w.bodies = newBodies(func() time.Time { return w.now })
	for i := range 6 {
		w.hosts = append(w.hosts, newHost(fmt.Sprintf("h%d.mesh", i)))
	}
	shards := []store.Shard{{}, {}, {}, {Index: 0, Of: 2}, {Index: 1, Of: 2}}
	for i := range 6 {
		view := View{Shard: shards[w.rand.IntN(len(shards))]}
		if w.rand.IntN(2) == 0 {
			view.Revision = "canary"
		}
		w.clients = append(w.clients, newSimClient(w, i, view, w.rand.IntN(2) == 0))
	}
	return w
}

func newHost(name string) *host {
	return &host{name: name, value: map[store.Kind]int{}, parts: map[store.Kind][]string{},
		changed: map[store.Kind]time.Time{}, present: map[store.Kind]uint64{}}
}

// step lets one thing happen.
func (w *world) step() {
	switch n := w.rand.IntN(200); {
	case n < 30:
		w.change()
	case n < 60:
		w.now = w.now.Add(time.Duration(w.rand.IntN(4000)) * time.Millisecond)
	case n < 63:
		w.now = w.now.Add(propRetain)
	case n == 63:
		w.restart()
	default:
		w.clients[w.rand.IntN(len(w.clients))].act()
	}
}

// change applies one random state in which nothing needs what is not there.
func (w *world) change() {
	for range 1 + w.rand.IntN(3) {
		w.mutate(w.hosts[w.rand.IntN(len(w.hosts))])
	}
	w.apply(w.rand.IntN(3) == 0)
}

func (w *world) apply(open bool) {
	c := store.Change{Open: open}
	old := current(w.store)
	for _, h := range w.hosts {
		for _, kind := range store.Kinds() {
			if h.value[kind] > 0 {
				c.Put = append(c.Put, w.resource(h, kind, old))
			} else {
				c.Remove = append(c.Remove, removal(kind, h.name))
			}
		}
	}
	snap := w.store.Apply(c)
	for _, h := range w.hosts {
		for _, kind := range store.Kinds() {
			switch {
			case h.value[kind] == 0:
				delete(h.present, kind)
			case h.present[kind] == 0:
				h.present[kind] = snap.Generation
			}
		}
	}
}

// restart replaces the process; all clients come to the new one.
func (w *world) restart() {
	open := current(w.store).Open
	w.store, w.began = store.NewStore(), w.now
	for _, h := range w.hosts {
		for kind := range h.changed {
			h.changed[kind] = w.now
		}
	}
	w.store.Apply(store.Change{}) // a first state, so that no generation of what was there is 0
	for _, c := range w.clients {
		c.session = nil
		for k, held := range c.held {
			if since := w.host(k.Name).present[k.Kind]; since == 0 || since > held.acquired {
				held.acquired = 0
				continue
			}
			held.acquired = 1
		}
	}
	for _, h := range w.hosts {
		clear(h.present)
	}
	w.apply(open)
	for _, h := range w.hosts {
		for kind := range h.present {
			h.present[kind] = 1
		}
	}
}

func (w *world) host(name string) *host {
	name = strings.TrimPrefix(name, "ns/")
	i := slices.IndexFunc(w.hosts, func(h *host) bool { return h.name == name })
	return w.hosts[i]
}

func (w *world) resource(h *host, kind store.Kind, old *store.Snapshot) *store.Resource {
	meta := store.Meta{Key: key(kind, h.name), Host: h.name, Created: created, Changed: h.changed[kind]}
	if h.revision != "" {
		revision(h.revision)(&meta)
	}
	having(old.Lookup(meta.Key, h.name), w.now, h.parts[kind]...)(&meta)
	if kind == vs {
		needing(h.needs...)(&meta)
	}
	r, err := store.New(meta, simSpec(kind, h.name, h.value[kind], h.parts[kind], h.needs))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// resend changes everything, and each kind in each shard, so that what was refused is sent again.
func (w *world) resend() {
	for i := range 8 {
		h := newHost(fmt.Sprintf("last%d.mesh", i))
		w.add(h, "v1")
		w.route(h, []store.Need{{Key: key(dr, h.name), Part: "v1"}})
		w.hosts = append(w.hosts, h)
	}
	for _, h := range w.hosts {
		for _, kind := range store.Kinds() {
			if h.value[kind] > 0 {
				w.touch(h, kind)
			}
		}
	}
	w.refuses = false
	w.apply(true)
}

// settle lets everything come to rest: sessions are asked again when they say so.
func (w *world) settle() {
	w.store.Apply(store.Change{Open: true})
	refuses := w.refuses
	w.refuses = false
	defer func() { w.refuses = refuses }()
	for _, c := range w.clients {
		c.update()
	}
	for range 1000 {
		var next time.Time
		for _, c := range w.clients {
			for c.process() {
			}
			if at, ok := c.session.Deadline(); ok && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
		if next.IsZero() {
			return
		}
		w.now = later(w.now, next)
		for _, c := range w.clients {
			if at, ok := c.session.Deadline(); ok && !at.After(w.now) {
				c.update()
			}
		}
	}
	w.t.Error("it does not come to rest")
}

// judge compares what each client holds with its view.
func (w *world) judge() {
	snap := current(w.store)
	for _, c := range w.clients {
		for _, kind := range store.Kinds() {
			got := map[string]string{}
			for k, h := range c.held {
				if k.Kind == kind {
					got[k.Name] = h.version
				}
			}
			if diff := cmp.Diff(versions(snap, kind, c.view), got); diff != "" {
				i := slices.Index(store.Kinds(), kind)
				w.t.Errorf("client %d (%+v, delta %t) differs in %s (-view +held):\n%s%+v", c.id, c.view, c.delta, kind.Kind, diff, c.session.clientKind(i, c.session.subs[i]).Held)
			}
			if got, want := c.session.subs[slices.Index(store.Kinds(), kind)].count, len(got); got != want {
				w.t.Errorf("client %d counts %d of %s, and holds %d", c.id, got, kind.Kind, want)
			}
		}
		if _, busy := c.session.Busy(); busy {
			w.t.Errorf("client %d is busy", c.id)
		}
	}
}
