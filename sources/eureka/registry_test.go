package eureka

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/sources"
)

// at is a member of a version and a time.
func at(id string, updated int64, version string) member {
	return member{id: id, status: up, updated: updated, body: pack(sources.Instance{
		Address: "10.0.0.1", Ports: []sources.Port{{Number: 80}}, Weight: 100, Healthy: true, Enabled: true, Metadata: map[string]string{"version": version},
	})}
}

// versions are the IDs and versions of an application's members.
func versions(r *registry, app string) []string {
	var all []string
	for _, m := range r.apps[app] {
		i, _ := m.unpack()
		all = append(all, m.id+" "+i.Metadata["version"])
	}
	return all
}

func TestADeltaIsAppliedInItsOrderAndNeverBackwards(t *testing.T) {
	for _, test := range []struct {
		what    string
		delta   []entry
		want    []string
		changed int
	}{
		{"nothing", nil, []string{"a v1", "b v1"}, 0},
		{"what is known", []entry{{"X", at("a", 10, "v1"), false}}, []string{"a v1", "b v1"}, 0},
		{"a later time alone", []entry{{"X", at("a", 11, "v1"), false}}, []string{"a v1", "b v1"}, 0},
		{"a change", []entry{{"X", at("a", 11, "v2"), false}}, []string{"a v2", "b v1"}, 1},
		{"a change of the same time", []entry{{"X", at("a", 10, "v2"), false}}, []string{"a v2", "b v1"}, 1},
		{"an older change", []entry{{"X", at("a", 9, "v0"), false}}, []string{"a v1", "b v1"}, 0},
		{"an older removal", []entry{{"X", at("a", 9, "v0"), true}}, []string{"a v1", "b v1"}, 0},
		{"a removal", []entry{{"X", at("a", 11, "v1"), true}}, []string{"b v1"}, 1},
		{"a removal of nothing", []entry{{"X", at("z", 11, "v1"), true}}, []string{"a v1", "b v1"}, 0},
		{"all removals", []entry{{"X", at("a", 11, "v1"), true}, {"X", at("b", 11, "v1"), true}}, nil, 1},
		{"something new", []entry{{"X", at("aa", 11, "v1"), false}}, []string{"a v1", "aa v1", "b v1"}, 1},
		{"removed and added again", []entry{{"X", at("a", 11, "v1"), true}, {"X", at("a", 12, "v2"), false}}, []string{"a v2", "b v1"}, 1},
		{"removed and added again as it was", []entry{{"X", at("a", 11, "v1"), true}, {"X", at("a", 12, "v1"), false}}, []string{"a v1", "b v1"}, 0},
		{"added, then removed before", []entry{{"X", at("a", 12, "v2"), false}, {"X", at("a", 11, "v1"), true}}, []string{"a v2", "b v1"}, 1},
		{"removed, then added before", []entry{{"X", at("a", 12, "v1"), true}, {"X", at("a", 11, "v2"), false}}, []string{"b v1"}, 1},
	} {
		r := (&builder{apps: map[string][]member{"X": {at("b", 10, "v1"), at("a", 10, "v1")}, "Y": {at("a", 10, "v1")}}}).registry()
		next := r.revise(test.delta)
		if diff := cmp.Diff([]string{"a v1", "b v1"}, versions(r, "X")); diff != "" {
			t.Errorf("%s: the registry was changed before it was to be (-want +got):\n%s", test.what, diff)
		}
		changed := r.apply(next)
		if diff := cmp.Diff(test.want, versions(r, "X")); diff != "" || len(changed) != test.changed {
			t.Errorf("%s: %d changed, want %d (-want +got):\n%s", test.what, len(changed), test.changed, diff)
		}
		if want := fmt.Sprintf("UP_%d_", len(test.want)+1); r.counts.hash() != want || next.counts.hash() != want {
			t.Errorf("%s: hash %s, want %s", test.what, r.counts.hash(), want)
		}
		if _, found := r.apps["X"]; found && len(test.want) == 0 {
			t.Errorf("%s: an application without members is kept", test.what)
		}
	}
}

func TestAnInstanceIsUnpackedAsItWasPacked(t *testing.T) {
	i := sources.Instance{
		ID: "a", Address: "10.0.0.1", Ports: []sources.Port{{Number: 80}, {Protocol: "https", Number: 65535}}, Weight: 1000000,
		Metadata: map[string]string{"": "empty", "key": "", "long": string(make([]byte, 300)), "umlaut": "ü"}, Healthy: true, Locality: "eu/eu-1",
	}
	m := member{id: "a", body: pack(i)}
	got, reason := m.unpack()
	if diff := cmp.Diff(i, got); diff != "" || reason != "" {
		t.Errorf("got %s (-want +got):\n%s", reason, diff)
	}
	if m.endpoint() == "" || m.endpoint() != (member{body: pack(sources.Instance{Address: i.Address, Ports: i.Ports, Weight: 1})}).endpoint() {
		t.Error("two instances at one place differ in their endpoints")
	}
	if _, reason := (member{body: packFault("no port")}).unpack(); reason != "no port" {
		t.Errorf("got %q", reason)
	}
}

// However a registry changes, what a follower reports after a quiet poll is what a reader of everything would report.
func TestRandomHistoriesEndInTheTruth(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			s := newServer()
			s.put("KEEP", "1", nil)
			b := follow(t, nil, s)
			for range 40 {
				for range random.IntN(6) {
					mutate(s, random)
				}
				b.after(time.Duration(random.IntN(90)) * time.Second)
			}
			s.fault(nil)
			got := b.after(6 * time.Minute)
			want, _ := listed(t, string(s.body("/apps")))
			p := got
			p.Services = want.services(Scope)
			if diff := cmp.Diff(written(p), written(got)); diff != "" || got.States[Scope] != nil {
				t.Errorf("seed %d: state %v (-want +got):\n%s", seed, got.States[Scope], diff)
			}
			if got.Snapshots[Scope] != 1 {
				t.Errorf("seed %d: %d snapshots", seed, got.Snapshots[Scope])
			}
		})
	}
}

// mutate changes one thing at random, and at times the way that the server answers.
func mutate(s *server, random *rand.Rand) {
	app, id := fmt.Sprintf("APP%d", random.IntN(4)), fmt.Sprint(random.IntN(6)+1)
	switch random.IntN(12) {
	case 0, 1, 2:
		s.put(app, id, nil)
	case 3, 4:
		s.put(app, id, func(r *registered) { r.metadata["version"] = fmt.Sprint(random.IntN(3)) })
	case 5:
		s.put(app, id, func(r *registered) { r.status = statuses()[random.IntN(statusCount)] })
	case 6:
		s.put(app, id, func(r *registered) { r.port = random.IntN(3) }) // 0 is none
	case 7, 8:
		s.remove(app, id)
	case 9:
		s.remove(app, id)
		s.put(app, id, nil)
	case 10:
		s.fault(nil)
	default:
		switch random.IntN(4) {
		case 0:
			s.fault(refused)
		case 1:
			s.restart()
		case 2:
			for i := range 6 {
				s.remove(app, fmt.Sprint(i+1))
			}
		}
	}
}
