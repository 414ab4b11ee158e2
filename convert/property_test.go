package convert

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// The rules of the property tests: several sources, one of them with hosts per instance, aliases, pins and subsets.
const propertyRules = `
mesh: {vips: [244.0.0.0/6, "fd00:1::/64"]}
retainEmpty: 0s
subsets: {labels: [version, zone], retain: 0s, max: 20}
sources:
- {name: a, overrides: [{service: "s1*", aliases: [alias.example.com], subsets: all}]}
- {name: b, priority: 3, namespace: "ns-{{.Metadata.version}}", labels: {include: ["*"]}}
- {name: c, host: "{{.Service}}.{{.Metadata.version}}.{{.Domain}}", overrides: [{service: "s2", address: 244.0.0.77}]}
- {name: d, declared: true, instances: {selector: "zone!=z1"}}
`

// otherRules take the place of propertyRules for a while.
const otherRules = `
mesh: {vips: [10.0.0.0/8]}
retainEmpty: 0s
subsets: {labels: [zone], retain: 0s, discover: all}
sources:
- {name: a, services: {exclude: ["s2*"]}, ports: {http: 8000}}
- {name: c, priority: 9, overrides: [{service: "*", aliases: [alias.example.com]}]}
`

// randomService makes a service of a small vocabulary, so that names, hosts and addresses meet.
func randomService(r *rand.Rand, source string) *sources.Service {
	names := []string{"s1", "S1", "s_1", "s-1", "s2", "s.2", "s2-x", "S_1"}
	protocols := []string{"http", "dubbo", "tri", "hessian", "grpc", ""}
	s := &sources.Service{Key: sources.Key{Scope: source, Name: names[r.IntN(len(names))], Group: []string{"", "g"}[r.IntN(2)]}}
	web := ""
	if r.IntN(4) == 0 {
		web = "web"
		s.Ports = []sources.Port{{Name: web, Protocol: protocols[r.IntN(len(protocols))], Number: uint32(r.IntN(2) * 80)}}
	}
	for i := range r.IntN(5) {
		in := sources.Instance{ID: fmt.Sprintf("i%d", i), Address: fmt.Sprintf("10.0.0.%d", r.IntN(6)), Weight: uint32(r.IntN(4)) * 50,
			Healthy: r.IntN(8) > 0, Enabled: r.IntN(8) > 0, Locality: []string{"", "eu/eu-1"}[r.IntN(2)],
			Metadata: map[string]string{"version": fmt.Sprintf("v%d", r.IntN(3)), "zone": fmt.Sprintf("z%d", r.IntN(2))}}
		for range r.IntN(3) {
			in.Ports = append(in.Ports, sources.Port{Name: web, Protocol: protocols[r.IntN(len(protocols))], Number: uint32(8080 + r.IntN(3))})
		}
		s.Instances = append(s.Instances, in)
	}
	return s
}

// randomReports are the services of all sources.
func randomReports(r *rand.Rand, n int) map[sources.Ref]*sources.Service {
	reports := map[sources.Ref]*sources.Service{}
	for range n {
		source := []string{"a", "b", "c", "d"}[r.IntN(4)]
		s := randomService(r, source)
		reports[sources.Ref{Source: source, Key: s.Key}] = s
	}
	return reports
}

func TestAnyOrderOfArrivalBeforeTheGateGivesTheSameBytes(t *testing.T) {
	rules := compile(t, propertyRules)
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		reports := randomReports(r, 12)
		refs := slices.SortedFunc(maps.Keys(reports), compareRefs)
		var want map[store.Key]string
		for range 4 {
			r.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
			w := newWorld(t, rules)
			w.open = false
			for _, ref := range refs {
				if r.IntN(3) == 0 {
					w.put(ref.Source, randomService(r, ref.Source)) // what comes and changes before is forgotten
					w.step()
				}
			}
			for ref := range w.reports {
				if reports[ref] == nil {
					w.gone(ref.Source, ref.Key)
				}
			}
			for _, ref := range refs {
				w.put(ref.Source, reports[ref])
				if r.IntN(2) == 0 {
					w.step()
				}
			}
			w.open = true
			w.step()
			if want == nil {
				want = w.state()
			} else if diff := cmp.Diff(want, w.state()); diff != "" {
				t.Fatalf("seed %d: another order, another outcome:\n%s", seed, diff)
			}
		}
	}
}

