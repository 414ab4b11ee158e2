//go:build e2e

// Package validation shows that Istio takes whatever the bridge serves: random instances and random canary documents go through the
// bridge, and Istio itself judges what comes out.
package validation

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"meshbridge/test/harness"
)

func TestMain(m *testing.M) {
	harness.Isolate(harness.BuildBridge)
	os.Exit(m.Run())
}

// judged are objects, and a part of the reason for which Istio refuses each; "" for those that it takes.
var judged = []struct{ reason, kind, spec string }{
	{"", "ServiceEntry", `{hosts: [a.mesh], addresses: [244.0.0.1], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {http: 8080}, labels: {version: 1.0.0}}]}`},
	{"", "DestinationRule", `{host: a.mesh, subsets: [{name: v1-0-0, labels: {version: 1.0.0}}]}`},
	{"", "VirtualService", `{hosts: [a.mesh], http: [{match: [{headers: {stage: {exact: canary}}}], route: [{destination: {host: a.mesh, subset: v2}}]}, {route: [{destination: {host: a.mesh, subset: v1}, weight: 90}, {destination: {host: a.mesh, subset: v2}, weight: 10}]}]}`},
	{"", "VirtualService", `{http: [{match: [{uri: {prefix: /shop}}], route: [{destination: {host: a.mesh, subset: v2}}]}]}`},
	{"", "VirtualService", `{hosts: [a.mesh], http: [{directResponse: {status: 404, body: {string: see check}}}]}`},

	{"unsupported protocol", "ServiceEntry", `{hosts: [a.mesh], addresses: [244.0.0.1], ports: [{number: 80, name: http, protocol: DUBBO}], resolution: STATIC}`},
	{"port 80 already defined", "ServiceEntry", `{hosts: [a.mesh], addresses: [244.0.0.1], ports: [{number: 80, name: a, protocol: HTTP}, {number: 80, name: b, protocol: HTTP}], resolution: STATIC}`},
	{"port", "ServiceEntry", `{hosts: [a.mesh], addresses: [244.0.0.1], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {grpc: 8080}}]}`},
	{"invalid tag value", "ServiceEntry", `{hosts: [a.mesh], addresses: [244.0.0.1], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.1, labels: {version: v1/2}}]}`},
	{"subset name is invalid", "DestinationRule", `{host: a.mesh, subsets: [{name: 1.0.0, labels: {version: 1.0.0}}]}`},
	{"duplicate subset", "DestinationRule", `{host: a.mesh, subsets: [{name: v1, labels: {version: v1}}, {name: v1, labels: {version: v2}}]}`},
	{"invalid tag value", "DestinationRule", `{host: a.mesh, subsets: [{name: v1, labels: {version: v 1}}]}`},
	{"route, redirect or direct_response is required", "VirtualService", `{hosts: [a.mesh], http: [{name: empty}]}`},
	{"must be provided", "VirtualService", `{hosts: [a.mesh]}`},
	{"weight = 0", "VirtualService", `{hosts: [a.mesh], http: [{route: [{destination: {host: a.mesh, subset: v1}, weight: 0}, {destination: {host: a.mesh, subset: v2}, weight: 0}]}]}`},
	{"header", "VirtualService", `{hosts: [a.mesh], http: [{match: [{headers: {"": {exact: canary}}}], route: [{destination: {host: a.mesh}}]}]}`},
	{"re2", "VirtualService", `{hosts: [a.mesh], http: [{match: [{headers: {stage: {regex: "("}}}], route: [{destination: {host: a.mesh}}]}]}`},
	{"SNI", "VirtualService", `{hosts: [a.mesh], tls: [{match: [{port: 443}], route: [{destination: {host: a.mesh}}]}]}`},
	{"duplicate", "VirtualService", `{hosts: [a.mesh, a.mesh], http: [{route: [{destination: {host: a.mesh}}]}]}`},
	{"gateway", "VirtualService", `{hosts: [a.mesh], gateways: [ops/apps/web], http: [{route: [{destination: {host: a.mesh}}]}]}`},
	{"status", "VirtualService", `{hosts: [a.mesh], http: [{directResponse: {status: 700}}]}`},
	{"unknown field", "VirtualService", `{hosts: [a.mesh], routes: []}`},
	{"unknown type", "Canary", `{}`},
}

// A judge that accepts everything, or refuses everything, is no judge.
func TestTheValidatorRefusesWhatIstioDoesAndNothingElse(t *testing.T) {
	objects := make([]json.RawMessage, len(judged))
	for i, j := range judged {
		object, err := yaml.YAMLToJSON([]byte("{apiVersion: networking.istio.io/v1, kind: " + j.kind + ", metadata: {name: a, namespace: b}, spec: " + j.spec + "}"))
		if err != nil {
			t.Fatal(err)
		}
		objects[i] = object
	}
	for i, refusal := range harness.JudgeJSON(t, objects) {
		switch j := judged[i]; {
		case j.reason == "" && refusal != "":
			t.Errorf("refused: %s %s: %s", j.kind, j.spec, refusal)
		case j.reason != "" && !strings.Contains(string(refusal), j.reason):
			t.Errorf("%s %s is to be refused for %q: %q", j.kind, j.spec, j.reason, refusal)
		}
	}
}
