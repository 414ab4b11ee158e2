package convert

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// small is a range of 14 addresses, in which hosts soon meet.
const small = "mesh: {vips: [10.9.8.0/28]}\nretainEmpty: 0s"

func (w *world) addresses() map[string]string {
	all := map[string]string{}
	for _, s := range w.engine.hosts.all {
		if len(s.addrs) > 0 {
			all[s.name] = joinAddrs(s.addrs)
		}
	}
	return all
}

func TestInASmallRangeAClashMovesNobodyButTheNewcomer(t *testing.T) {
	w := newWorld(t, compile(t, small))
	r := newRange(netip.MustParsePrefix("10.9.8.0/28"))
	clashes := 0
	for i := range 14 {
		before := w.addresses()
		host := fmt.Sprintf("s%d.mesh", i)
		w.put("a", service(fmt.Sprintf("s%d", i), "10.0.0.1"))
		w.step()
		after := w.addresses()
		got := after[host]
		delete(after, host)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("%s moved others: %s", host, diff)
		}
		taken := slices.Contains(slices.Collect(maps.Values(before)), r.pure(host).String())
		if taken != (got != r.pure(host).String()) {
			t.Errorf("%s has %s; its own is %s, taken: %v", host, got, r.pure(host), taken)
		}
		if taken {
			clashes++
			if !strings.Contains(rejectedText(w.engine.rejections()), host+" [vip] its address by hash is taken by ") {
				t.Errorf("the clash of %s is not told: %v", host, w.engine.rejections())
			}
		}
		if addr := netip.MustParseAddr(got); addr == r.prefix.Addr() || addr == netip.MustParseAddr("10.9.8.15") {
			t.Errorf("%s is the network's or the broadcast address", got)
		}
	}
	if clashes == 0 || len(w.engine.vips.moved) != clashes {
		t.Errorf("%d clashes, %d of them kept on disk", clashes, len(w.engine.vips.moved))
	}

	w.put("a", service("one-too-many", "10.0.0.1"))
	w.step()
	if w.entry("registries/one-too-many.mesh") != nil || len(w.addresses()) != 14 {
		t.Errorf("a full range gave an address: %v", w.addresses())
	}
	if text := rejectedText(w.engine.rejections()); !strings.Contains(text, "[vip] mesh.vips has no free address left") {
		t.Errorf("the full range is not told: %s", text)
	}
}

func TestAHostKeepsItsAddressWhenTheOneItGaveWayToGoes(t *testing.T) {
	w := newWorld(t, compile(t, small))
	for i := range 14 {
		w.put("a", service(fmt.Sprintf("s%d", i), "10.0.0.1"))
		w.step()
	}
	before := w.addresses()
	for host := range w.engine.vips.moved {
		owner := w.engine.vips.taken[w.engine.vips.ranges[0].pure(host)]
		w.gone("a", sources.Key{Name: strings.TrimSuffix(owner, ".mesh")})
		delete(before, owner)
		break
	}
	w.step()
	if diff := cmp.Diff(before, w.addresses()); diff != "" {
		t.Error(diff)
	}
	next := w.restart()
	next.step()
	if diff := cmp.Diff(before, next.addresses()); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
	if len(next.disk) != len(next.engine.vips.moved) {
		t.Errorf("on disk %v, moved %v", next.disk, next.engine.vips.moved)
	}
}

