//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// watchdog looks at istiod's configz every 50 ms, and at what proxies are pushed.
type watchdog struct {
	istiod  *harness.Istiod
	want    map[string]string // object to resource version
	proxies map[string]*harness.Proxy
	before  map[string]int // pushes at the start

	cancel context.CancelFunc
	wait   sync.WaitGroup

	// Owned by look until wait is over.
	samples int
	faults  []string
}

// guard starts to look. The istiod and the proxies must be quiet.
func guard(t *testing.T, istiod *harness.Istiod) *watchdog {
	t.Helper()
	w := &watchdog{istiod: istiod, proxies: proxies(t, istiod), before: map[string]int{}}
	for _, p := range w.proxies {
		p.Settle(2 * time.Second)
	}
	for name, p := range w.proxies {
		w.before[name] = len(p.Pushes())
	}
	w.want = versions(t, istiod)
	if len(w.want) < services {
		t.Fatalf("istiod holds %d objects, want at least %d", len(w.want), services)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.cancel = cancel
	w.wait.Go(func() { w.look(ctx) })
	t.Cleanup(func() { cancel(); w.wait.Wait() })
	return w
}

func (w *watchdog) look(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		got, err := w.istiod.Versions()
		w.samples++
		if err != nil {
			w.faults = append(w.faults, err.Error())
			continue
		}
		for name, version := range w.want {
			if got[name] != version {
				w.faults = append(w.faults, fmt.Sprintf("sample %d: %s has the version %q, had %q", w.samples, name, got[name], version))
			}
		}
		for name := range got {
			if _, ok := w.want[name]; !ok {
				w.faults = append(w.faults, fmt.Sprintf("sample %d: %s is new", w.samples, name))
			}
		}
	}
}

// nothingChanged waits for two quiet seconds, stops looking, and fails the test if anything was seen to change.
func (w *watchdog) nothingChanged(t *testing.T) {
	t.Helper()
	for _, p := range w.proxies {
		p.Settle(2 * time.Second)
	}
	time.Sleep(2 * time.Second) // for istiod's debounce, and what a proxy would then be sent
	w.cancel()
	w.wait.Wait()
	if len(w.faults) > 0 {
		t.Errorf("%d faults in %d samples, first: %s", len(w.faults), w.samples, w.faults[0])
	}
	if w.samples < 20 {
		t.Errorf("configz was sampled %d times only", w.samples)
	}
	for name, p := range w.proxies {
		if pushes := p.Since(w.before[name]); len(pushes) > 0 {
			t.Errorf("the proxy with %s was pushed %v", name, pushes)
		}
	}
	nothingRefused(t, w.istiod)
}

// stillFollows shows that a change arrives, so that the quiet before was no deafness.
func (w *world) stillFollows(t *testing.T, istiod *harness.Istiod) {
	t.Helper()
	w.add(harness.DubboProvider{Interface: provider(1, 0).Interface, Address: "10.5.5.5:20880", Parameters: map[string]string{"zone": "z1"}})
	w.waitEndpoints(t, istiod)
}

func TestARestartOfTheBridgeChangesNothing(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		bridge := w.bridge(t)
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, bridge.MCP))
		w.waitEndpoints(t, istiod)
		watch := guard(t, istiod)

		bridge.Stop()
		bridge.Start()
		bridge.WaitAcknowledged(1)
		bridge.Kill()
		bridge.Start()
		bridge.WaitAcknowledged(1)

		watch.nothingChanged(t)
		w.stillFollows(t, istiod)
	})
}

func TestASwitchBetweenReplicasChangesNothing(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		one, two := w.bridge(t), w.bridge(t)
		service := harness.NewSwitch(t, one.MCP)
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, service.Addr))
		w.waitEndpoints(t, istiod)
		watch := guard(t, istiod)

		service.To(two.MCP)
		two.WaitAcknowledged(1)
		one.Stop()
		one.Start()
		service.To(one.MCP)
		one.WaitAcknowledged(1)

		watch.nothingChanged(t)
		w.stillFollows(t, istiod)
	})
}

func TestAKilledZooKeeperChangesNothing(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		bridge := w.bridge(t)
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, bridge.MCP))
		w.waitEndpoints(t, istiod)
		watch := guard(t, istiod)

		w.zk.Kill()
		time.Sleep(5 * time.Second) // the outage
		w.zk.Start()
		w.registry.WaitSession()
		// Read again: a restarted ZooKeeper is followed, or the change below would never arrive.
		time.Sleep(5 * time.Second)

		watch.nothingChanged(t)
		w.stillFollows(t, istiod)
	})
}
