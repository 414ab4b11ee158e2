package check_test

import (
	"bytes"
	"encoding/json"
	"errors"
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

// The golden file holds what check says of objects of others, with a bridge that yields and with one that does not.
func TestConflicts(t *testing.T) {
	const path = "testdata/conflicts.txtar"
	clusters := []struct {
		name string
		kube.Objects
	}{
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
	say("many hosts", routed(convert.Created(), "a.mesh", "b.mesh", "c.mesh", "d.mesh", "e.mesh"), &check.Kubernetes{Objects: clusters[2].Objects})
	say("no access", routed(convert.Created()), &check.Kubernetes{Err: errors.New("ask http://k: 403 Forbidden: you may not")})
	golden(t, path, got)
}
