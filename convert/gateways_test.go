package convert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// exposing is a document of echo.mesh or foxtrot.mesh that exposes it at a gateway.
func exposing(name, host string, expose ...canary.Expose) canary.Document {
	return canary.Document{Name: name, Services: []string{host}, Primary: primary("v1"), Expose: expose}
}

func path(prefix string, hosts ...string) canary.Expose {
	return canary.Expose{Gateway: "istio-system/app", Hosts: hosts, Prefix: prefix}
}

func TestOfTwoDocumentsThatWantOnePathAtAGatewayTheFirstHasIt(t *testing.T) {
	for what, test := range map[string]struct {
		a, b []canary.Expose
		want string // of b; "" for no conflict
	}{
		"one path":           {a: []canary.Expose{path("/x", "*")}, b: []canary.Expose{path("/x", "*")}, want: "expose[0]: document a has prefix /x of host * at gateway istio-system/app, and /x overlaps with it: choose prefixes of which none begins with another"},
		"a longer text":      {a: []canary.Expose{path("/x", "*")}, b: []canary.Expose{path("/xy", "*")}, want: "document a has prefix /x of host *"},
		"a shorter one":      {a: []canary.Expose{path("/x/y", "*"), path("/x", "*")}, b: []canary.Expose{path("/", "*")}, want: "document a has prefix /x of host *"},
		"upper case":         {a: []canary.Expose{path("/x", "Shop.example.com")}, b: []canary.Expose{path("/x", "shop.EXAMPLE.com")}, want: "of host shop.example.com"},
		"other paths":        {a: []canary.Expose{path("/x", "*"), path("/x/y", "*")}, b: []canary.Expose{path("/y", "*")}},
		"hosts apart":        {a: []canary.Expose{path("/", "a.example.com")}, b: []canary.Expose{path("/", "b.example.com", "*.org")}},
		"a host hides *":     {a: []canary.Expose{path("/x", "*")}, b: []canary.Expose{path("/y", "shop.example.com")}, want: "expose[0]: host shop.example.com at gateway istio-system/app would hide the paths /x that document a has at *: name *, or have that document list shop.example.com too"},
		"a host hides *.":    {a: []canary.Expose{path("/x", "*.example.com")}, b: []canary.Expose{path("/y", "shop.Example.com")}, want: "would hide the paths /x that document a has at *.example.com"},
		"*. hides *":         {a: []canary.Expose{path("/x", "*")}, b: []canary.Expose{path("/y", "*.com")}, want: "would hide the paths /x that document a has at *"},
		"*. and its own top": {a: []canary.Expose{path("/x", "*.example.com")}, b: []canary.Expose{path("/y", "example.com")}},
		"* would be hidden":  {a: []canary.Expose{path("/x", "shop.example.com")}, b: []canary.Expose{path("/y", "*")}, want: "expose[0]: document a has host shop.example.com at gateway istio-system/app, which would hide the paths /y of *: list shop.example.com too"},
		"* lists the host":   {a: []canary.Expose{path("/x", "shop.example.com")}, b: []canary.Expose{path("/y", "*"), path("/y", "shop.example.com")}},
		"* lists it wider":   {a: []canary.Expose{path("/y", "*"), path("/", "shop.example.com")}, b: []canary.Expose{path("/z", "*.org")}, want: "would hide the paths /y"},
		"* lists other paths": {a: []canary.Expose{path("/y", "*"), path("/z", "shop.example.com")}, b: []canary.Expose{path("/x", "shop.example.com")},
			want: "would hide the paths /y that document a has at *"},
		"both list it":    {a: []canary.Expose{path("/y", "*"), path("/y", "shop.example.com")}, b: []canary.Expose{path("/x", "shop.example.com")}},
		"another gateway": {a: []canary.Expose{path("/x", "*")}, b: []canary.Expose{{Gateway: "istio-system/other", Hosts: []string{"*"}, Prefix: "/x"}}},
	} {
		a, b := entryOf(exposing("a", "echo.mesh", test.a...)), entryOf(exposing("b", "foxtrot.mesh", test.b...))
		first, then := echoWorld(t, ""), echoWorld(t, "")
		first.documents(a, b)
		first.step()
		then.documents(b)
		then.step()
		then.documents(b, a)
		then.step()
		for _, w := range []*world{first, then, then.restart()} {
			w.documents(a, b)
			w.step()
			w.now = w.now.Add(10 * time.Second) // what another document takes over stays until that has arrived
			w.step()
			v := w.viewOf("", "b")
			if got := v.superseded(); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("%s: told %q, want %q", what, got, test.want)
			}
			if v.State != CanaryServing || w.viewOf("", "a").superseded() != "" || w.viewOf("", "a").State != CanaryServing {
				t.Errorf("%s: %+v", what, v)
			}
			if diff := cmp.Diff(first.state(), w.state()); diff != "" {
				t.Errorf("%s (-a first +b first):\n%s", what, diff)
			}
			made := slices.ContainsFunc(w.found(), func(name string) bool { return strings.HasPrefix(name, "registries/mb.b.") })
			if made != (test.want == "") {
				t.Errorf("%s: a VirtualService of b is there: %v", what, made)
			}
		}
		first.documents(b)
		first.step()
		if v := first.viewOf("", "b"); v.superseded() != "" {
			t.Errorf("%s: alone it is told %q", what, v.superseded())
		}
	}
}

