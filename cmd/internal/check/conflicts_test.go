package check_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/check"
	"meshbridge/cmd/internal/kube"
	"meshbridge/convert"
)

// routed is a bridge that routes to subsets v1 and v2 of each host, since a time.
func routed(created time.Time, hosts ...string) check.Bridge {
	b := healthy(len(hosts))
	for _, host := range append([]string{"cart.shop.svc.cluster.local", "near.shop.svc.cluster.local"}, hosts...) {
		b.Resources = append(b.Resources, api.Resource{Kind: "ServiceEntry", Namespace: "registries", Name: host, Host: host, Created: &created})
	}
	for _, host := range hosts {
		for kind, spec := range map[string]string{
			"DestinationRule": `{"host":"` + host + `","subsets":[{"name":"v1","labels":{"version":"v1"}},{"name":"v2","labels":{"version":"v2"}}]}`,
			"VirtualService": `{"hosts":["` + host + `"],"http":[{"route":[{"destination":{"host":"` + host + `","subset":"v2"}}]},` +
				`{"route":[{"destination":{"host":"` + host + `","subset":"v1"}}]}]}`,
		} {
			b.Objects = append(b.Objects, api.Resource{
				Kind: kind, Namespace: "registries", Name: "mb-" + host, Host: host, Created: &created,
				Object: json.RawMessage(`{"metadata":{"name":"mb-` + host + `","namespace":"registries"},"spec":` + spec + `}`),
			})
		}
	}
	return b
}

// shown is a bridge whose routes, at sidecars, gateways and below a root, are for some namespaces.
func shown(to ...string) check.Bridge {
	created := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	b := healthy(1)
	list, err := json.Marshal(to)
	if err != nil {
		panic(err)
	}
	for name, spec := range map[string]string{"a.mesh": `"hosts":["a.mesh"]`, "gateway": `"hosts":["*"],"gateways":["edge/gw","gw"]`, "delegate": `"http":[]`} {
		b.Objects = append(b.Objects, api.Resource{Kind: "VirtualService", Namespace: "registries", Name: "mb-" + name, Created: &created,
			Object: json.RawMessage(`{"metadata":{"name":"mb-` + name + `","namespace":"registries"},"spec":{"exportTo":` + string(list) + `,` + spec + `}}`)})
	}
	slices.SortFunc(b.Objects, func(a, b api.Resource) int { return strings.Compare(a.Name, b.Name) })
	return b
}

// rule is a DestinationRule of somebody, of last year.
func rule(name, host string, change func(*kube.Rule)) kube.Rule {
	r := kube.Rule{Meta: meta(name), Host: host, Subsets: map[string]map[string]string{}}
	if change != nil {
		change(&r)
	}
	return r
}

