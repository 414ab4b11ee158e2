package convert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/convert/canary"
	"meshbridge/convert/rollout"
	"meshbridge/sources"
)

const teamsConfig = `
subsets: {retain: 1m}
retainEmpty: 1m
sources: [{name: a, host: "{{.Service}}.mesh", namespace: "{{.Namespace}}"}]
canary: {teams: [{name: red, files: [red/], services: ["*"]}, {name: blue, files: [blue/], services: ["*"]}]}
`

// Documents of several teams that get in each other's way everywhere come and go with their hosts, in another order and at other
// times on two replicas, each of which is restarted at times. In the end both, and a bridge that starts then, serve the same
// bytes and tell the same.
func TestDecisionsBetweenDocumentsAreTheSameOnEveryReplica(t *testing.T) {
	superseded, lost := 0, 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 9))
		services := randomServices(r)
		entries := acceptable(t, services, randomEntries(r, 8))
		present := slices.DeleteFunc(slices.Clone(services), func(*sources.Service) bool { return r.IntN(8) == 0 })
		entries = acceptable(t, present, entries)
		var worlds []*world
		for range 2 {
			worlds = append(worlds, wander(t, r, services, present, entries))
		}
		fresh := newWorld(t, compile(t, teamsConfig))
		for _, s := range present {
			fresh.put("a", s)
		}
		fresh.documents(entries...)
		fresh.rest()
		again := worlds[0].restart()
		again.documents(entries...)
		again.rest()
		for name, other := range map[string]*world{"the other replica": worlds[1], "a new bridge": fresh, "the same, restarted": again} {
			if diff := cmp.Diff(worlds[0].state(), other.state()); diff != "" {
				t.Fatalf("seed %d, %s (-one +other):\n%s", seed, name, diff)
			}
			if diff := cmp.Diff(worlds[0].told(), other.told()); diff != "" {
				t.Fatalf("seed %d, what %s tells (-one +other):\n%s", seed, name, diff)
			}
		}
		for _, v := range fresh.engine.canaries() {
			if v.State == CanarySuperseded {
				superseded++
			}
			lost += len(v.Findings)
		}
	}
	if superseded < 50 || lost < 200 {
		t.Errorf("only %d documents lost to others, in %d places: this shows little", superseded, lost)
	}
}

// wander is a world that comes to the given services and documents by a way of its own.
func wander(t *testing.T, r *rand.Rand, services, present []*sources.Service, entries []canary.Entry) *world {
	w := newWorld(t, compile(t, teamsConfig))
	w.documents()
	for range 12 {
		switch s := services[r.IntN(len(services))]; r.IntN(4) {
		case 0, 1:
			w.put("a", s)
		case 2:
			w.gone("a", s.Key)
		case 3:
			w = w.restart()
			w.documents()
		}
		some := slices.Clone(entries)
		r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		some = some[:r.IntN(len(some)+1)]
		for i := range some {
			if r.IntN(3) == 0 {
				other := randomEntries(r, 1)[0]
				some[i].Document = other.Document
			}
		}
		w.documents(some...)
		if r.IntN(4) > 0 {
			w.step()
		}
		w.now = w.now.Add(time.Duration(r.IntN(40)) * time.Second)
	}
	for _, s := range services {
		if slices.Contains(present, s) {
			w.put("a", s)
		} else {
			w.gone("a", s.Key)
		}
	}
	r.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	w.documents(slices.Clone(entries)...)
	w.rest()
	return w
}

// rest lets the time go by that retained things stay, and transitions take.
func (w *world) rest() {
	w.t.Helper()
	config := w.engine.rules.config
	for range 8 {
		w.step()
		w.now = w.now.Add(rollout.Keep(config.Canary.Settle) + config.RetainEmpty + config.Subsets.Retain)
	}
	w.step()
}