// found are the VirtualServices that have gateways or no hosts, which are delegates: "namespace/name host".
func (w *world) found() (all []string) {
	w.t.Helper()
	snap, _ := w.store.Snapshot()
	for r := range snap.All(store.VirtualService, store.Shard{}) {
		spec, err := r.Spec()
		if err != nil {
			w.t.Fatal(err)
		}
		if vs := spec.(*networkingpb.VirtualService); len(vs.Gateways) > 0 || len(vs.Hosts) == 0 {
			all = append(all, r.Name+" "+r.Host)
		}
	}
	slices.Sort(all)
	return all
}

func TestAPathIsThatOfADocumentWhoseHostIsThere(t *testing.T) {
	w := newWorld(t, compile(t, "retainEmpty: 1m"))
	w.put("a", service("foxtrot", "v1@10.0.1.1"))
	a, b := exposing("a", "echo.mesh", path("/x", "*")), exposing("b", "foxtrot.mesh", path("/x", "*"))
	a.Services, a.Expose[0].Service = []string{"echo.mesh", "foxtrot.mesh"}, "echo.mesh" // active for foxtrot.mesh alone at first
	a.Primary = nil
	w.documents(entryOf(a), entryOf(b))
	want := func(name string) {
		t.Helper()
		w.step()
		w.now = w.now.Add(10 * time.Second) // what another document takes over stays until that has arrived
		w.step()
		if diff := cmp.Diff([]string{name}, w.found()); diff != "" {
			t.Error(diff)
		}
	}
	want("registries/mb.b.istio-system.app.01-2c937d.foxtrot.mesh foxtrot.mesh")
	w.put("a", service("echo", "v1@10.0.0.1"))
	want("registries/mb.a.istio-system.app.01-2c937d.echo.mesh echo.mesh")
	w.gone("a", service("echo").Key)
	want("registries/mb.a.istio-system.app.01-2c937d.echo.mesh echo.mesh")
	w.now = w.now.Add(2 * time.Minute)
	want("registries/mb.b.istio-system.app.01-2c937d.foxtrot.mesh foxtrot.mesh")
}