func meta(name string) kube.Meta {
	return kube.Meta{Namespace: "registries", Name: name, Created: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func in(namespace string) func(*kube.Rule) {
	return func(r *kube.Rule) { r.Namespace, r.Policy = namespace, true }
}

func route(name string, change func(*kube.Route), hosts ...string) kube.Route {
	r := kube.Route{Meta: meta(name), Hosts: hosts, Subsets: map[string][]string{}}
	if change != nil {
		change(&r)
	}
	return r
}

// cluster is what others have written into a cluster.
type cluster struct {
	name string
	kube.Objects
}

// exported is a VirtualService of a.mesh in a namespace, for the clients of some.
func exported(name, namespace string, to ...string) kube.Route {
	return route(name, func(r *kube.Route) { r.Namespace, r.ExportTo = namespace, to }, "a.mesh")
}

func entry(name, namespace string, year int, to ...string) kube.Entry {
	return kube.Entry{Meta: kube.Meta{Namespace: namespace, Name: name, Created: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), ExportTo: to}, Hosts: []string{"a.mesh", "other.mesh"}}
}

// hostsOfOthers are clusters with what is for some namespaces, and with hosts of the bridge.
func hostsOfOthers() []cluster {
	return []cluster{
		{"routes for some namespaces", kube.Objects{Routes: []kube.Route{
			exported("own", "shop", "."), exported("to-web", "shop", "web", "app"), exported("own-by-name", "shop", "shop"), exported("nobody", "shop", "~"), exported("all", "shop", "*"),
		}}},
		{"the same hosts", kube.Objects{
			Entries:  []kube.Entry{entry("old", "shop", 1999), entry("young", "shop", 2100), entry("old-private", "shop", 1999, "."), entry("beside", "registries", 2100), entry("a.mesh", "registries", 1999)},
			Services: []kube.Service{{Meta: meta("else")}, {Meta: kube.Meta{Namespace: "shop", Name: "cart"}}, {Meta: kube.Meta{Namespace: "shop", Name: "near", ExportTo: []string{"."}}}},
		}},
	}
}

// The golden file holds what check says of objects of others, with a bridge that yields and with one that does not.
func TestConflicts(t *testing.T) {
	const path = "testdata/conflicts.txtar"
	clusters := []cluster{
		{"nothing in the way", kube.Objects{
			Rules:  []kube.Rule{rule("else", "b.other", in("shop")), rule("merged", "a.mesh", func(r *kube.Rule) { r.Policy, r.Subsets["v1"] = true, map[string]string{"version": "v1"} })},
			Routes: []kube.Route{route("else", nil, "b.other"), route("gateway", func(r *kube.Route) { r.Gateways = []string{"x/y"} }, "a.mesh"), route("delegate", nil)},
		}},
		{"rules in the namespace of the service", kube.Objects{Rules: []kube.Rule{
			rule("mb-a.mesh", "a.mesh", nil),
			rule("selected", "a.mesh", func(r *kube.Rule) { r.Selector = true }),
			rule("exported", "a.mesh", func(r *kube.Rule) { r.ExportTo, r.Policy = []string{"*"}, true }),
			rule("bare", "a.mesh", func(r *kube.Rule) { r.ExportTo = []string{"*"} }),
			rule("other-v1", "a.mesh", func(r *kube.Rule) { r.Subsets["v1"] = map[string]string{"version": "v1", "zone": "a"} }),
			rule("wildcard", "*.mesh", func(r *kube.Rule) { r.Policy = true }),
			rule("nothing", "*.mesh", nil),
		}}},
		{"rules elsewhere", kube.Objects{Rules: []kube.Rule{
			rule("root", "a.mesh", in("istio-system")), rule("root-wildcard", "*.mesh", in("istio-system")),
			rule("root-private", "a.mesh", func(r *kube.Rule) { r.Namespace, r.ExportTo = "istio-system", []string{"."} }),
			rule("client", "a.mesh", in("shop")), rule("client-wildcard", "*.mesh", in("shop")),
			rule("client-partly", "a.mesh", func(r *kube.Rule) { r.Namespace, r.Subsets["v1"] = "shop", nil }),
			rule("client-knows", "a.mesh", func(r *kube.Rule) { r.Namespace, r.Subsets["v1"], r.Subsets["v2"] = "shop", nil, nil }),
		}}},
		{"routes", kube.Objects{Routes: []kube.Route{
			route("same", nil, "a.mesh"), route("wildcard", nil, "*.mesh"),
			route("private", func(r *kube.Route) { r.Namespace, r.ExportTo = "shop", []string{"."} }, "a.mesh", "b.mesh"),
			route("knows", func(r *kube.Route) { r.Subsets["a.mesh"] = []string{"v2"} }, "a.mesh"),
		}}},
	}
	clusters = append(clusters, hostsOfOthers()...)
	got := &txtar.Archive{Comment: []byte("What meshbridge check says of objects of others, with each precedence.\n\n")}
	say := func(name string, b check.Bridge, cluster *check.Kubernetes) {
		var out bytes.Buffer
		for _, s := range check.Judge([]check.Bridge{b}, cluster, admintest.Now()) {
			if s.Name == "conflicts" {
				if _, err := check.Print(&out, []check.Section{s}); err != nil {
					t.Fatal(err)
				}
			}
		}
		got.Files = append(got.Files, txtar.File{Name: name, Data: out.Bytes()})
	}
	for _, c := range clusters {
		say(c.name+", yield", routed(convert.Created(), "a.mesh", "b.mesh"), &check.Kubernetes{Objects: c.Objects})
		say(c.name+", override", routed(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), "a.mesh", "b.mesh"), &check.Kubernetes{Objects: c.Objects})
	}
	for _, to := range [][]string{{"."}, {"registries", "web", "edge"}} {
		b := shown(to...)
		say("ours for "+strings.Join(to, " ")+", no cluster", b, nil)
		say("ours for "+strings.Join(to, " "), b, &check.Kubernetes{Objects: kube.Objects{Routes: append(hostsOfOthers()[0].Routes,
			route("root", func(r *kube.Route) {
				r.Namespace, r.Gateways, r.Delegates = "edge", []string{"edge/gw"}, []string{"registries/mb-delegate", "edge/else"}
			}, "*"))}})
	}
	say("many hosts", routed(convert.Created(), "a.mesh", "b.mesh", "c.mesh", "d.mesh", "e.mesh"), &check.Kubernetes{Objects: clusters[2].Objects})
	say("partial access", routed(convert.Created(), "a.mesh"), &check.Kubernetes{Objects: hostsOfOthers()[0].Objects, Err: errors.New("ask http://k: 403 Forbidden: no services")})
	say("no access", routed(convert.Created()), &check.Kubernetes{Err: errors.New("ask http://k: 403 Forbidden: you may not")})
	golden(t, path, got)
}
