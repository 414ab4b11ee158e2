//go:build e2e

package rollout

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// Ten minutes by hand, of one istiod and a seed of one's choice, in test/:
//
//	go run ./cmd/testtools e2e
//	go test -tags e2e -v -count=1 -timeout 40m -run 'TestWalk/newest' ./e2e/rollout -walk.time 10m -walk.seed 7
var (
	walkTime = flag.Duration("walk.time", time.Minute, "how long TestWalk walks with each istiod")
	walkSeed = flag.Uint64("walk.seed", 1, "what the edits of TestWalk are drawn from")
)

// TestWalk edits documents and registry at random, often faster than anything settles, moves a host to another namespace and
// back, and kills the bridge once, all under a load of which no request may fail: whatever happens, every version and every set
// of labels that a document may choose has an instance, and a path is called as long as some document claims it. At the end
// proxies route as the documents say.
func TestWalk(t *testing.T) {
	for _, istiod := range []struct {
		name string
		tool harness.Tool
	}{{"newest", harness.IstiodNewest}, {"1.24.0", harness.Istiod124}} {
		t.Run(istiod.name, func(t *testing.T) {
			w := newWalk(t, istiod.tool, *walkSeed)
			w.start()
			w.walk(*walkTime)
			w.end()
		})
	}
}

// walk is one mesh, three services, three documents, and what happened so far.
type walk struct {
	*world
	t         *testing.T
	seed      uint64
	rand      *rand.Rand
	services  map[string]*service // by host
	documents map[string]*draft   // by name; one that is deleted has none
	leaving   []leaver
	traffic   *traffic
	load      *harness.Load
	begun     time.Time
	looked    time.Time // when the instances that left were last looked for
	failed    int       // requests of which evidence was kept
	kept      int       // times that evidence was kept
	edits     []string
}

func newWalk(t *testing.T, tool harness.Tool, seed uint64) *walk {
	t.Helper()
	w := &walk{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), services: map[string]*service{}, documents: map[string]*draft{}, begun: time.Now(),
		world: startWorld(t, tool, `mesh: {namespace: "{{with .Metadata.home}}{{.}}{{else}}registries{{end}}"}`),
	}
	w.traffic = newTraffic(w)
	return w
}

// start fills the mesh and starts the load.
func (w *walk) start() {
	w.t.Helper()
	for _, name := range []string{"echo", "foxtrot", "golf"} {
		s := w.service(w.t, name, "")
		w.services[s.host()] = s
		for _, kind := range kinds {
			s.deploy(w.t, kind["version"], labelled(kind))
		}
	}
	for _, name := range documentNames {
		w.write(name, w.invent(name))
	}
	w.judge()
	w.traffic.look()
	w.load = harness.StartLoad(w.t, rate, w.traffic.next)
	w.begun, w.edits = time.Now(), nil
}

// walk takes steps until the time is over.
func (w *walk) walk(length time.Duration) {
	w.t.Helper()
	moved := w.services[w.pick(slices.Sorted(maps.Keys(w.services))...)]
	events := []func(){
		func() { w.move(moved, "elsewhere") },
		func() {
			w.note("the bridge is killed and starts again")
			w.bridge.Kill()
			w.bridge.Start()
		},
		func() { w.move(moved, "") },
	}
	for n := 1; time.Since(w.begun) < length; {
		if n <= len(events) && time.Since(w.begun) > length*time.Duration(n)/time.Duration(len(events)+1) {
			events[n-1]()
			n++
		}
		w.step()
		w.pause([]time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, time.Second, 5 * settle / 4}[w.rand.IntN(5)])
	}
}

// step edits a document, or changes the registry, or does both in one instant.
func (w *walk) step() {
	n := w.rand.IntN(10)
	if n < 5 || n >= 8 {
		w.edit(documentNames[w.rand.IntN(len(documentNames))])
	}
	if n >= 5 {
		w.churn()
	}
}

// end stops the load when all has come to rest, and judges.
func (w *walk) end() {
	w.t.Helper()
	w.judge()
	r := w.load.Report()
	if r.Failed > 0 {
		w.t.Errorf("%d of %d requests failed, the first:\n%s\nthe edits:\n%s", r.Failed, r.Sent, strings.Join(r.Faults, "\n"), strings.Join(w.edits, "\n"))
	}
	w.load.Stop()
	w.healthy(w.t)
	w.t.Logf("seed %d: %d edits, %d requests, %d failures", w.seed, len(w.edits), r.Sent, r.Failed)
}

// pause waits, and looks meanwhile what comes of requests.
func (w *walk) pause(length time.Duration) {
	w.t.Helper()
	for until := time.Now().Add(length); ; time.Sleep(min(20*time.Millisecond, time.Until(until))) {
		w.watch()
		w.traffic.look()
		w.bury()
		if !time.Now().Before(until) {
			return
		}
	}
}

// note keeps an edit for those who read of a failure.
func (w *walk) note(format string, args ...any) {
	w.edits = append(w.edits, fmt.Sprintf("%s %6.2fs ", time.Now().Format("15:04:05.000"), time.Since(w.begun).Seconds())+fmt.Sprintf(format, args...))
}

func (w *walk) pick(texts ...string) string { return texts[w.rand.IntN(len(texts))] }

// chance reports true in percent of the cases.
func (w *walk) chance(percent int) bool { return w.rand.IntN(100) < percent }
