package convert

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// start is when worlds begin.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is an engine with reports that a test makes, a store and a clock.
type world struct {
	t       testing.TB
	engine  *engine
	reports map[sources.Ref]*sources.Service
	changes map[sources.Ref]time.Time
	names   map[string][]netip.Addr
	store   *store.Store
	disk    map[string]string
	now     time.Time
	open    bool
}

func newWorld(t testing.TB, rules *Rules) *world {
	w := &world{t: t, reports: map[sources.Ref]*sources.Service{}, changes: map[sources.Ref]time.Time{}, store: store.NewStore(),
		names: map[string][]netip.Addr{}, disk: map[string]string{}, now: start, open: true}
	w.engine = newEngine(rules, func(ref sources.Ref) *sources.Service { return w.reports[ref] }, func(host string) []netip.Addr { return w.names[host] })
	return w
}

// compile makes rules from YAML, with sources a and b where it names none.
func compile(t testing.TB, config string) *Rules {
	t.Helper()
	return parseCase(t, config, "a: []\nb: []\n", "").rules
}

func (w *world) put(source string, s *sources.Service) {
	ref := sources.Ref{Source: source, Key: s.Key}
	w.reports[ref] = s
	w.changes[ref] = w.now
}

func (w *world) gone(source string, key sources.Key) {
	ref := sources.Ref{Source: source, Key: key}
	delete(w.reports, ref)
	w.changes[ref] = w.now
}

// step lets the engine work and applies what it makes.
func (w *world) step() store.Change {
	w.t.Helper()
	var changes []sources.Change
	for _, ref := range slices.SortedFunc(maps.Keys(w.changes), compareRefs) {
		changes = append(changes, sources.Change{Ref: ref, Service: w.reports[ref], At: w.changes[ref]})
	}
	clear(w.changes)
	c := w.engine.step(changes, w.open, w.now)
	w.engine.applied(w.store.Apply(c))
	for host, raw := range w.engine.saves {
		if raw == "" {
			delete(w.disk, host)
		} else {
			w.disk[host] = raw
		}
	}
	return c
}

// restart is the same world with a new engine that knows only what is on disk.
func (w *world) restart() *world {
	next := newWorld(w.t, w.engine.rules)
	next.reports, next.names, next.now = w.reports, w.names, w.now
	for ref := range w.reports {
		next.changes[ref] = w.now
	}
	if damaged := next.engine.load(maps.Clone(w.disk)); damaged != nil {
		w.t.Errorf("damaged records: %v", damaged)
	}
	next.disk = maps.Clone(w.disk)
	return next
}

// state is what is served: name and version of every resource.
func (w *world) state() map[store.Key]string { return stateOf(w.store) }

func stateOf(s *store.Store) map[store.Key]string {
	snap, _ := s.Snapshot()
	all := map[store.Key]string{}
	for _, kind := range store.Kinds() {
		for r := range snap.All(kind, store.Shard{}) {
			all[r.Key] = r.Version
		}
	}
	return all
}

func (w *world) entry(name string) *networkingpb.ServiceEntry {
	w.t.Helper()
	return lookupSpec[*networkingpb.ServiceEntry](w, store.ServiceEntry, name)
}

func (w *world) rule(name string) *networkingpb.DestinationRule {
	w.t.Helper()
	return lookupSpec[*networkingpb.DestinationRule](w, store.DestinationRule, name)
}

// lookupSpec finds a resource's spec by namespace/name, or nil.
func lookupSpec[T proto.Message](w *world, kind store.Kind, name string) T {
	w.t.Helper()
	var none T
	snap, _ := w.store.Snapshot()
	for r := range snap.All(kind, store.Shard{}) {
		if r.Name == name {
			spec, err := decodeResource(w.t, r).Body.UnmarshalNew()
			if err != nil {
				w.t.Fatal(err)
			}
			return spec.(T)
		}
	}
	return none
}

// service makes a service of HTTP instances at the given addresses; "v1@10.0.0.1" has metadata version v1.
func service(name string, instances ...string) *sources.Service {
	s := &sources.Service{Key: sources.Key{Name: name}}
	for i, text := range instances {
		in := sources.Instance{ID: fmt.Sprintf("i%03d", i), Address: text, Ports: []sources.Port{{Protocol: "http", Number: 8080}},
			Weight: sources.DefaultWeight, Healthy: true, Enabled: true}
		for j := range len(text) {
			if text[j] == '@' {
				in.Metadata, in.Address = map[string]string{"version": text[:j]}, text[j+1:]
			}
		}
		s.Instances = append(s.Instances, in)
	}
	return s
}
