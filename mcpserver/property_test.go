package mcpserver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/mcpserver/store"
)

// The property, from the client's side alone: whatever happens in whatever order, a client has held all that a VirtualService
// names for settle when it receives that, and a ServiceEntry's rule when it receives the entry; nothing leaves it while
// something that it holds names it, or within settle after; it never loses what was there all the time, and it ends with
// exactly its view. The world keeps what the converter promises (mutation_test.go). Here time and the wire are simulated;
// TestClientsOverTheWireEndWithTheirView has real ones.
func TestAClientNeverLacksWhatItsRoutesNameAndEndsWithItsView(t *testing.T) {
	seeds := 120
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		w := newWorld(t, uint64(seed))
		for i := range 500 {
			w.step()
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, i)
			}
		}
		w.end()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

const (
	propSettle = 10 * time.Second
	propRetain = time.Minute
	propKeep   = 12 * propSettle
	propAway   = 11 * propSettle // a client that is not connected comes back within
)

// world is what processes of the same state have in their stores, and simulated clients.
type world struct {
	t         *testing.T
	rand      *rand.Rand
	now       time.Time
	processes []*process
	services  map[string]*service // by name
	routes    []*route
	clients   []*simClient
	keep      time.Duration // for how long what nothing names stays in the stores: propKeep, or 0 where no client ever leaves
	refuses   bool          // clients refuse a response now and then

	value  int               // counts values
	moment int               // counts changes
	gone   map[store.Key]int // the last moment at which a resource was not there, or changed its revision
}

// process is one bridge.
type process struct {
	store   *store.Store
	bodies  *bodies
	began   time.Time
	moments map[uint64]int // by generation
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: created, refuses: seed%4 == 0,
		services: map[string]*service{}, gone: map[store.Key]int{},
	}
	for range 1 + seed%2 {
		w.processes = append(w.processes, w.newProcess())
	}
	for i := range 5 {
		w.routes = append(w.routes, &route{host: fmt.Sprintf("h%d.mesh", i)})
	}
	shards := []store.Shard{{}, {}, {}, {Index: 0, Of: 2}, {Index: 1, Of: 2}}
	for i := range 5 {
		view := View{Shard: shards[w.rand.IntN(len(shards))]}
		if w.rand.IntN(2) == 0 {
			view.Revision = "canary"
		}
		w.clients = append(w.clients, newSimClient(w, i, view, w.rand.IntN(2) == 0))
	}
	if w.keep = propKeep; seed%3 == 0 {
		w.keep = 0
		for _, c := range w.clients {
			c.connect()
		}
	}
	return w
}

func (w *world) newProcess() *process {
	return &process{
		store: store.NewStore(), bodies: newBodies(func() time.Time { return w.now }), began: w.now, moments: map[uint64]int{},
	}
}

// step lets one thing happen.
func (w *world) step() {
	switch n := w.rand.IntN(200); {
	case n < 30:
		for range 1 + w.rand.IntN(3) {
			w.mutate()
		}
		w.apply(w.rand.IntN(3) == 0)
	case n < 40:
		w.pass(time.Duration(w.rand.IntN(900)) * time.Millisecond)
	case n < 60:
		w.pass(time.Duration(w.rand.IntN(6000)) * time.Millisecond)
	case n < 63:
		w.pass(propRetain)
	case n < 68: // most come up to date
		for _, c := range w.clients {
			if w.rand.IntN(4) > 0 {
				c.update()
				for c.process() {
				}
			}
		}
		w.pass(propSettle)
	case n == 68 && w.keep > 0:
		w.restart(w.any(len(w.processes)))
	default:
		w.clients[w.any(len(w.clients))].act()
	}
}

func (w *world) any(n int) int { return w.rand.IntN(n) }

// pass lets time go by. Clients come back in time, and ask in time for what they ask for, most of them.
func (w *world) pass(d time.Duration) {
	for d > 0 {
		step := min(d, 4*time.Second)
		d -= step
		for _, c := range w.clients {
			c.hurry(w.now.Add(step))
		}
		w.now = w.now.Add(step)
		w.clean()
	}
}

// restart replaces a process by one with the same state; its clients go.
func (w *world) restart(i int) {
	old := w.processes[i]
	for _, c := range w.clients {
		if c.bridge == old {
			c.disconnect()
		}
	}
	w.processes[i] = w.newProcess()
	remembers := w.any(2) == 0 // since when its state has been as it is
	for _, p := range w.parts() {
		p.since[w.processes[i]] = store.Gate{Generation: 1, Since: w.now}
		if remembers {
			p.since[w.processes[i]] = store.Gate{Generation: 1, Since: p.since[old].Since}
		}
		delete(p.since, old)
		delete(p.left, old)
		p.left[w.processes[i]] = map[string]uint64{}
		for host := range p.hosts {
			p.left[w.processes[i]][host] = 1
		}
		p.leftAt = w.now // it is not known that it was longer ago
	}
	w.fill(w.processes[i], current(old.store).Open)
}

// end lets everything come to rest, twice: when all is sent again that clients refused, and when all is gone that nothing names.
func (w *world) end() {
	w.refuses = false
	for i := range 8 { // each kind in each shard changes
		w.routes = append(w.routes, &route{host: fmt.Sprintf("last%d.mesh", i)})
		w.lead(w.routes[len(w.routes)-1], fmt.Sprintf("n0/last%d.mesh", i), "v1")
	}
	for _, s := range w.services {
		w.touch(s, store.ServiceEntry)
		w.touch(s, store.DestinationRule)
	}
	for _, r := range w.routes {
		if r.value > 0 {
			w.route(r, r.names)
		}
	}
	w.apply(true)
	w.rest()
	w.judge()
	for range 3 { // subsets, services, rules
		w.pass(propKeep)
		w.rest()
		w.pass(propSettle)
	}
	w.rest()
	w.judge()
	for ref, p := range w.parts() {
		if len(p.named) == 0 {
			w.t.Errorf("%v is kept for ever", ref)
		}
	}
}

// rest lets sessions do all that they have to do: they are asked again when they say so.
func (w *world) rest() {
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
	for _, c := range w.clients {
		snap := current(c.bridge.store)
		for _, kind := range store.Kinds() {
			got := map[string]string{}
			for k, h := range c.held {
				if k.Kind == kind {
					got[k.Name] = h.version
				}
			}
			sub := c.session.of(kind)
			if diff := cmp.Diff(versions(snap, kind, c.view), got); diff != "" {
				w.t.Errorf("client %d (%+v, delta %t) differs in %s (-view +held):\n%s%+v", c.id, c.view, c.delta, kind.Kind, diff, c.session.clientKind(sub).Held)
			}
			if sub.count != len(got) || len(sub.held) > 0 {
				w.t.Errorf("client %d counts %d of %s, and holds %d; it is kept from %d", c.id, sub.count, kind.Kind, len(got), len(sub.held))
			}
		}
		if _, busy := c.session.Busy(); busy || slices.ContainsFunc(c.session.subs, func(s *subscription) bool { return s == nil }) {
			w.t.Errorf("client %d is busy", c.id)
		}
	}
}
