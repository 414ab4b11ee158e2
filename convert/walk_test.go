package convert

import (
	"container/heap"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

var (
	walkSeeds = flag.Uint64("walk.seeds", walkDefault, "how many walks TestWalk makes")
	walkSeed  = flag.Int64("walk.seed", -1, "the only walk that TestWalk makes, as a failure names it")
	walkTime  = flag.Duration("walk.time", 0, "how long TestWalk goes on making walks, in place of -walk.seeds")
	walkEdits = flag.Int("walk.edits", 60, "how many edits a walk has")
	walkLog   = flag.Bool("walk.v", false, "print all that happens in the walk of -walk.seed")
)

// walkSlow is how long an acknowledgement takes now and then.
const walkSlow = 20 * time.Second

// walk is a world in which everything happens at random: replicas of the bridge, the registries and documents that they
// follow, and clients. Its time passes from event to event.
type walk struct {
	t      *testing.T
	rand   *rand.Rand
	settle time.Duration
	now    time.Time
	queue  walkQueue
	events int
	prompt bool // all goes well for now

	services []*walkService
	files    map[string]canary.Entry
	known    map[string]*canary.Document // by hash, all that there have been
	until    map[string]time.Time        // by hash, when the last file ceased to have it
	rules    []*Rules
	replicas []*walkReplica
	clients  []*walkClient
	since    [2]map[walkClaim]time.Time // since when there is each claim, for the clients of each of walkRevisions
	acted    time.Time

	objects  map[*store.Resource]*walkObject
	lines    []string
	faults   map[string]string // the first of each kind
	report   string            // the lines up to the first fault
	edits    int
	compared int // how often two replicas were
}

// walkRevisions are those of clients; resources of the host walkRevised are for clients of walkRevision only.
var walkRevisions = []string{"", walkRevision}

const (
	walkRevision = "canary"
	walkRevised  = "hotel.mesh"
)

// walkSources are the sources of a walk, as its rules have them.
var walkSources = []string{"a", "b", "c"}

const walkRules = `
retainEmpty: %s
subsets: {discover: %s, retain: %s}
canary:
  settle: %s
  onInvalid: %s
  teams:
  - {name: core, files: ["core-*.yaml"], services: ["*"]}
  - {name: edge, files: ["edge-*.yaml"], services: ["*"]}
sources:
- {name: a, namespace: old}
- {name: b, namespace: new}
- {name: c, revision: canary}
`

// walkEvent is what happens at a time.
type walkEvent struct {
	at   time.Time
	n    int
	what func()
}

type walkQueue []walkEvent

func (q walkQueue) Len() int { return len(q) }
func (q walkQueue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].n < q[j].n
}
func (q walkQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *walkQueue) Push(x any)   { *q = append(*q, x.(walkEvent)) }
func (q *walkQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}

func (w *walk) at(at time.Time, what func()) {
	w.events++
	heap.Push(&w.queue, walkEvent{at: at, n: w.events, what: what})
}

func (w *walk) after(d time.Duration, what func()) { w.at(w.now.Add(d), what) }

// pass lets time pass, and all happen that is planned until then.
func (w *walk) pass(d time.Duration) {
	until := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(until) {
		e := heap.Pop(&w.queue).(walkEvent)
		if e.at.After(w.now) {
			w.now = e.at
		}
		e.what()
	}
	w.now = until
}

func (w *walk) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rand.Int64N(int64(most-least)))
}

// delay is how long a client takes for a response.
func (w *walk) delay() time.Duration {
	switch {
	case w.prompt:
		return w.between(0, 50*time.Millisecond)
	case w.chance(40):
		return w.between(0, 200*time.Millisecond)
	case len(w.replicas) == 1 && w.chance(3):
		return walkSlow
	}
	return w.between(0, 3*time.Second)
}

func (w *walk) stamp(at time.Time) string { return fmt.Sprintf("+%.3fs", at.Sub(start).Seconds()) }

func (w *walk) tell(format string, args ...any) {
	w.lines = append(w.lines, w.stamp(w.now)+" "+fmt.Sprintf(format, args...))
}

// fault notes what must not be, the first of its kind.
func (w *walk) fault(kind, format string, args ...any) {
	if w.faults[kind] != "" {
		return
	}
	w.faults[kind] = w.stamp(w.now) + " " + kind + ": " + fmt.Sprintf(format, args...)
	w.tell("FAULT %s", w.faults[kind])
	if w.report == "" {
		w.report = strings.Join(w.lines[max(0, len(w.lines)-60):], "\n")
	}
}