func TestDelegatesOfOneNameConflictInOneNamespaceAlone(t *testing.T) {
	delegate := canary.Expose{Delegate: "routes"}
	a, b := entryOf(exposing("a", "echo.mesh", delegate)), entryOf(exposing("b", "foxtrot.mesh", delegate))
	in := func(name, namespace string) *sources.Service {
		s := service(name, fmt.Sprintf("v1@10.0.0.%d", len(name)))
		s.Key.Namespace = namespace
		return s
	}
	for _, order := range [][]string{{"echo", "foxtrot"}, {"foxtrot", "echo"}} {
		w := newWorld(t, compile(t, `sources: [{name: a, host: "{{.Service}}.mesh", namespace: "{{.Namespace}}", declared: true}]`))
		want := func(told string, delegates ...string) {
			t.Helper()
			w.step()
			w.now = w.now.Add(10 * time.Second)
			w.step()
			if diff := cmp.Diff(delegates, w.found()); diff != "" {
				t.Errorf("%v: %s", order, diff)
			}
			if got := w.viewOf("", "b").superseded(); got != told {
				t.Errorf("%v: told %q, want %q", order, got, told)
			}
		}
		w.documents(a, b)
		for _, name := range order {
			w.put("a", in(name, "ns-"+name))
			w.step()
		}
		want("", "ns-echo/routes echo.mesh", "ns-foxtrot/routes foxtrot.mesh")
		w.gone("a", in("foxtrot", "ns-foxtrot").Key)
		w.put("a", in("foxtrot", "ns-echo"))
		want("expose[0]: delegate routes in namespace ns-echo is that of document a already: a name of its own", "ns-echo/routes echo.mesh")
		w.gone("a", in("echo", "ns-echo").Key)
		w.put("a", in("echo", "ns-other"))
		want("", "ns-echo/routes foxtrot.mesh", "ns-other/routes echo.mesh")
	}
}

// The decision about a gateway, which looks at no pair of documents, is that of looking at every pair.
func TestAGatewayIsDecidedAsByLookingAtEveryPair(t *testing.T) {
	lostAny := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 3))
		d := newDocuments(compile(t, ""), func(string) string { return "ns" }, func(string) bool { return true })
		var docs []*document
		for i := range 2 + r.IntN(12) {
			var expose []canary.Expose
			for range 1 + r.IntN(4) {
				prefix := "/"
				for range r.IntN(4) {
					prefix += pick(r, "a", "b", "/")
				}
				expose = append(expose, path(prefix, pick(r, "*", "*.com", "*.example.com", "shop.example.com", "*.shop.example.com", "x.org", "SHOP.example.com")))
			}
			c := newContent(&[]canary.Document{exposing(fmt.Sprintf("d%02d", i), "echo.mesh", expose...)}[0])
			doc := &document{key: c.Name, served: &activeContent{Document: c, Content: c.Document}}
			d.add(doc)
			docs = append(docs, doc)
		}
		d.settleExposures()
		taken := map[*document][]canary.Expose{}
		for _, doc := range docs {
			for i, e := range doc.served.Content.Expose {
				pair := false
				for other, theirs := range taken {
					for _, o := range theirs {
						pair = pair || other != doc && excludes(doc, e, other, o)
					}
				}
				if _, lost := d.exposures.lost[doc][i]; lost != pair {
					t.Fatalf("seed %d: %s, %+v: lost %v, want %v", seed, doc.key, e, lost, pair)
				}
				if pair {
					lostAny++
				} else {
					taken[doc] = append(taken[doc], e)
				}
			}
		}
	}
	if lostAny < 500 {
		t.Errorf("only %d conflicts", lostAny)
	}
}

// excludes reports whether two entries of two documents cannot both be made.
func excludes(a *document, x canary.Expose, b *document, y canary.Expose) bool {
	hides := func(wide *document, w canary.Expose, host, narrow string) bool {
		if !canary.Within(narrow, host) {
			return false
		}
		return !slices.ContainsFunc(wide.served.Content.Expose, func(e canary.Expose) bool {
			return strings.HasPrefix(w.Prefix, e.Prefix) && slices.ContainsFunc(e.Hosts, func(h string) bool { return strings.EqualFold(h, narrow) })
		})
	}
	for _, g := range x.Hosts {
		for _, h := range y.Hosts {
			g, h := strings.ToLower(g), strings.ToLower(h)
			overlap := strings.HasPrefix(x.Prefix, y.Prefix) || strings.HasPrefix(y.Prefix, x.Prefix)
			if g == h && overlap || hides(a, x, g, h) || hides(b, y, h, g) {
				return true
			}
		}
	}
	return false
}
