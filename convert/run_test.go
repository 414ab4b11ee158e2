package convert

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// running is a Converter at work on a real Mirror and Store.
type running struct {
	*Converter
	t      *testing.T
	mirror *sources.Mirror
	store  *store.Store
	cancel context.CancelFunc
	done   chan error
}

func run(t *testing.T, rules *Rules, opts Options, expected ...sources.Expected) *running {
	r := &running{t: t, mirror: sources.NewMirror(time.Now, quiet()), store: store.NewStore(), done: make(chan error, 1)}
	if opts.Log == nil {
		opts.Log = quiet()
	}
	r.mirror.Expect(expected)
	r.Converter = New(rules, r.mirror, r.store, opts)
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.done <- r.Run(ctx) }()
	return r
}

func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		r.t.Errorf("Run: %v", err)
	}
}

func (r *running) entries() int {
	snap, _ := r.store.Snapshot()
	return snap.Len(store.ServiceEntry)
}

func TestRunAppliesWhatSourcesReportAndOpensTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		r := run(t, compile(t, ""), Options{Registerer: registry}, sources.Expected{Name: "a", Required: true}, sources.Expected{Name: "b", Required: true})
		a, b := r.mirror.Sink("a"), r.mirror.Sink("b")
		a.Scopes([]string{""})
		a.Snapshot("", []*sources.Service{service("orders", "10.0.0.1")}, nil)
		synctest.Wait()
		if snap, _ := r.store.Snapshot(); snap.Open || snap.Len(store.ServiceEntry) != 0 {
			t.Errorf("served before every source is in: %d, open %v", snap.Len(store.ServiceEntry), snap.Open)
		}
		b.Scopes([]string{""})
		b.Snapshot("", []*sources.Service{service("users", "10.0.0.2", "bad address")}, nil)
		synctest.Wait()
		snap, _ := r.store.Snapshot()
		if !snap.Open || snap.Len(store.ServiceEntry) != 2 || snap.Generation != 1 {
			t.Errorf("generation %d has %d entries, open %v; want one change with both and the gate", snap.Generation, snap.Len(store.ServiceEntry), snap.Open)
		}

		time.Sleep(time.Second)
		at := time.Now()
		a.Update("", []*sources.Service{service("orders", "10.0.0.1", "10.0.0.3")}, nil)
		synctest.Wait()
		snap, _ = r.store.Snapshot()
		got := snap.Lookup(store.Key{Kind: store.ServiceEntry, Name: "registries/orders.mesh"}, "orders.mesh")
		if !got.Changed.Equal(at) {
			t.Errorf("changed at %s, want the time of the report, %s", got.Changed, at)
		}
		view, _ := r.Service("ORDERS.mesh")
		if view.Endpoints != 2 || len(view.Refs) != 1 || view.Namespace != "registries" || len(view.Addresses) != 1 || view.Slot != store.Slot("orders.mesh") {
			t.Errorf("view %+v", view)
		}
		if all := r.Services(); len(all) != 2 || all[0].Host != "orders.mesh" {
			t.Errorf("views %+v", all)
		}
		want := []Rejection{{Source: "b", Service: "users", Instance: "i001", Host: "users.mesh", Class: ClassAddress, Reason: r.Rejected()[0].Reason}}
		if diff := cmp.Diff(want, r.Rejected()); diff != "" {
			t.Error(diff)
		}
		if n := testutil.ToFloat64(r.metrics.resources.WithLabelValues("ServiceEntry")); n != 2 {
			t.Errorf("meshbridge_convert_resources is %v", n)
		}
		if n := testutil.ToFloat64(r.metrics.rejected.WithLabelValues("b", ClassAddress)); n != 1 {
			t.Errorf("meshbridge_convert_rejected is %v", n)
		}
		r.stop()
	})
}

func TestRunRemovesWhatIsRetainedWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, compile(t, "retainEmpty: 10m"), Options{}, sources.Expected{Name: "a"})
		a := r.mirror.Sink("a")
		a.Scopes([]string{""})
		a.Snapshot("", []*sources.Service{service("orders", "10.0.0.1"), service("users", "10.0.0.2")}, nil)
		synctest.Wait()
		a.Update("", []*sources.Service{service("orders")}, nil)
		time.Sleep(5 * time.Minute)
		a.Update("", nil, []sources.Key{{Name: "users"}})
		synctest.Wait()
		if view, _ := r.Service("orders.mesh"); view.EmptySince.IsZero() || view.Endpoints != 0 {
			t.Errorf("orders: %+v", view)
		}
		time.Sleep(5*time.Minute - time.Second)
		synctest.Wait()
		if r.entries() != 2 {
			t.Errorf("%d entries before the time is up", r.entries())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if r.entries() != 1 {
			t.Errorf("%d entries, want users.mesh only", r.entries())
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if r.entries() != 0 {
			t.Errorf("%d entries, want none", r.entries())
		}
		r.stop()
	})
}

func TestSetRulesConvertsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, compile(t, ""), Options{}, sources.Expected{Name: "a"})
		a := r.mirror.Sink("a")
		a.Scopes([]string{""})
		a.Snapshot("", []*sources.Service{service("orders", "10.0.0.1")}, nil)
		synctest.Wait()
		r.SetRules(compile(t, "mesh: {domain: corp.example}"))
		synctest.Wait()
		if _, ok := r.Service("orders.corp.example"); !ok || r.entries() != 1 {
			t.Errorf("%+v", r.Services())
		}
		r.stop()
	})
}

// names is a scripted DNS.
type names struct {
	mu    sync.Mutex
	known map[string][]netip.Addr
	delay time.Duration
	asked int
}

func (n *names) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	addrs, ok := n.known[host]
	delay := n.delay
	n.asked++
	n.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !ok {
		return nil, errors.New("no such host")
	}
	return addrs, nil
}

func (n *names) set(host string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.known, host)
	for _, a := range addrs {
		n.known[host] = append(n.known[host], netip.MustParseAddr(a))
	}
}

func (r *running) addressesOf(host string) []string {
	w := &world{t: r.t, store: r.store}
	var addrs []string
	if e := w.entry("registries/" + host); e != nil {
		for _, ep := range e.Endpoints {
			addrs = append(addrs, ep.Address)
		}
	}
	return addrs
}

func TestHostNamesAreFollowedAndKeepTheirLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &names{known: map[string][]netip.Addr{}, delay: 2 * time.Second}
		dns.set("app.example.com", "10.0.0.2", "10.0.0.1", "10.0.0.2")
		r := run(t, compile(t, ""), Options{Lookup: dns.lookup}, sources.Expected{Name: "a", Required: true})
		a := r.mirror.Sink("a")
		a.Scopes([]string{""})
		a.Snapshot("", []*sources.Service{service("orders", "app.example.com")}, nil)
		time.Sleep(time.Second)
		if snap, _ := r.store.Snapshot(); snap.Open {
			t.Error("the gate opened before the first answer")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		check := func(want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, r.addressesOf("orders.mesh")); diff != "" {
				t.Error(diff)
			}
		}
		check("10.0.0.1", "10.0.0.2")

		dns.set("app.example.com") // it fails
		time.Sleep(time.Minute)
		synctest.Wait()
		check("10.0.0.1", "10.0.0.2")

		dns.set("app.example.com", "10.0.0.9")
		time.Sleep(32 * time.Second)
		synctest.Wait()
		check("10.0.0.9")

		dns.set("new.example.com", "10.0.0.7")
		a.Update("", []*sources.Service{service("orders", "10.0.0.5", "new.example.com")}, nil)
		synctest.Wait()
		check("10.0.0.5")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		check("10.0.0.5", "10.0.0.7")
		if len(r.resolver.answers) != 1 {
			t.Errorf("names that nobody needs are still followed: %v", r.resolver.answers)
		}
		r.stop()
	})
}

func TestAHostNameKeepsItsAnswerOverARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		dns := &names{known: map[string][]netip.Addr{}}
		dns.set("app.example.com", "10.0.0.1")
		for _, known := range []bool{true, false} {
			if !known {
				dns.set("app.example.com")
			}
			r := run(t, compile(t, ""), Options{Lookup: dns.lookup, StateDir: dir}, sources.Expected{Name: "a"})
			time.Sleep(time.Minute) // the gate is open before the source reports
			synctest.Wait()
			a := r.mirror.Sink("a")
			a.Scopes([]string{""})
			a.Snapshot("", []*sources.Service{service("orders", "app.example.com")}, nil)
			time.Sleep(time.Second)
			synctest.Wait()
			if diff := cmp.Diff([]string{"10.0.0.1"}, r.addressesOf("orders.mesh")); diff != "" {
				t.Errorf("known %v: %s", known, diff)
			}
			r.stop()
		}
	})
}