// newWalk makes the world and connects the clients.
func newWalk(t *testing.T, seed uint64) *walk {
	w := &walk{t: t, rand: rand.New(rand.NewPCG(seed, 9)), now: start, settle: time.Second, prompt: true,
		files: map[string]canary.Entry{}, known: map[string]*canary.Document{}, until: map[string]time.Time{},
		objects: map[*store.Resource]*walkObject{}, faults: map[string]string{}}
	names := []string{"r1", "r2"}[:1+w.rand.IntN(2)]
	if len(names) > 1 {
		w.settle = 4 * time.Second // longer than one is behind the other
	}
	discover, invalid := w.pick("none", "multiple", "multiple"), w.pick("keep", "keep", "respond")
	for _, retain := range []string{w.pick("0s", "30s", "10m"), w.pick("0s", "30s", "10m")} {
		w.rules = append(w.rules, compile(t, fmt.Sprintf(walkRules, w.pick("30s", "10m"), discover, retain, w.settle, invalid)))
	}
	w.populate()
	for range 2 + w.rand.IntN(4) {
		f := walkFiles[w.rand.IntN(len(walkFiles))]
		w.files[f.file] = f.entry(w.write(f, nil))
	}
	for _, name := range names {
		r := &walkReplica{w: w, name: name, views: walkViews{}}
		w.replicas = append(w.replicas, r)
		r.start(w.rules[0])
	}
	kinds := w.rand.Perm(6)[:3]
	slices.Sort(kinds)
	for _, kind := range kinds {
		switch kind {
		case 0:
			w.clients = append(w.clients, w.client("sotw", "", false, 1))
		case 1:
			w.clients = append(w.clients, w.client("sotw-4", "", false, 4))
		case 2:
			w.clients = append(w.clients, w.client("sotw-64", "", false, 64))
		case 3:
			w.clients = append(w.clients, w.client("delta", "", true, 1))
		case 4:
			w.clients = append(w.clients, w.client("sotw-4-canary", walkRevision, false, 4))
		case 5:
			w.clients = append(w.clients, w.client("delta-canary", walkRevision, true, 1))
		}
	}
	w.tell("seed %d: %d replicas, rules %s", seed, len(names), discover)
	for _, c := range w.clients {
		for _, s := range c.streams {
			s.connect()
		}
	}
	w.rest()
	return w
}

// run makes some edits and all else that happens meanwhile, and rests from time to time.
func (w *walk) run(edits int) {
	for w.edits < edits {
		w.prompt = false
		for until := w.edits + 10; w.edits < until; {
			w.pass(w.gap())
			for _, c := range w.clients {
				c.judge.settle()
			}
			w.act()
			w.acted = w.now
		}
		w.rest()
	}
}

// gap is the time to the next event from outside.
func (w *walk) gap() time.Duration {
	if w.chance(50) {
		return w.between(w.settle/5, w.settle)
	}
	return w.between(w.settle/5, 15*w.settle)
}

// TestWalk has a bridge go through random edits of documents, changes of the registries, restarts, failovers and slow
// clients, and judges it by what its clients hold. A failure names its seed: -walk.seed makes that walk again.
func TestWalk(t *testing.T) {
	began, total := time.Now(), map[string][]uint64{}
	walks, compared := uint64(0), 0
	one := func(seed uint64) {
		w := newWalk(t, seed)
		w.run(*walkEdits)
		walks, compared = walks+1, compared+w.compared
		for _, kind := range slices.Sorted(maps.Keys(w.faults)) {
			total[kind] = append(total[kind], seed)
		}
		switch {
		case len(w.faults) > 0 && *walkSeed >= 0:
			t.Errorf("seed %d:\n%s\n%s", seed, strings.Join(slices.Sorted(maps.Values(w.faults)), "\n"), w.report)
		case len(w.faults) > 0:
			t.Errorf("seed %d (again with -walk.seed %d):\n%s", seed, seed, strings.Join(slices.Sorted(maps.Values(w.faults)), "\n"))
		}
		if *walkSeed >= 0 && *walkLog {
			t.Log(strings.Join(w.lines, "\n"))
		}
	}
	switch {
	case *walkSeed >= 0:
		one(uint64(*walkSeed))
	case *walkTime > 0:
		for seed := uint64(1000); time.Since(began) < *walkTime; seed++ {
			one(seed)
		}
	default:
		for seed := range *walkSeeds {
			one(seed)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(total)) {
		t.Errorf("%d of %d walks: %s (seeds %v)", len(total[kind]), walks, kind, total[kind][:min(10, len(total[kind]))])
	}
	t.Logf("%d walks; replicas were compared %d times", walks, compared)
}
