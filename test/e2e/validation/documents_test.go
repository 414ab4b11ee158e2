//go:build e2e

package validation

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// object is a part of a document as somebody writes it, right or wrong.
type object map[string]any

// documents are canary documents about hosts, by the versions that each has.
func (d dice) documents(hosts map[string][]string) []object {
	var all []object
	for i := range 1 + d.IntN(4) {
		all = append(all, d.document(fmt.Sprintf("doc-%d", i), hosts))
	}
	return all
}

func (d dice) document(name string, hosts map[string][]string) object {
	doc := object{"name": odd(d, []string{name}, []string{"doc-0", "Doc", "", strings.Repeat("d", 63), strings.Repeat("d", 64)})}
	services, here := d.hosts(hosts)
	doc["services"] = services
	d.maybe(doc, "label", 10, odd(d, []string{"version", "zone", "istio.service.tag"}, []string{"bad label!", "meshbridge.subset", "istio.io/rev"}))
	words := slices.Clone(here)
	d.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	next := func() string { // another version each time, mostly one that there is
		if len(words) == 0 || d.chance(10) {
			return odd(d, versions, oddVersions)
		}
		word := words[0]
		words = words[1:]
		return word
	}
	switch d.IntN(10) {
	case 0, 1: // the endpoints that no canary claims
	case 2:
		doc["primary"] = object{"labels": d.labels()}
	default:
		doc["primary"] = next()
	}
	var canaries []object
	left := 100
	for i := range d.IntN(4) {
		canaries = append(canaries, d.canary(i, next, &left))
	}
	if len(canaries) > 0 || d.chance(d.odds) {
		doc["canaries"] = canaries
	}
	d.maybe(doc, "from", 25, odd(d, []object{{"labels": object{"app": "magnanimo"}}, {"namespace": "default"}, {"labels": object{"app": "shop", "version": "v1"}, "namespace": "shop"}},
		[]object{{}, {"labels": object{"app": "a b"}}, {"labels": d.labels(), "namespace": "Bad_NS"}}))
	d.maybe(doc, "fallback", 60, odd(d, []string{"primary", "failover", "failover", "none"}, []string{"", "other"}))
	if d.chance(50) {
		var ways []object
		for i := range 1 + d.IntN(2) {
			ways = append(ways, d.expose(fmt.Sprintf("%s-%d", name, i), services, hosts))
		}
		doc["expose"] = ways
	}
	return doc
}

// hosts are the services of a document, and versions of theirs.
func (d dice) hosts(hosts map[string][]string) (services, here []string) {
	all := sorted(hosts)
	services = []string{odd(d, all, append(oddHosts, "unknown.mesh", "nodot", "Upper.mesh", ""))}
	switch {
	case d.chance(10):
		services = []string{pick(d, "*", "*.mesh", "com.acme.*", "?hop.*")}
		return services, hosts[pick(d, all...)]
	case d.chance(25) && services[0] != all[0]:
		services = append(services, all[0])
	}
	return services, hosts[services[0]]
}

// maybe sets a key in so many of a hundred cases.
func (d dice) maybe(o object, key string, percent int, value any) {
	if d.chance(percent) {
		o[key] = value
	}
}

func (d dice) labels() object {
	return odd(d, []object{{"istio.service.tag": "gray"}, {"zone": "z1"}, {"zone": "z1", "version": "v1"}}, []object{{"istio.service.tag": "a b"}, {}, {"meshbridge.pool.gray": "1"}, {"topology.kubernetes.io/zone": "z1"}})
}

func (d dice) canary(i int, next func() string, left *int) object {
	c := object{}
	if d.chance(70) {
		c["version"] = next()
		d.maybe(c, "name", 15, odd(d, []string{"canary", "next"}, append(oddVersions, "1.0")))
	} else {
		c["name"], c["labels"] = odd(d, []string{fmt.Sprintf("lane-%d", i)}, oddVersions), d.labels()
	}
	if d.chance(50) {
		headers := object{}
		for range 1 + d.IntN(2) {
			headers[d.header()] = d.match()
		}
		if d.chance(15) {
			headers["baggage"] = object{"member": object{odd(d, []string{"lane", "k.e-y"}, []string{"a b", "(", "ü"}): odd(d, []string{"gray", "g.r+a*y"}, []string{"a,b", "", "ü"})}}
		}
		c["headers"] = headers
	}
	if d.chance(60) {
		w := odd(d, []int{0, 1, *left / 2, *left}, []int{-1, 101, 1000})
		c["weight"], *left = w, max(0, *left-max(0, w))
	}
	return c
}

