package bridge_test

import (
	"strings"
	"testing"

	"meshbridge/mcpserver/mcptest"
	"meshbridge/mcpserver/store"
)

const versions = `services:
- name: shop
  instances:
  - {address: 10.0.0.1, port: 8080, labels: {version: v1}}
  - {address: 10.0.0.2, port: 8080, labels: {version: v2}}
`

// route is the version of the host's VirtualService that the istiod holds, "" if it holds none.
func (w *world) route(host string) string {
	return w.istiod.Versions(store.VirtualService)["registries/mb-"+host]
}

func (w *world) waitRoute(what string, right func(version string) bool) string {
	w.t.Helper()
	w.istiod.Wait(w.t, what, func(mcptest.State) bool { return right(w.route("shop.mesh")) })
	return w.route("shop.mesh")
}

// 1. A document is served. 2. One with a fault changes nothing and is told of. 3. Mended, it is served. 4. A configuration
// that names other files takes it away.
func TestDocumentsOfCanariesAreFollowed(t *testing.T) {
	const canary = "canary: {settle: 0s, files: [canaries/*.yaml]}\n"
	w := start(t, func(w *world) {
		w.write("a/a.yaml", versions)
		w.write("canaries/shop.yaml", "name: shop\nservices: [shop.mesh]\nprimary: v1\n")
		w.configure(canary, "a")
	})
	first := w.waitRoute("the route to v1", func(v string) bool { return v != "" })

	w.write("canaries/shop.yaml", "name: shop\nservices: [shop.mesh]\nprimary: v1\ncanaries: [{version: v2, weight: 200}]\n")
	w.waitLog("shop.yaml:4: canaries[0].weight: 200 is no percentage: 0 to 100")
	if got := w.route("shop.mesh"); got != first {
		t.Errorf("a document with a fault changed the route from %s to %s", first, got)
	}

	w.write("canaries/shop.yaml", "name: shop\nservices: [shop.mesh]\nprimary: v1\ncanaries: [{version: v2, weight: 20}]\n")
	w.waitRoute("the route to both", func(v string) bool { return v != "" && v != first })
	if n := strings.Count(w.log.String(), "canary document is good again"); n != 1 {
		t.Errorf("told %d times that the document is good again", n)
	}

	w.configure(strings.Replace(canary, "*.yaml", "none*.yaml", 1), "a")
	w.waitRoute("no route", func(v string) bool { return v == "" })
}
