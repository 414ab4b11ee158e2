//go:build e2e

package rollout

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/test/harness"
)

// walkVersions takes a service from one version to the next: deployed without routes, by header, by weights, back, by weights
// again, promoted, retired. Requests come from a sidecar, through the gateway, and through a delegate of a VirtualService that
// is not the team's.
func (w *world) walkVersions(t *testing.T, name, old, next string) {
	s := w.service(t, name, "")
	s.deploy(t, old)
	s.deploy(t, old)
	document := func(rules string) {
		t.Helper()
		w.document(t, name+".yaml", fmt.Sprintf(`
name: %s
services: [%[1]s.mesh]
%s
expose:
- {gateway: ops/gateway, hosts: [%[1]s.example.com], prefix: /%[1]s}
- {delegate: %[1]s-routes}
`, name, rules))
	}
	root := w.root(t, name)
	ways := []way{s.inside("shop"), s.outside(name + ".example.com"), s.outside(root)}
	plain, canary := make([]harness.Request, len(ways)), make([]harness.Request, len(ways))
	for i, v := range ways {
		plain[i], canary[i] = v.classed("plain"), v.with("canary", "stage", "canary")
	}

	document("primary: " + old)
	s.routed(t, ways, share{old: 100})
	w.settled(t, name)
	defer w.underLoad(t, append(append(plain[:len(plain):len(plain)], plain...), canary...)...).end(t)

	s.deploy(t, next)
	s.deploy(t, next)
	w.proxies["shop"].WaitCluster(s.cluster(next), 2)
	all(t, 1000, map[string]string{"plain": old, "canary": old}, append(canary, plain...)...)

	header := fmt.Sprintf("primary: %s\ncanaries: [{version: %s, headers: {stage: canary}", old, next)
	document(header + "}]")
	s.routed(t, ways, share{next: 100}, share{old: 100})
	all(t, 1000, map[string]string{"canary": next}, canary...)
	all(t, 1000, map[string]string{"plain": old}, plain...)

	before := s.rules(t)
	s.deploy(t, next)
	w.proxies["shop"].WaitCluster(s.cluster(next), 3)
	if diff := cmp.Diff(before, s.rules(t)); diff != "" {
		t.Errorf("an instance came, and of the DestinationRule and the VirtualServices changed (-before +after)\n%s", diff)
	}

	weights := func(weight int) {
		t.Helper()
		document(fmt.Sprintf("%s, weight: %d}]", header, weight))
		want := share{old: 100 - weight, next: weight}
		switch weight {
		case 0, 100:
			want = share{map[int]string{0: old, 100: next}[weight]: 100}
		}
		s.routed(t, ways, share{next: 100}, want)
		divided(t, 2000, want, plain...)
		all(t, 300, map[string]string{"canary": next}, canary...)
	}
	for _, weight := range []int{0, 10, 50} {
		weights(weight)
	}

	document("primary: " + old)
	s.routed(t, ways, share{old: 100})
	all(t, 1000, map[string]string{"plain": old, "canary": old}, append(canary, plain...)...)
	weights(50)
	weights(100)

	document("primary: " + next)
	s.routed(t, ways, share{next: 100})
	s.retire(t, old)
	all(t, 1000, map[string]string{"plain": next, "canary": next}, append(canary, plain...)...)
	w.settled(t, name)
	s.without(t, old)
}

// without waits until the sidecar of the shop has the subset no more.
func (s *service) without(t *testing.T, subset string) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, "the subset of the version that was retired is gone", func() error {
		clusters, err := s.w.proxies["shop"].Endpoints()
		if _, ok := clusters[s.cluster(subset)]; ok {
			return fmt.Errorf("the Envoy has %s", s.cluster(subset))
		}
		return err
	})
}

// rules are the versions of the service's DestinationRule and VirtualServices in istiod.
func (s *service) rules(t *testing.T) map[string]string {
	t.Helper()
	versions, err := s.w.istiod.Versions()
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(versions, func(object, _ string) bool {
		return strings.HasPrefix(object, "ServiceEntry ") || !strings.Contains(object, s.name) || strings.Contains(object, " ops/")
	})
	if len(versions) != 4 {
		t.Errorf("istiod has of %s %v, want a DestinationRule and VirtualServices for the mesh, the gateway and the delegate", s.name, versions)
	}
	return versions
}

// root makes the VirtualService of those who own the gateway: it delegates the requests under the service's name. It returns
// its host.
func (w *world) root(t *testing.T, name string) string {
	t.Helper()
	host := name + ".root.example.com"
	object := fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root-%s, namespace: ops}
spec:
  hosts: [%s]
  gateways: [ops/gateway]
  http:
  - {match: [{uri: {prefix: /%[1]s}}], delegate: {name: %[1]s-routes, namespace: registries}}
`, name, host)
	w.kube.Apply(object)
	t.Cleanup(func() { w.kube.Delete(object) })
	return host
}
