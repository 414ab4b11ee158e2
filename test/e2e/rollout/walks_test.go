//go:build e2e

package rollout

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/test/harness"
)

// walkSource divides the calls of one workload and leaves another's alone.
func (w *world) walkSource(t *testing.T) {
	s := w.service(t, "benigno", "kong-mesh-app")
	s.port = 5000
	s.deploy(t, "v1")
	s.deploy(t, "v2")
	w.document(t, "benigno.yaml", `
name: benigno
services: [benigno.kong-mesh-app.mesh]
primary: v1
`)
	magnanimo, shop := s.inside("magnanimo"), s.inside("shop")
	s.routed(t, []way{magnanimo, shop}, share{"v1": 100})
	defer w.underLoad(t, magnanimo.call, shop.call).end(t)

	w.document(t, "benigno.yaml", `
name: benigno
services: [benigno.kong-mesh-app.mesh]
primary: v1
canaries: [{version: v2, weight: 10}]
from: {labels: {app: magnanimo}}
`)
	s.routed(t, []way{magnanimo}, share{"v1": 90, "v2": 10})
	s.routed(t, []way{shop}, share{"v1": 100})
	divided(t, 2000, share{"v1": 90, "v2": 10}, magnanimo.call)
	all(t, 2000, map[string]string{"shop": "v1"}, shop.call)
}

// walkMatches has a canary for each kind of match.
func (w *world) walkMatches(t *testing.T) {
	s := w.service(t, "lima", "")
	for _, version := range []string{"v1", "v2", "v3", "v4"} {
		s.deploy(t, version)
	}
	const document = "name: lima\nservices: [lima.mesh]\nprimary: v1\n"
	w.document(t, "lima.yaml", document)
	in := s.inside("shop")
	s.routed(t, []way{in}, share{"v1": 100})
	calls := []harness.Request{
		in.classed("none"), in.with("prefix", "stage", "canary-7"), in.with("other prefix", "stage", "my-canary"),
		in.with("regex", "x-user", "u42"), in.with("half a regex", "x-user", "u42x"),
		in.with("member", "baggage", "tenant=a;ttl=5, lane=gray;x=y"), in.with("other member", "baggage", "lane=grayish"),
	}
	defer w.underLoad(t, calls...).end(t)
	w.document(t, "lima.yaml", document+`canaries:
- {version: v2, headers: {stage: {prefix: canary}}}
- {version: v3, headers: {x-user: {regex: "u[0-9]+"}}}
- {version: v4, headers: {baggage: {member: {lane: gray}}}}
`)
	s.routed(t, []way{in}, share{"v2": 100}, share{"v3": 100}, share{"v4": 100}, share{"v1": 100})
	all(t, 1400, map[string]string{
		"none": "v1", "prefix": "v2", "other prefix": "v1", "regex": "v3", "half a regex": "v1", "member": "v4", "other member": "v1",
	}, calls...)
}

// walkTCP divides connections.
func (w *world) walkTCP(t *testing.T) {
	s := w.service(t, "db", "")
	s.port, s.protocol = 9000, "TCP"
	s.deploy(t, "v1")
	s.deploy(t, "v2")
	document := func(rules string) { w.document(t, "db.yaml", "name: db\nservices: [db.mesh]\nprimary: v1\n"+rules) }
	call := s.inside("shop").call
	call.TCP = true
	document("")
	settled := func(version string, seen bool) {
		t.Helper()
		harness.Eventually(t, 30*time.Second, "connections are divided as wanted", func() error {
			if found := harness.Burst(100, func(int) harness.Request { return call }); found["shop "+version] > 0 != seen || found["shop v1"]+found["shop v2"] < 100 {
				return &mismatch{found}
			}
			return nil
		})
	}
	settled("v2", false)
	defer w.underLoad(t, call).end(t)
	document("canaries: [{version: v2, weight: 20}]\n")
	settled("v2", true)
	w.settled(t, "db")
	divided(t, 1000, share{"v1": 80, "v2": 20}, call)
	document("canaries: [{version: v2, weight: 100}]\n")
	settled("v1", false)
	document("")
	settled("v2", false)
	all(t, 1000, map[string]string{"shop": "v1"}, call)
}

type mismatch struct{ found map[string]int }

func (m *mismatch) Error() string { return cmp.Diff(map[string]int(nil), m.found) }

// walkLane keeps coloured requests on gray instances over two services.
func (w *world) walkLane(t *testing.T) {
	mockb := w.service(t, "mockb", "e2e")
	mocka := w.service(t, "mocka", "e2e")
	mocka.port, mockb.port = 8000, 8000
	gray := func(_ *harness.EchoConfig, labels map[string]string) { labels["istio.service.tag"] = "gray" }
	on := func(workload string) func(*harness.EchoConfig, map[string]string) {
		further := mockb.inside(workload).call
		return func(c *harness.EchoConfig, _ map[string]string) {
			c.Next, c.NextAddress, c.Forward = further.Host, further.Address, []string{"my-request-id"}
		}
	}
	mockb.deploy(t, "base")
	mocka.deploy(t, "base", on("mocka-base"))
	const lane = `
name: gray
services: [mocka.e2e.mesh, mockb.e2e.mesh]
primary: base
canaries: [{name: canary, labels: {istio.service.tag: gray}, headers: {my-request-id: canary}}]
expose:
- gateway: ops/gateway
  hosts: [lane.example.com]
  service: mocka.e2e.mesh
  colour:
  - {when: {agent: pc}, set: {my-request-id: canary}}
  - {set: {my-request-id: base}}
`
	w.document(t, "gray.yaml", lane)
	in := mocka.outside("lane.example.com")
	base, baseToB := mocka.inside("shop"), []way{mockb.inside("mocka-base"), mockb.inside("mocka-gray")}
	pc, other := in.with("pc", "agent", "pc"), in.classed("other")
	forged, twice := in.with("forged", "my-request-id", "canary"), in.with("twice", "my-request-id", "canary", "canary")
	calls := []harness.Request{pc, other, forged, twice}
	// expect waits until the first hop and the second hop of coloured requests lead to these, and makes 1,000 requests.
	expect := func(first, second string) {
		t.Helper()
		mocka.routed(t, []way{in}, share{map[string]string{"gray": "canary", "base": "base"}[first]: 100}, share{"base": 100})
		if second == "gray" {
			mockb.routed(t, baseToB, share{"canary": 100}, share{"base": 100})
		} else {
			mockb.routed(t, baseToB, share{"base": 100})
		}
		all(t, 1000, map[string]string{"pc": first + " " + second, "other": "base base", "forged": "base base", "twice": "base base"}, calls...)
	}
	expect("base", "base")
	mocka.routed(t, []way{base}, share{"base": 100})
	defer w.underLoad(t, calls...).end(t)

	mockb.deploy(t, "gray", gray)
	expect("base", "gray")
	mocka.deploy(t, "gray", gray, on("mocka-gray"))
	expect("gray", "gray")
	for _, call := range []harness.Request{forged, twice} {
		hops, err := harness.Call(http.DefaultClient, call)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"base"}, hops[1].Header["My-Request-Id"]); diff != "" {
			t.Errorf("the colour of a %s request at the second hop (-want +got)\n%s", call.Class, diff)
		}
	}
	mockb.retire(t, "gray")
	expect("gray", "base")
	mockb.deploy(t, "gray", gray)
	expect("gray", "gray")
	mocka.retire(t, "gray")
	expect("base", "gray")
}