func TestTheFirstBuildGivesAddressesWithoutRegardToOrder(t *testing.T) {
	var want map[string]string
	for seed := range uint64(20) {
		w := newWorld(t, compile(t, small))
		w.open = false
		for _, i := range rand.New(rand.NewPCG(seed, 3)).Perm(14) {
			w.put("a", service(fmt.Sprintf("s%d", i), "10.0.0.1"))
			w.step()
		}
		w.open = true
		w.step()
		if want == nil {
			want = w.addresses()
		} else if diff := cmp.Diff(want, w.addresses()); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}

func TestAPinnedAddressMovesWhoeverHasIt(t *testing.T) {
	w := newWorld(t, compile(t, small))
	w.put("a", service("s1", "10.0.0.1"))
	w.step()
	pin := w.addresses()["s1.mesh"]
	w.engine.adopt(compile(t, small+"\nsources: [{name: a, overrides: [{service: \"s*0\", address: "+pin+"}]}]"), w.now)
	w.put("a", service("s20", "10.0.0.2"))
	w.step()
	if a := w.addresses(); a["s20.mesh"] != pin || a["s1.mesh"] == pin || a["s1.mesh"] == "" {
		t.Errorf("%v, want %s for s20.mesh", a, pin)
	}

	w.put("a", service("s10", "10.0.0.3"))
	w.step()
	if a := w.addresses(); a["s10.mesh"] != pin || a["s20.mesh"] == pin {
		t.Errorf("%v, want %s for s10.mesh, the first of those that pin it", a, pin)
	}
	if text := rejectedText(w.engine.rejections()); !strings.Contains(text, "s20.mesh [vip] address "+pin+" is pinned by another host too") {
		t.Errorf("the refused pin is not told: %s", text)
	}
	w.gone("a", sources.Key{Name: "s10"})
	w.step()
	if a := w.addresses(); a["s20.mesh"] != pin {
		t.Errorf("%v, want %s for s20.mesh again", a, pin)
	}
}

// full is a range of two addresses.
const full = "mesh: {vips: [10.9.8.0/30]}\nretainEmpty: 0s"

func TestAnAddressThatComesFreeGoesToTheFirstHostThatWaits(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, compile(t, full))
		for _, name := range []string{"m1", "m2"} {
			w.put("a", service(name, "10.0.0.1"))
		}
		w.step()
		// Four hosts come one by one or several at once, some in the step in which an address comes free.
		steps := rand.New(rand.NewPCG(seed, 9))
		for i, name := range steps.Perm(4) {
			w.put("a", service([]string{"a", "b", "y", "z"}[name], "10.0.0.1"))
			if i < 3 && steps.IntN(2) == 0 {
				w.step()
			}
		}
		w.gone("a", sources.Key{Name: "m1"})
		w.step()
		has := func(want ...string) {
			t.Helper()
			if got := slices.Sorted(maps.Keys(w.addresses())); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %v have addresses, want %v", seed, got, want)
			}
		}
		has("a.mesh", "m2.mesh")
		w.gone("a", sources.Key{Name: "b"}) // the next one stops waiting
		w.step()
		w.gone("a", sources.Key{Name: "m2"})
		w.gone("a", sources.Key{Name: "a"})
		w.step()
		has("y.mesh", "z.mesh")
		if text := rejectedText(w.engine.rejections()); strings.Contains(text, "no free address") {
			t.Errorf("seed %d: it is still told that hosts wait: %s", seed, text)
		}
		if len(w.engine.vips.full) != 0 {
			t.Errorf("seed %d: %v still wait", seed, w.engine.vips.full)
		}
	}
}

func TestAHostThatWaitsDoesNotLoseTheFreedAddressToANewcomerBehindIt(t *testing.T) {
	w := newWorld(t, compile(t, full))
	for _, name := range []string{"m1", "m2", "n"} {
		w.put("a", service(name, "10.0.0.1"))
	}
	w.step()
	w.gone("a", sources.Key{Name: "m1"})
	w.put("a", service("z", "10.0.0.1"))
	w.step()
	if got := slices.Sorted(maps.Keys(w.addresses())); !slices.Equal(got, []string{"m2.mesh", "n.mesh"}) {
		t.Errorf("%v have addresses", got)
	}
}

func TestAHostThatWaitsGetsAnAddressThatAPinGivesUp(t *testing.T) {
	w := newWorld(t, compile(t, full+"\nsources: [{name: a, overrides: [{service: m1, address: 10.9.8.1}]}]"))
	for _, name := range []string{"m1", "m2", "n"} {
		w.put("a", service(name, "10.0.0.1"))
	}
	w.step()
	w.gone("a", sources.Key{Name: "m1"})
	w.step()
	if a := w.addresses(); a["n.mesh"] != "10.9.8.1" {
		t.Errorf("%v, want 10.9.8.1 for n.mesh", a)
	}
}

func TestAHostThatWaitsInOneRangeIsServedInTheOther(t *testing.T) {
	w := newWorld(t, compile(t, "mesh: {vips: [10.9.8.0/30, 'fd00::/64']}\nretainEmpty: 0s"))
	for _, name := range []string{"m1", "m2", "n"} {
		w.put("a", service(name, "10.0.0.1"))
	}
	w.step()
	if a := w.addresses(); strings.Contains(a["n.mesh"], "10.9.8") || !strings.HasPrefix(a["n.mesh"], "fd00:") {
		t.Errorf("%v", a)
	}
	before := w.addresses()["n.mesh"]
	w.gone("a", sources.Key{Name: "m2"})
	w.step()
	if a := w.addresses()["n.mesh"]; !strings.HasPrefix(a, "10.9.8.") || !strings.HasSuffix(a, " and "+before) {
		t.Errorf("n.mesh has %s, had %s", a, before)
	}
}

