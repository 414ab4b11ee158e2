package check_test

import (
	"fmt"
	"time"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/check"
	"meshbridge/convert"
)

// document is one that is served, at one host.
func document(name, team string) api.Canary {
	v := admintest.Canary(name, team, name+".mesh", 50)
	return api.Canary{Name: name, Team: team, File: "/etc/meshbridge/canaries/" + name + ".yaml", State: v.State, Since: v.Since, Services: v.Services}
}

// invalid is a bridge with a document in each state that is not the file's.
func invalid(ago func(time.Duration) *time.Time) func(*check.Bridge) {
	return func(b *check.Bridge) {
		last := document("echo", "blue")
		last.State, last.Since = convert.CanaryLastGood, ago(24*time.Hour)
		last.Faults = []api.DocumentFault{
			{Path: "canaries[0].version", Text: `"v9": echo.mesh has versions v1, v2`},
			{Path: "canaries[0].weight", Text: "/etc/meshbridge/canaries/echo.yaml:7: canaries[0].weight: is above 100\x1b[31m"},
		}
		held := document("lane", "")
		held.State, held.Since = convert.CanaryHeld, nil
		for i := range 12 {
			held.Faults = append(held.Faults, api.DocumentFault{Path: fmt.Sprintf("services[%d]", i), Text: "has no dot"})
		}
		responding := document("foxtrot", "red")
		responding.State, responding.Faults = convert.CanaryResponding, []api.DocumentFault{{Path: "canaries[0].version", Text: `"v3": foxtrot.mesh has versions v1, v2`}}
		unread := api.Canary{File: "/etc/meshbridge/canaries/broken.yaml", State: convert.CanaryHeld, Faults: []api.DocumentFault{{Text: "not YAML: did not find expected key"}}}
		early := api.Canary{Name: "early", File: "early.yaml", State: convert.CanaryPending}
		guess := api.Canary{Name: "guess", File: "guess.yaml", State: convert.CanaryPending,
			Findings: []api.CanaryFinding{{Class: convert.FindingUnknown, Warning: true, Host: "gues.mesh", Text: "no service of this host is known: it may come later"}}}
		partly := document("partly", "red")
		partly.Findings = guess.Findings
		gone := document("gone", "red")
		gone.State = convert.CanaryLastGood
		lost := document("lost", "blue")
		lost.State, lost.Findings = convert.CanarySuperseded, []api.CanaryFinding{{Class: convert.FindingSuperseded, Warning: true, Host: "lost.mesh", Text: "document other of team red has primary and weights"}}
		pushed := document("pushed", "blue")
		pushed.Findings = []api.CanaryFinding{{Class: convert.FindingSuperseded, Warning: true, Text: "document other of team red has gateway a/b, hosts *, prefix /"}}
		b.Canaries = []api.Canary{unread, early, last, responding, guess, held, document("fine", ""), partly, gone, lost, pushed}
	}
}

// rollouts is a bridge with documents of which there is something to know.
func rollouts(b *check.Bridge) {
	done := document("foxtrot", "red")
	done.Findings = []api.CanaryFinding{{Class: convert.FindingRetire, Host: "foxtrot.mesh", Text: "v2 100 %, v1 0 %: promote v2 to retire v1"}}
	lane := document("lane", "")
	for i := range 5 {
		lane.Findings = append(lane.Findings, api.CanaryFinding{Class: convert.FindingEmpty, Warning: true, Host: fmt.Sprintf("s%d.mesh", i), Text: `canary "gray" has no ready endpoint; its traffic goes to the primary`})
	}
	idle := document("idle", "")
	idle.Findings = []api.CanaryFinding{{Class: "idle", Warning: true, Host: "idle.mesh", Text: `canary "v2" gets no requests: give it headers or a weight`}}
	waiting := document("echo", "blue")
	four, two := 4, 2
	waiting.State = api.CanaryWaiting
	waiting.Waiting = []api.CanaryWait{{Client: "sidecar~1~istiod-0.istio-system~x", Seconds: &two}, {Client: "sidecar~1~istiod-1.istio-system~x", Seconds: &four}, {Client: "sidecar~1~istiod-1.istio-system~x", Seconds: &two}}
	unacked := document("early", "blue")
	unacked.State, unacked.Waiting = api.CanaryWaiting, []api.CanaryWait{{Client: "sidecar~1~istiod-0.istio-system~x", Resource: "registries/mb-early.mesh"}}
	fresh := document("fresh", "")
	fresh.State, fresh.Waiting = api.CanaryWaiting, []api.CanaryWait{{Client: "sidecar~1~istiod-2.istio-system~x"}}
	tls := document("tls", "")
	b.Services = []api.Service{{Host: "tls.mesh", Ports: []api.Port{{Number: 80, Protocol: "HTTP"}, {Number: 443, Protocol: "HTTPS"}}}, {Host: "no-document.mesh", Ports: []api.Port{{Number: 443, Protocol: "TLS"}}}}
	b.Canaries = []api.Canary{fresh, unacked, waiting, done, idle, lane, tls}
}

// astray is a bridge with documents that send requests where nobody wants them.
func astray(b *check.Bridge) {
	mixed := document("echo", "blue")
	mixed.Findings = []api.CanaryFinding{{Class: convert.FindingOverlap, Warning: true, Host: "echo.mesh", Text: `2 endpoints are in canary "v2" and in the primary`}}
	tcp := document("dubbo", "")
	tcp.Findings = []api.CanaryFinding{{Class: convert.FindingProtocol, Warning: true, Host: "dubbo.mesh", Text: `canary "v2" is chosen by headers, which ports of TCP do not have`}}
	partly := document("grpc", "")
	partly.Findings = []api.CanaryFinding{{Class: convert.FindingProtocol, Host: "grpc.mesh", Text: `canary "v2" is chosen by headers, which ports of TCP do not have`}}
	dead := document("dead", "")
	dead.Services[0].Subsets[0].Endpoints = 0
	dead.Findings = []api.CanaryFinding{{Class: convert.FindingEmpty, Warning: true, Host: "dead.mesh", Text: "the primary has no ready endpoint: requests to it fail; name a version that there is"}}
	b.Canaries = []api.Canary{dead, tcp, mixed, partly}
}

// rules are a DestinationRule with a trafficPolicy and n without, and a VirtualService.
func rules(n int) []api.Resource {
	created := convert.Created()
	rule := func(kind, name string) api.Resource {
		return api.Resource{Kind: kind, Namespace: "registries", Name: "mb-" + name, Host: name, Version: "1", Created: &created}
	}
	list := []api.Resource{rule("DestinationRule", "a.mesh"), rule("VirtualService", "a.mesh")}
	list[0].Policy = true
	for i := range n {
		list = append(list, rule("DestinationRule", fmt.Sprintf("b%d.mesh", i)))
	}
	return list
}
