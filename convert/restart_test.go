package convert

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// The rules of restarts: a range so small that hosts meet, and clashes of names within and between registries.
const restartRules = `
mesh: {vips: [10.9.8.0/28]}
retainEmpty: 1h
subsets: {retain: 1h, discover: multiple}
sources:
- {name: eureka}
- {name: nacos, priority: 1}
`

// bridgeProcess is a mirror and a converter that keep their state in a folder, from their start to stop. It records every
// state that a client could see.
type bridgeProcess struct {
	eureka, nacos sources.Sink
	store         *store.Store
	seen          []map[store.Key]string
	stop          func()
}

// Apply implements Applier.
func (p *bridgeProcess) Apply(c store.Change) *store.Snapshot {
	snap := p.store.Apply(c)
	p.seen = append(p.seen, stateOf(p.store))
	return snap
}

func startBridge(t *testing.T, dir string) *bridgeProcess {
	t.Helper()
	p := &bridgeProcess{store: store.NewStore()}
	mirror := sources.NewMirror(time.Now, quiet())
	closeFile := mirror.Restore(dir)
	mirror.Expect([]sources.Expected{
		{Name: "eureka", Required: true, Protect: sources.DefaultProtect()},
		{Name: "nacos", Required: true, Protect: sources.DefaultProtect()},
	})
	rules := parseCase(t, restartRules, "eureka: []\nnacos: []", "").rules
	c := New(rules, mirror, p, Options{StateDir: dir, Log: quiet()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- mirror.Run(ctx) }()
	go func() { done <- c.Run(ctx) }()
	p.eureka, p.nacos = mirror.Sink("eureka"), mirror.Sink("nacos")
	p.stop = func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		closeFile()
	}
	return p
}

// pass waits until all that was reported is served, or what was served before counts as read.
func pass() {
	time.Sleep(15 * time.Second)
	synctest.Wait()
}

// TestARestartWithARegistryDownChangesNothing has a bridge end with merged hosts, clashes of names and addresses, and a
// retained service, port and subset; the next one is seen by clients only with just what the first served.
func TestARestartWithARegistryDownChangesNothing(t *testing.T) {
	dir := t.TempDir()
	retained := []store.Key{
		{Kind: store.ServiceEntry, Name: "registries/late.mesh"}, {Kind: store.ServiceEntry, Name: "registries/audit.mesh"},
		{Kind: store.ServiceEntry, Name: "registries/payments.mesh"}, {Kind: store.ServiceEntry, Name: "registries/ports.mesh.0"},
		{Kind: store.DestinationRule, Name: "registries/mb-orders.mesh"},
	}
	synctest.Test(t, func(t *testing.T) {
		nacos := []*sources.Service{
			service("orders", "v1@10.0.0.1", "v2@10.0.0.2"), service("stock_levels", "10.0.1.1"), service("stock-levels", "10.0.1.2"),
			service("users", "10.0.2.1"), service("payments", "10.0.3.1"), service("ports", "10.0.4.1"), service("late", "10.0.5.1"),
		}
		eureka := []*sources.Service{
			service("ORDERS", "10.0.0.3", "v2@10.0.0.2"), service("STOCK.LEVELS", "10.0.1.3"), service("USERS", "10.0.2.2"), service("AUDIT", "10.0.6.1"),
			service("MAIL", "10.0.7.1"), service("stock levels", "10.0.1.4"),
		}
		first := startBridge(t, dir)
		first.eureka.Scopes([]string{""})
		first.nacos.Scopes([]string{""})
		first.eureka.Snapshot("", eureka, nil)
		first.nacos.Snapshot("", nacos, nil)
		pass()
		ports := service("ports", "10.0.4.1")
		ports.Instances[0].Ports[0] = sources.Port{Protocol: "tri", Number: 50051} // its HTTP port is retained
		nacos = []*sources.Service{
			service("orders", "v1@10.0.0.1"), nacos[1], nacos[2], nacos[3], service("payments"), ports, // late is gone
		}
		eureka = []*sources.Service{service("ORDERS", "10.0.0.3"), eureka[1], eureka[2], eureka[4], eureka[5]} // AUDIT is gone
		first.eureka.Snapshot("", eureka, nil)
		first.nacos.Snapshot("", nacos, nil)
		pass()
		before := stateOf(first.store)
		for _, key := range retained {
			if before[key] == "" {
				t.Fatalf("%s is not retained: %v", key.Name, before)
			}
		}
		first.stop()

		for round := range 3 {
			time.Sleep(time.Minute)
			next := startBridge(t, dir)
			next.eureka.State("", errors.New("connection refused"))
			pass()
			if len(next.seen) == 0 {
				t.Fatalf("round %d: nothing is served", round)
			}
			if round > 0 {
				next.nacos.Scopes([]string{""})
				next.nacos.Snapshot("", nacos, nil)
				pass()
			}
			if round > 1 {
				next.eureka.Scopes([]string{""})
				next.eureka.Snapshot("", eureka, nil)
				pass()
			}
			for i, state := range next.seen {
				if diff := cmp.Diff(before, state); diff != "" {
					t.Errorf("round %d, state %d of %d (-before the restart +after):\n%s", round, i+1, len(next.seen), diff)
				}
			}
			next.stop()
		}

		last := startBridge(t, dir)
		defer last.stop()
		last.eureka.Scopes([]string{""})
		last.nacos.Scopes([]string{""})
		last.eureka.Snapshot("", eureka, nil)
		last.nacos.Snapshot("", nacos, nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, key := range retained {
			if stateOf(last.store)[key] != "" {
				t.Errorf("%s is retained for ever", key.Name)
			}
		}
	})
}
