package mcpserver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/mcpserver/store"
)

// The property: whatever happens in whatever order, a client never receives a VirtualService before it has held what that
// needs for settle, never loses what a resource it holds needs, never loses what was there all the time, and ends with
// exactly its view. Here time and the wire are simulated; TestClientsOverTheWireEndWithTheirView has real ones.
func TestAClientNeverLacksWhatItNeedsAndEndsWithItsView(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		w := newWorld(t, uint64(seed))
		for range 300 {
			w.step()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
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
	began   time.Time
	store   *store.Store
	bodies  *bodies
	hosts   []*host
	clients []*simClient
	needs   map[string][]store.Key // of routes, by version
}

// host is one service: a ServiceEntry, and perhaps a DestinationRule and a VirtualService that needs it and maybe another's.
type host struct {
	name     string
	value    int // counts changes; a DestinationRule of value n satisfies all routes that need n or less
	revision string
	has      map[store.Kind]bool
	changed  map[store.Kind]time.Time
	needs    []string          // hosts whose DestinationRules the VirtualService needs
	made     map[int]time.Time // when a value of the DestinationRule first was
	needed   int               // value of this host's DestinationRule that its VirtualService needs
	present  map[store.Kind]uint64
}

func newWorld(t *testing.T, seed uint64) *world {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: now, began: now, store: store.NewStore(), needs: map[string][]store.Key{}}
	w.bodies = newBodies(func() time.Time { return w.now })
	for i := range 8 {
		w.hosts = append(w.hosts, &host{name: fmt.Sprintf("h%d.mesh", i), has: map[store.Kind]bool{},
			changed: map[store.Kind]time.Time{}, made: map[int]time.Time{}, present: map[store.Kind]uint64{}})
	}
	shards := []store.Shard{{}, {}, {Index: 0, Of: 2}, {Index: 1, Of: 2}, {Index: 1, Of: 3}}
	for i := range 8 {
		view := View{Shard: shards[w.rand.IntN(len(shards))]}
		if w.rand.IntN(2) == 0 {
			view.Revision = "canary"
		}
		w.clients = append(w.clients, &simClient{w: w, id: i, view: view, delta: w.rand.IntN(2) == 0, held: map[store.Key]*simHeld{}})
	}
	return w
}

// step lets one thing happen.
func (w *world) step() {
	switch n := w.rand.IntN(100); {
	case n < 15:
		w.change()
	case n < 25:
		w.now = w.now.Add(time.Duration(w.rand.IntN(4000)) * time.Millisecond)
	case n < 27:
		w.now = w.now.Add(propRetain)
	default:
		w.clients[w.rand.IntN(len(w.clients))].act()
	}
}

// change applies one random state in which nothing needs what is not there.
func (w *world) change() {
	var c store.Change
	for range 1 + w.rand.IntN(3) {
		w.mutate(w.hosts[w.rand.IntN(len(w.hosts))])
	}
	c.Open = w.rand.IntN(3) == 0
	for _, h := range w.hosts {
		for _, kind := range store.Kinds() {
			if h.has[kind] {
				c.Put = append(c.Put, w.resource(h, kind))
			} else {
				c.Remove = append(c.Remove, removal(kind, h.name))
			}
		}
	}
	snap := w.store.Apply(c)
	for _, h := range w.hosts {
		for _, kind := range store.Kinds() {
			switch {
			case !h.has[kind]:
				delete(h.present, kind)
			case h.present[kind] == 0:
				h.present[kind] = snap.Generation
			}
		}
	}
}

func (w *world) mutate(h *host) {
	touch := func(kinds ...store.Kind) {
		for _, k := range kinds {
			h.changed[k] = w.now
		}
		if _, ok := h.made[h.value]; !ok {
			h.made[h.value] = w.now
		}
	}
	se, dr, vs := store.ServiceEntry, store.DestinationRule, store.VirtualService
	needed := slices.ContainsFunc(w.hosts, func(o *host) bool { return o != h && o.has[vs] && slices.Contains(o.needs, h.name) })
	switch w.rand.IntN(7) {
	case 0: // the service alone
		h.has[se] = true
		h.value++
		touch(se)
	case 1: // all of it, the route needing the newest rule
		h.has[se], h.has[dr], h.has[vs] = true, true, true
		h.value++
		h.needed, h.needs = h.value, []string{h.name}
		touch(se, dr, vs)
	case 2: // the rule changes, the route does not
		if h.has[dr] {
			h.value++
			touch(dr)
		}
	case 3: // the route goes
		delete(h.has, vs)
	case 4: // all of it goes
		if !needed {
			clear(h.has)
		}
	case 5: // another revision, with all that is in it
		if !needed && !slices.ContainsFunc(h.needs, func(n string) bool { return n != h.name }) {
			h.revision = []string{"", "canary", "stable"}[w.rand.IntN(3)]
			for _, kind := range store.Kinds() {
				h.present[kind] = 0 // for some it goes, for some it comes
			}
			h.value++
			h.needed = h.value
			touch(se, dr, vs)
		}
	case 6: // the route needs another host's rule too
		o := w.hosts[w.rand.IntN(len(w.hosts))]
		if h.has[vs] && o.has[dr] && o.revision == "" {
			h.needs = slices.Compact(slices.Sorted(slices.Values(append(h.needs, o.name))))
			touch(vs)
		}
	}
}

func (w *world) host(name string) *host {
	i := slices.IndexFunc(w.hosts, func(h *host) bool { return h.name == name })
	return w.hosts[i]
}

func (w *world) resource(h *host, kind store.Kind) *store.Resource {
	options := []option{changedAt(h.changed[kind])}
	if h.revision != "" {
		options = append(options, revision(h.revision))
	}
	value := h.value
	var keys []store.Key
	if kind == store.VirtualService {
		value = h.needed
		for _, n := range h.needs {
			keys = append(keys, key(store.DestinationRule, n))
		}
		options = append(options, needing(wholly(keys...)...), annotated("needs", fmt.Sprint(h.needs)))
	}
	r := resource(w.t, kind, h.name, strconv.Itoa(value), options...)
	w.needs[r.Version] = keys
	return r
}

// settle lets everything come to rest.
func (w *world) settle() {
	w.store.Apply(store.Change{Open: true})
	for range 40 {
		for _, c := range w.clients {
			c.update()
			for c.process() {
			}
		}
		w.now = w.now.Add(propSettle / 4)
	}
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
				w.t.Errorf("client %d (%+v, delta %t) differs in %s (-view +held):\n%s", c.id, c.view, c.delta, kind.Kind, diff)
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
