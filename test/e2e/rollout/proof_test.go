//go:build e2e

package rollout

import (
	"net/http"
	"testing"

	"meshbridge/test/harness"
)

func (w *world) canarySection() string { return "" }

func TestProof(t *testing.T) {
	w := newWorld(t)
	s := w.service(t, "echo", "")
	s.deploy(t, "v1")
	for _, p := range []string{"shop", "gateway"} {
		w.proxies[p].WaitCluster(s.cluster(""), 1)
	}
	w.kube.Apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root, namespace: ops}
spec:
  hosts: [app.example.com]
  gateways: [ops/gateway]
  http:
  - name: gw
    match: [{uri: {prefix: /echo}}]
    route: [{destination: {host: echo.mesh, port: {number: 80}}}]
`)
	w.proxies["gateway"].WaitRoute("app.example.com")
	load := harness.StartLoad(t, 300, func(n int) harness.Request {
		r := harness.Request{Address: sidecar("shop"), Host: "echo.mesh", Path: "/echo", Class: "sidecar"}
		if n%2 == 0 {
			r.Address, r.Host, r.Class = gateway, "app.example.com", "gateway"
		}
		if n%5 == 0 {
			r.Header = http.Header{"Stage": {"canary"}}
			r.Class += " canary"
		}
		return r
	})
	for range 3 {
		s.deploy(t, "v2")
	}
	w.proxies["shop"].WaitCluster(s.cluster("v2"), 3)
	w.proxies["gateway"].WaitCluster(s.cluster("v2"), 3)
	w.kube.Apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hand, namespace: registries}
spec:
  hosts: [echo.mesh]
  http:
  - name: hand.header
    match: [{headers: {stage: {exact: canary}}}]
    route: [{destination: {host: echo.mesh, port: {number: 80}, subset: v2}}]
  - name: hand.primary
    route: [{destination: {host: echo.mesh, port: {number: 80}, subset: v1}}]
`)
	w.proxies["shop"].WaitRoute("hand.header")
	got := harness.Burst(1000, func(int) harness.Request {
		return harness.Request{Address: sidecar("shop"), Host: "echo.mesh", Header: http.Header{"Stage": {"canary"}}}
	})
	t.Log(got)
	t.Log(harness.Burst(1000, func(int) harness.Request { return harness.Request{Address: sidecar("shop"), Host: "echo.mesh"} }))
	routes, err := w.proxies["shop"].Routes("echo.mesh")
	t.Log(routes, err)
	routes, err = w.proxies["gateway"].Routes("app.example.com")
	t.Log(routes, err)
	s.w.kube.Delete("{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: hand, namespace: registries}}")
	s.retire(t, "v1")
	r := load.Stop()
	if r.Failed > 0 {
		t.Errorf("failed: %q", r.Faults)
	}
	t.Log(w.proxies["shop"].RSS() >> 20)
	w.healthy(t)
}