// told is what views say, without times.
func (w *world) told() []CanaryView {
	views := w.engine.canaries()
	for i := range views {
		views[i].Since = nil
	}
	return views
}

// acceptable are the entries that a bridge which starts now finds nothing wrong with.
func acceptable(t *testing.T, services []*sources.Service, entries []canary.Entry) []canary.Entry {
	w := newWorld(t, compile(t, teamsConfig))
	for _, s := range services {
		w.put("a", s)
	}
	w.documents(entries...)
	w.step()
	return slices.DeleteFunc(entries, func(e canary.Entry) bool {
		doc := w.engine.documents.all[keyOf(e.Team, e.Name)]
		return doc == nil || !doc.settled()
	})
}

func randomServices(r *rand.Rand) (all []*sources.Service) {
	for i := range 6 {
		var instances []string
		for j := range 1 + r.IntN(5) {
			instances = append(instances, fmt.Sprintf("v%d@10.0.%d.%d", 1+r.IntN(3), i, j+1))
		}
		s := service(fmt.Sprintf("s%d", i), instances...)
		s.Key.Namespace = fmt.Sprintf("ns%d", r.IntN(2))
		all = append(all, s)
	}
	return all
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomEntries are documents of two teams and of none, each name once in each team.
func randomEntries(r *rand.Rand, n int) (entries []canary.Entry) {
	names := map[string]bool{}
	for len(entries) < n {
		team := pick(r, "red", "blue", "")
		d := canary.Document{Name: "shared", Fallback: pick(r, canary.FallbackPrimary, canary.FallbackFailover, canary.FallbackNone)}
		if r.IntN(4) > 0 {
			d.Name = fmt.Sprintf("%s%d", pick(r, "a", "z"), r.IntN(6))
			if team != "" {
				d.Name += "-" + team
			}
		}
		if names[keyOf(team, d.Name)] {
			continue
		}
		names[keyOf(team, d.Name)] = true
		for _, i := range r.Perm(6)[:1+r.IntN(2)] {
			d.Services = append(d.Services, fmt.Sprintf("s%d.mesh", i))
		}
		if r.IntN(3) == 0 {
			d.Services = append(d.Services, pick(r, "*", "*.mesh", "s*.mesh", "s?.mesh", "s1*"))
		}
		if r.IntN(2) == 0 {
			d.Primary = primary(pick(r, "v1", "v2"))
		}
		for range r.IntN(3) {
			c := canary.Canary{Version: pick(r, "v2", "v3"), Name: pick(r, "", "", "gray")}
			if d.Fallback == canary.FallbackFailover {
				c.Name = "pool-" + c.Version // the primary of another document may be the version itself
			}
			if r.IntN(3) > 0 {
				c.Headers = map[string]canary.Match{"x": {Exact: pick(r, "a", "b")}}
			}
			if r.IntN(3) == 0 {
				c.Weight = 30
			}
			d.Canaries = append(d.Canaries, c)
		}
		if d.Name != "shared" {
			d.Expose = randomExposures(r, d.Services)
		}
		entries = append(entries, canary.Entry{Name: d.Name, Team: team, File: keyOf(team, d.Name) + ".yaml", Document: &d})
	}
	return entries
}

func randomExposures(r *rand.Rand, services []string) (all []canary.Expose) {
	for range r.IntN(3) {
		e := canary.Expose{Gateway: pick(r, "ops/app", "ops/other"), Hosts: []string{pick(r, "*", "*.example.com", "shop.example.com", "Shop.example.com")},
			Prefix: pick(r, "/", "/a", "/a/b", "/b"), Service: services[0]}
		if r.IntN(4) == 0 {
			e = canary.Expose{Delegate: pick(r, "routes", "others"), Service: services[0]}
		}
		if !slices.ContainsFunc(all, func(o canary.Expose) bool { return e.Delegate != "" && o.Delegate == e.Delegate }) {
			all = append(all, e)
		}
	}
	return all
}