func TestAPinnedAddressMayLieOutsideTheRanges(t *testing.T) {
	w := newWorld(t, compile(t, "sources: [{name: a, overrides: [{service: s1, address: 'fd00::7'}]}]"))
	w.put("a", service("s1", "10.0.0.1"))
	w.step()
	r := newRange(netip.MustParsePrefix("244.0.0.0/6"))
	if diff := cmp.Diff([]string{r.pure("s1.mesh").String(), "fd00::7"}, w.entry("registries/s1.mesh").Addresses); diff != "" {
		t.Error(diff)
	}
}

func TestOtherRangesGiveAllHostsOtherAddresses(t *testing.T) {
	w := newWorld(t, compile(t, small))
	for i := range 14 {
		w.put("a", service(fmt.Sprintf("s%d", i), "10.0.0.1"))
	}
	w.step()
	w.engine.adopt(compile(t, "mesh: {vips: ['fd00::/64']}"), w.now)
	w.step()
	r := newRange(netip.MustParsePrefix("fd00::/64"))
	for host, addr := range w.addresses() {
		if addr != r.pure(host).String() {
			t.Errorf("%s has %s, want %s", host, addr, r.pure(host))
		}
	}
	if len(w.engine.vips.taken) != 14 {
		t.Errorf("%d addresses are taken", len(w.engine.vips.taken))
	}
}

func TestEveryAddressOfARangeIsInsideAndOnceOnly(t *testing.T) {
	for _, text := range []string{"10.0.0.0/32", "10.0.0.0/31", "10.0.0.0/30", "10.9.8.0/28", "10.0.0.0/16", "fd00::/128", "fd00::/127", "fd00::/120"} {
		r := newRange(netip.MustParsePrefix(text))
		seen := map[netip.Addr]bool{}
		for part := range r.parts {
			for offset := range r.size {
				a := r.at(part, offset)
				if !r.prefix.Contains(a) || seen[a] {
					t.Fatalf("%s: %s is outside or twice", text, a)
				}
				if key, ok := r.keyOf(a); !ok || key.part != part {
					t.Fatalf("%s: %s is said to be of part %d (%v), and is of %d", text, a, key.part, ok, part)
				}
				seen[a] = true
			}
		}
		for a := r.prefix.Addr(); r.prefix.Contains(a); a = a.Next() {
			if _, ok := r.keyOf(a); ok != seen[a] {
				t.Errorf("%s: %s has a part: %v, is given out: %v", text, a, ok, seen[a])
			}
		}
	}
	for _, text := range []string{"244.0.0.0/6", "0.0.0.0/0", "fd00::/64", "fd00::/8"} {
		r := newRange(netip.MustParsePrefix(text))
		first, last := r.at(0, 0), r.at(r.parts-1, r.size-1)
		if r.parts != store.Slots || !r.prefix.Contains(first) || !r.prefix.Contains(last) || !first.Less(last) {
			t.Errorf("%s: %d parts from %s to %s", text, r.parts, first, last)
		}
		for _, a := range []netip.Addr{first, last} {
			if key, ok := r.keyOf(a); !ok || r.at(key.part, 0).Compare(a) > 0 || key.part != 0 && a == first {
				t.Errorf("%s: %s is said to be of part %d (%v)", text, a, key.part, ok)
			}
		}
	}
}

// TestTheVectorsOfTheDocumentationHold reads docs/vips.md: | host | hash | slot | range | address |.
func TestTheVectorsOfTheDocumentationHold(t *testing.T) {
	doc, err := os.ReadFile("../docs/vips.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\S+)` \\| `([0-9a-f]{16})` \\| (\\d+) \\| `(\\S+)` \\| `(\\S+)` \\|$").FindAllStringSubmatch(string(doc), -1)
	if len(rows) < 8 {
		t.Fatalf("docs/vips.md has %d test vectors", len(rows))
	}
	for _, row := range rows {
		host, prefix := row[1], netip.MustParsePrefix(row[4])
		got := []string{fmt.Sprintf("%016x", store.Hash(host)), fmt.Sprint(store.Slot(host)), newRange(prefix).pure(host).String()}
		if diff := cmp.Diff([]string{row[2], row[3], row[5]}, got); diff != "" {
			t.Errorf("%s in %s: %s", host, prefix, diff)
		}
	}
}