func (d dice) header() string {
	return odd(d, []string{"stage", "x-canary", "user-agent", "my-request-id", "x-stage", "cookie", "x_under"},
		[]string{":path", ":authority", "host", "@request.auth.claims.sub", "", "a b", "ü", "x:y", "X-Stage", strings.Repeat("h", 300)})
}

// match is what a header must be.
func (d dice) match() any {
	switch d.IntN(10) {
	case 0, 1:
		return object{"prefix": odd(d, []string{"v", "canary-", "\"", "*"}, []string{"", "ü", strings.Repeat("p", 300)})}
	case 2, 3:
		return object{"regex": odd(d, []string{"v[0-9]+", ".*gray.*", "^a|b$", "(?i)canary", "%"}, []string{"(", "", "a{1001}", `\d{3}(?=x)`, strings.Repeat("x", 1100), "(?P<n>a)\\1"})}
	case 4:
		return odd(d, []any{object{"exact": "canary"}}, []any{object{"member": object{"a": "b"}}, object{"exact": "a", "prefix": "b"}, object{}, 7, true, nil, []string{"a"}})
	}
	return odd(d, []string{"canary", "gray", "a,b", "true", "*", "a \"b\"", "%"}, []string{"", " ", "ü", "a\nb", "\x00", strings.Repeat("v", 5000)})
}

func (d dice) expose(name string, services []string, hosts map[string][]string) object {
	e := object{}
	if d.chance(65) {
		e["gateway"] = odd(d, []string{"istio-system/app", "e2e/gateway", "ops/public"}, []string{"gateway", "ops/gateway.v1", "a/b/c", "./app", "Ops/app", "mesh", "istio-system/mesh"})
		d.maybe(e, "hosts", 60, odd(d, [][]string{{"*"}, {name + ".example.com"}, {name + ".a.example.com", "*." + name + ".example.org"}}, [][]string{
			{}, {"*", "*"}, {"a_b.example.com"}, {"*.*.com"}, {"a*.com"}, {"10.0.0.1"}, {"shop"}, {"shop.example.com:443"}, {"*", "a.com"}, {"*.example.com", "a.example.com"}, {""}, {pick(d, oddHosts...)}, {pick(d, oddHosts...)}, {pick(d, oddHosts...)}, {name + ".example.com", pick(d, oddHosts...)}}))
		d.maybe(e, "prefix", 60, odd(d, []string{"/shop", "/", "/shop/", "/%41", "/a/../b"}, []string{"", "shop", "/a b", "/a?b", "/a#b", "/ü", "/*", "/" + strings.Repeat("p", 3000)}))
	} else {
		e["delegate"] = odd(d, []string{name + "-routes", name}, []string{"Routes", "a/b", strings.Repeat("r", 254), "-", "mb-shop.mesh"})
	}
	if len(services) > 1 || strings.ContainsAny(services[0], "*?") || d.chance(20) {
		within := services
		if pattern := services[0]; strings.ContainsAny(pattern, "*?") {
			within = slices.DeleteFunc(sorted(hosts), func(host string) bool { ok, _ := path.Match(pattern, host); return !ok })
		}
		e["service"] = odd(d, append(within, "unknown.mesh")[:max(1, len(within))], sorted(hosts))
	}
	if d.chance(45) {
		var colours []object
		for range d.IntN(3) {
			colours = append(colours, d.colour(true))
		}
		e["colour"] = append(colours, d.colour(d.chance(50)))
	}
	return e
}

func (d dice) colour(when bool) object {
	c := object{"set": object{d.header(): odd(d, []string{"canary", "gray", "base", "a,b"}, []string{"", "%", "%NOPE%", "%START_TIME%", "ü", "a\nb", "%REQ(x)%", "{{x}}"})}}
	if when {
		c["when"] = object{d.header(): d.match()}
	}
	return c
}
