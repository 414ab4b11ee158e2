package bridge_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"meshbridge/mcpserver/mcptest"
	"meshbridge/mcpserver/store"
)

// rule reports whether the istiod's DestinationRule of shop.mesh says a word.
func (w *world) rule(word string) bool {
	r := w.istiod.Resource(store.DestinationRule, "registries/mb-shop.mesh")
	return r != nil && bytes.Contains(r.Body.Value, []byte(word))
}

func (w *world) waitRule(what string, right func() bool) {
	w.t.Helper()
	w.istiod.Wait(w.t, what, func(mcptest.State) bool { return right() })
}

// 1. A document brings a subset, which the istiod has to hold for an hour before it is sent the route. 2. The configuration says
// that no time is needed.
func TestAnotherSettleCountsForTheRouteThatWaits(t *testing.T) {
	w := start(t, func(w *world) {
		w.write("a/a.yaml", strings.ReplaceAll(versions, "version: v2", "version: v2, lane: gray"))
		w.configure("canary: {settle: 1h, files: [canaries/*.yaml]}\n", "a")
	})
	w.waitRule("the subsets of the registry", func() bool { return w.rule("v2") })
	w.write("canaries/shop.yaml", "name: shop\nservices: [shop.mesh]\nprimary: v1\ncanaries: [{name: walk, labels: {lane: gray}, weight: 20}]\n")
	w.waitRule("the subset of the document", func() bool { return w.rule("walk") })
	if got := w.route("shop.mesh"); got != "" {
		t.Errorf("the route came with its subset: %s", got)
	}
	w.configure("canary: {settle: 0s, files: [canaries/*.yaml]}\n", "a")
	w.waitRoute("the route", func(v string) bool { return v != "" })
	if strings.Contains(w.log.String(), "when the bridge is restarted") {
		t.Errorf("the log asks for a restart:\n%s", w.log)
	}
}

// 1. A version leaves the registry, and its subset stays. 2. The configuration says that it need not.
func TestAnotherRetainCountsForTheSubsetThatStays(t *testing.T) {
	w := start(t, func(w *world) {
		w.write("a/a.yaml", versions)
		w.configure("canary: {settle: 0s}\nsubsets: {retain: 1h}\n", "a")
	})
	w.waitRule("both subsets", func() bool { return w.rule("v2") })
	entry := w.istiod.Versions(store.ServiceEntry)["registries/shop.mesh"]
	w.write("a/a.yaml", strings.Split(versions, "  - {address: 10.0.0.2")[0])
	w.waitRule("one endpoint", func() bool { return w.istiod.Versions(store.ServiceEntry)["registries/shop.mesh"] != entry })
	if !w.rule("v2") {
		t.Error("the subset went with its last endpoint")
	}
	w.configure("canary: {settle: 0s}\nsubsets: {retain: 0s}\n", "a")
	w.waitRule("one subset", func() bool {
		return w.rule("v1") && !w.rule("v2") || w.istiod.Resource(store.DestinationRule, "registries/mb-shop.mesh") == nil
	})
}

// 1. An istiod reads the route to a version and no more. 2. The route goes, and another istiod follows. 3. The version's subset
// stays for the one that has the route, until that one has followed, too.
func TestASubsetStaysForTheIstiodThatHasTheRoute(t *testing.T) {
	const both = "name: shop\nservices: [shop.mesh]\nprimary: v1\ncanaries: [{name: walk, labels: {lane: gray}, weight: 20}]\n"
	w := start(t, func(w *world) {
		w.write("a/a.yaml", strings.ReplaceAll(versions, "version: v2", "version: v2, lane: gray"))
		w.write("canaries/shop.yaml", both)
		w.configure("canary: {settle: 10ms, files: [canaries/*.yaml]}\nsubsets: {retain: 0s}\n", "a")
	})
	first := w.waitRoute("the route", func(v string) bool { return v != "" })
	follow, stuck := make(chan struct{}), make(chan struct{}, 1)
	slow := mcptest.Start(t, w.addr, mcptest.Options{Node: "sidecar~127.0.0.2~slow.istio-system~istio-system.svc.cluster.local", Seen: func(r mcptest.Response) {
		if r.Kind == store.VirtualService && len(r.Resources) > 0 && !bytes.Contains(r.Resources[0].Body.Value, []byte("walk")) {
			stuck <- struct{}{}
			<-follow
		}
	}})
	slow.WaitVersion(t, store.VirtualService, "registries/mb-shop.mesh", first)
	w.write("canaries/shop.yaml", "name: shop\nservices: [shop.mesh]\nprimary: v1\n")
	<-stuck
	w.waitRoute("the route without the version", func(v string) bool { return v != "" && v != first })
	for i := range 5 { // much has happened since
		w.write("a/more.yaml", list(fmt.Sprint("more", i), 1))
		w.wait("shop.mesh", fmt.Sprintf("more%d.mesh", i))
	}
	if !w.rule("walk") {
		t.Error("the subset went although an istiod has a route to it")
	}
	close(follow)
	w.waitRule("no such subset", func() bool { return w.rule("v1") && !w.rule("walk") })
}
