package store_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/store"
)

func key(host string) store.Key { return store.Key{Kind: store.ServiceEntry, Name: "ns/" + host} }

func resource(t testing.TB, host, content string) *store.Resource {
	t.Helper()
	r, err := store.New(store.Meta{Key: key(host), Host: host, Labels: map[string]string{"a": "b", store.RevisionLabel: "canary"}, Created: time.Unix(1, 0)},
		&networkingpb.ServiceEntry{Hosts: []string{host}, Addresses: []string{content}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnEntryIsAFieldOfBothProtocols(t *testing.T) {
	r := resource(t, "a.mesh", "10.0.0.1")
	var sotw discoverypb.DiscoveryResponse
	if err := proto.Unmarshal(slices.Concat(r.Entry(), r.Entry()), &sotw); err != nil {
		t.Fatal(err)
	}
	var delta discoverypb.Resource
	if err := proto.Unmarshal(protowire.AppendString(protowire.AppendTag(slices.Clone(r.Entry()), 3, protowire.BytesType), "ns/a.mesh"), &delta); err != nil {
		t.Fatal(err)
	}
	if len(sotw.Resources) != 2 || sotw.Resources[1].TypeUrl != store.ResourceType || !proto.Equal(sotw.Resources[0], delta.Resource) || delta.Name != "ns/a.mesh" {
		t.Errorf("state of the world %v, delta %v", &sotw, &delta)
	}
	msg, err := r.Message()
	if err != nil {
		t.Fatal(err)
	}
	var se networkingpb.ServiceEntry
	if err := msg.Body.UnmarshalTo(&se); err != nil {
		t.Fatal(err)
	}
	if msg.Metadata.Name != "ns/a.mesh" || msg.Metadata.Version != r.Version || r.Revision() != "canary" || se.Hosts[0] != "a.mesh" || msg.Metadata.CreateTime.Seconds != 1 {
		t.Errorf("%v with %v", msg, &se)
	}
}

func TestAVersionIsOfTheContentAlone(t *testing.T) {
	a, same, other := resource(t, "a.mesh", "1"), resource(t, "a.mesh", "1"), resource(t, "a.mesh", "2")
	if a.Version != same.Version || !slices.Equal(a.Entry(), same.Entry()) {
		t.Error("equal content, another version or other bytes")
	}
	if a.Version == other.Version {
		t.Error("other content, the same version")
	}
	relabelled, err := store.New(store.Meta{Key: key("a.mesh"), Host: "a.mesh", Labels: map[string]string{"a": "c"}, Created: time.Unix(1, 0)}, &networkingpb.ServiceEntry{Hosts: []string{"a.mesh"}, Addresses: []string{"1"}})
	if err != nil {
		t.Fatal(err)
	}
	if relabelled.Version == a.Version {
		t.Error("other labels, the same version")
	}
}

func TestAnEqualPutIsNoChange(t *testing.T) {
	s := store.NewStore()
	first := s.Apply(store.Change{Put: []*store.Resource{resource(t, "a.mesh", "1")}})
	_, stale := s.Snapshot()
	second := s.Apply(store.Change{Put: []*store.Resource{resource(t, "a.mesh", "1")}, Remove: []store.Removal{{Key: key("b.mesh"), Host: "b.mesh"}}})
	if first != second {
		t.Error("an equal put made a new snapshot")
	}
	select {
	case <-stale:
		t.Error("an equal put woke the readers")
	default:
	}
	if third := s.Apply(store.Change{Open: true}); third == second || !third.Open {
		t.Error("the gate did not open")
	}
	select {
	case <-stale:
	default:
		t.Error("the readers were not woken")
	}
}

func TestAGateIsNoneOfTheVersionAndAnEqualPutKeepsTheOldOne(t *testing.T) {
	gated := func(content string, gate store.Gate, sources ...string) *store.Resource {
		r, err := store.New(store.Meta{Key: key("a.mesh"), Host: "a.mesh", Gate: gate, Sources: sources}, &networkingpb.ServiceEntry{Addresses: []string{content}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	s := store.NewStore()
	old, late := store.Gate{Generation: 1, Since: time.Unix(1, 0)}, store.Gate{Generation: 2, Since: time.Unix(2, 0)}
	first := s.Apply(store.Change{Put: []*store.Resource{gated("1", old)}})
	if again := s.Apply(store.Change{Put: []*store.Resource{gated("1", late)}}); again != first {
		t.Error("another gate alone is a change")
	}
	if got := first.Lookup(key("a.mesh"), "a.mesh").Gate; got != old {
		t.Errorf("the gate is %+v, not the first one", got)
	}
	second := s.Apply(store.Change{Put: []*store.Resource{gated("2", late)}})
	if got := second.Lookup(key("a.mesh"), "a.mesh").Gate; second == first || got != late {
		t.Errorf("another value has the gate %+v", got)
	}
	if third := s.Apply(store.Change{Put: []*store.Resource{gated("2", late, "eureka")}}); third == second {
		t.Error("another source is no change")
	}
}

// Against a plain map, over random changes: the content, every shard, and the differences from every older snapshot.
func TestASnapshotIsWhatWasAppliedAndSinceIsTheDifference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := store.NewStore()
	type state struct {
		snapshot *store.Snapshot
		content  map[string]string
	}
	current := map[string]string{}
	empty, _ := s.Snapshot()
	history := []state{{empty, map[string]string{}}}
	for range 300 {
		var c store.Change
		for range rng.IntN(20) {
			host := fmt.Sprintf("h%d.mesh", rng.IntN(200))
			if rng.IntN(3) == 0 {
				c.Remove = append(c.Remove, store.Removal{Key: key(host), Host: host})
				delete(current, host)
			}
		}
		for range rng.IntN(20) {
			host, content := fmt.Sprintf("h%d.mesh", rng.IntN(200)), fmt.Sprint(rng.IntN(5))
			r := resource(t, host, content)
			c.Put = append(c.Put, r)
			current[host] = r.Version
		}
		history = append(history, state{s.Apply(c), maps.Clone(current)})
	}
	for i, st := range history {
		got := map[string]string{}
		for r := range st.snapshot.All(store.ServiceEntry, store.Shard{}) {
			got[r.Host] = r.Version
			if st.snapshot.Lookup(r.Key, r.Host) != r {
				t.Fatalf("lookup of %s finds another", r.Name)
			}
		}
		if diff := cmp.Diff(st.content, got); diff != "" {
			t.Fatalf("state %d: %s", i, diff)
		}
		if st.snapshot.Len(store.ServiceEntry) != len(st.content) {
			t.Fatalf("state %d counts %d of %d", i, st.snapshot.Len(store.ServiceEntry), len(st.content))
		}
		for _, of := range []int{1, 7, 64, 256} {
			n := 0
			for index := range of {
				for r := range st.snapshot.All(store.ServiceEntry, store.Shard{Index: index, Of: of}) {
					n++
					if !(store.Shard{Index: index, Of: of}).Has(store.Slot(r.Host)) {
						t.Fatalf("%s is not of shard %d of %d", r.Host, index, of)
					}
				}
			}
			if n != len(st.content) {
				t.Fatalf("%d shards hold %d of %d resources", of, n, len(st.content))
			}
		}
		old := history[rng.IntN(i+1)]
		rebuilt := maps.Clone(old.content)
		for d := range st.snapshot.Since(old.snapshot, store.ServiceEntry) {
			if d.New == nil {
				delete(rebuilt, d.Old.Host)
			} else {
				rebuilt[d.New.Host] = d.New.Version
			}
		}
		if diff := cmp.Diff(st.content, rebuilt); diff != "" {
			t.Fatalf("state %d from an older one: %s", i, diff)
		}
	}
}

func TestHostsSpreadEvenlyOverSlots(t *testing.T) {
	counts := make([]int, 16)
	for i := range 16000 {
		counts[store.Slot(fmt.Sprintf("service-%d.registries.mesh", i))%16]++
	}
	for i, n := range counts {
		if n < 850 || n > 1150 {
			t.Errorf("slot %d of 16 has %d of 16000 hosts", i, n)
		}
	}
}

func TestAKindIsReadFromATypeURLOfAnyVersion(t *testing.T) {
	for url, want := range map[string]store.Kind{
		"networking.istio.io/v1/ServiceEntry":       store.ServiceEntry,
		"networking.istio.io/v1alpha3/ServiceEntry": store.ServiceEntry,
		"core/v1alpha1/MeshConfig":                  {Group: "core", Kind: "MeshConfig"},
		"":                                          {},
		"a/b":                                       {},
		"//":                                        {},
		"type.googleapis.com/envoy.config.cluster.v3.Cluster": {},
		"a/b/c/d": {},
	} {
		if got, ok := store.KindOf(url); got != want || ok != (want != store.Kind{}) {
			t.Errorf("%q: %v, %v", url, got, ok)
		}
	}
}

func BenchmarkApplyOneChange(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := store.NewStore()
			var all []*store.Resource
			for i := range n {
				all = append(all, resource(b, fmt.Sprintf("h%d.mesh", i), "1"))
			}
			s.Apply(store.Change{Put: all})
			flip := []*store.Resource{resource(b, "h7.mesh", "2"), resource(b, "h7.mesh", "3")}
			i := 0
			for b.Loop() {
				old, _ := s.Snapshot()
				s.Apply(store.Change{Put: flip[i%2 : i%2+1]})
				now, _ := s.Snapshot()
				for d := range now.Since(old, store.ServiceEntry) {
					_ = d
				}
				i++
			}
		})
	}
}