func TestChangesOneByOneEndWhereAFreshStartDoes(t *testing.T) {
	rules, other := compile(t, propertyRules), compile(t, otherRules)
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t, rules)
		for range 40 {
			w.now = w.now.Add(time.Second)
			if r.IntN(10) == 0 {
				w.engine.adopt([]*Rules{rules, other}[r.IntN(2)], w.now)
			}
			source := []string{"a", "b", "c", "d"}[r.IntN(4)]
			refs := slices.SortedFunc(maps.Keys(w.reports), compareRefs)
			if len(refs) > 0 && r.IntN(4) == 0 {
				ref := refs[r.IntN(len(refs))]
				w.gone(ref.Source, ref.Key)
			} else {
				w.put(source, randomService(r, source))
			}
			if r.IntN(3) > 0 {
				w.step()
			}
		}
		w.engine.adopt(rules, w.now)
		w.step()
		w.rest()
		services := map[string][]*sources.Service{}
		for ref, s := range w.reports {
			services[ref.Source] = append(services[ref.Source], s)
		}
		result := Convert(context.Background(), rules, services, nil, nil)
		fresh := store.NewStore()
		fresh.Apply(store.Change{Put: result.Resources})
		if diff := cmp.Diff(stateOf(fresh), w.state()); diff != "" {
			t.Fatalf("seed %d (-fresh +changed):\n%s", seed, diff)
		}
		if diff := cmp.Diff(result.Rejected, w.engine.rejections()); diff != "" {
			t.Fatalf("seed %d: rejections (-fresh +changed):\n%s", seed, diff)
		}
		checkCounts(t, w.engine)
	}
}

// checkCounts compares the kept counts with what there is.
func checkCounts(t *testing.T, e *engine) {
	t.Helper()
	want := map[classCount]int{}
	add := func(r rejections) {
		for _, c := range r.counts {
			want[classCount{source: c.source, class: c.class}] += c.count
		}
	}
	for _, s := range e.hosts.all {
		add(s.rejected)
	}
	for _, r := range e.refs {
		add(r.rejected)
	}
	for c, n := range e.count {
		if n == 0 {
			delete(e.count, c)
		}
	}
	if diff := cmp.Diff(want, e.count, cmp.AllowUnexported(classCount{})); diff != "" {
		t.Errorf("counts: %s", diff)
	}
}

func TestAChangeConvertsOnlyTheHostsOfItsService(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	for i := range 500 {
		w.put("a", service(fmt.Sprintf("s%d", i), "10.0.0.1"))
	}
	w.step()
	w.engine.built = 0
	w.put("a", service("s7", "10.0.0.1", "10.0.0.2"))
	c := w.step()
	if w.engine.built != 1 || len(c.Put) != 1 || c.Put[0].Host != "s7.mesh" {
		t.Errorf("built %d, put %v", w.engine.built, c.Put)
	}
}

func TestARestartAtAnyTimeLosesNothing(t *testing.T) {
	config := strings.ReplaceAll(propertyRules, "0s", "1m")
	rules := compile(t, strings.Replace(config, "[244.0.0.0/6, \"fd00:1::/64\"]", "[10.9.8.0/27]", 1))
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 5))
		w := newWorld(t, rules)
		for range 30 {
			w.now = w.now.Add(time.Duration(r.IntN(20)) * time.Second)
			source := []string{"a", "b", "c", "d"}[r.IntN(4)]
			refs := slices.SortedFunc(maps.Keys(w.reports), compareRefs)
			if len(refs) > 0 && r.IntN(3) == 0 {
				ref := refs[r.IntN(len(refs))]
				w.gone(ref.Source, ref.Key)
			} else {
				w.put(source, randomService(r, source))
			}
			w.step()
			if r.IntN(8) == 0 {
				before := w.state()
				next := w.restart()
				next.step()
				if diff := cmp.Diff(before, next.state()); diff != "" {
					t.Fatalf("seed %d: the restart changed (-before +after):\n%s", seed, diff)
				}
				w = next
			}
		}
	}
}
