//go:build e2e

package validation

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// meshObjects let Envoys without iptables take part, and are the gateways that random documents name. Without the
// PeerAuthentication, a listener would wait for a certificate.
const meshObjects = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: DISABLE}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: e2e}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ops}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: app, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: e2e}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 81, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: ops}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 82, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: shop, namespace: default}
spec:
  workloadSelector: {labels: {app: shop}}
  egress:
  - {bind: 10.0.3.10, captureMode: NONE, hosts: ["*/*"]}
`

// Istiods take over whatever the bridge serves, and Envoys take whatever istiod makes of it.
func TestIstiodsAndEnvoysRefuseNothing(t *testing.T) {
	for _, onInvalid := range []string{"keep", "respond"} {
		t.Run(onInvalid, func(t *testing.T) {
			dir := harness.Scratch(t, "town")
			for _, folder := range []string{"services", "canaries"} {
				if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			first := seeds(t)[fixed]
			newTown(first, worlds, "marker-0").write(t, dir)
			bridge := harness.StartBridge(t, harness.BridgeConfig{YAML: fmt.Sprintf(`
protect: {delay: 100ms}
retainEmpty: 1s
subsets: {labels: [version, zone], retain: 1s}
canary: {files: [%q], settle: 500ms, onInvalid: %s}
sources:
- {name: files, file: {path: %q}, labels: {include: ["*"]}}
`, filepath.Join(dir, "canaries", "*.yaml"), onInvalid, filepath.Join(dir, "services"))})
			m := newMesh(t, bridge)
			routes := 0
			for round := range rounds {
				marker := fmt.Sprintf("marker-%d", round)
				newTown(first+uint64(round*worlds), worlds, marker).write(t, dir)
				routes += m.same(t, marker)
			}
			if routes < worlds {
				t.Errorf("only %d VirtualServices in all: the worlds show too little", routes)
			}
			m.healthy(t)
		})
	}
}

// Worlds of a town, and towns that follow each other.
const (
	worlds = 40
	rounds = 3
)

// mesh is what follows a bridge.
type mesh struct {
	bridge  *harness.Bridge
	istiods map[string]*harness.Istiod
	envoys  []*harness.Envoy // of the newest
}

func newMesh(t *testing.T, bridge *harness.Bridge) *mesh {
	t.Helper()
	kube := harness.StartKube(t)
	kube.Apply(meshObjects)
	source := []harness.ConfigSource{{Address: "xds://" + bridge.MCP}}
	m := &mesh{bridge: bridge, istiods: map[string]*harness.Istiod{
		"newest": harness.StartIstiod(t, harness.IstiodConfig{Tool: harness.IstiodNewest, Sources: source, Kube: kube, Env: harness.ForStockEnvoy()}),
		"1.24.0": harness.StartIstiod(t, harness.IstiodConfig{Tool: harness.Istiod124, Sources: source}),
	}}
	for _, config := range []harness.EnvoyConfig{
		{Kind: harness.Sidecar, IP: "10.0.2.10", Pod: "shop", Namespace: "default", Labels: map[string]string{"app": "shop"}},
		{Kind: harness.Gateway, IP: "10.0.2.30", Pod: "gateway", Namespace: "istio-system", Labels: map[string]string{"istio": "ingressgateway"}},
	} {
		config.Istiod = m.istiods["newest"].GRPC
		m.envoys = append(m.envoys, harness.StartEnvoy(t, config))
	}
	return m
}

// same waits until every istiod has all that the bridge serves, at the same versions, and with it the marker. It returns how many
// VirtualServices that are.
func (m *mesh) same(t *testing.T, marker string) (routes int) {
	t.Helper()
	var served map[string]harness.Served
	for name, istiod := range m.istiods {
		harness.Eventually(t, 40*time.Second, "istiod "+name+" has what the bridge serves", func() error {
			var err error
			if served, err = m.bridge.Resources(); err != nil {
				return err
			}
			for _, key := range []string{"mb-" + marker + ".mesh", "mb." + marker + ".istio-system.app."} {
				if !slices.ContainsFunc(slices.Collect(maps.Keys(served)), func(name string) bool { return strings.HasPrefix(name, "VirtualService registries/"+key) }) {
					documents, err := m.bridge.Canaries()
					_, service := served["ServiceEntry registries/"+marker+".mesh"]
					return fmt.Errorf("the bridge does not serve %s yet; its service: %t, its document: %+v %v", key, service, documents[marker], err)
				}
			}
			held, err := istiod.Versions()
			if err != nil {
				return err
			}
			return differ(served, held)
		})
		if lines := istiod.Refused(); len(lines) > 0 {
			t.Errorf("istiod %s refused %d times, first:\n%s", name, len(lines), lines[0])
		}
	}
	kinds := map[string]int{}
	for _, r := range served {
		kinds[r.Kind]++
	}
	t.Logf("istiods hold %v", kinds)
	return kinds["VirtualService"]
}

// differ says what an istiod has not, or has at another version, or has beside what is served. It may have objects of Kubernetes.
func differ(served map[string]harness.Served, held map[string]string) error {
	var wrong []string
	for _, key := range slices.Sorted(maps.Keys(served)) {
		if held[key] != served[key].Version {
			wrong = append(wrong, fmt.Sprintf("%s is served at %s and held at %q", key, served[key].Version, held[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(held)) {
		kind, _, _ := strings.Cut(key, " ")
		if _, ok := served[key]; !ok && slices.Contains([]string{"ServiceEntry", "DestinationRule", "VirtualService"}, kind) {
			wrong = append(wrong, key+" is held and not served")
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d objects of %d differ, first: %s", len(wrong), len(served), wrong[0])
	}
	return nil
}

// healthy fails the test when an Envoy has refused an update.
func (m *mesh) healthy(t *testing.T) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, "the Envoys have acknowledged all", func() error { return m.istiods["newest"].Synced(len(m.envoys)) })
	for _, e := range m.envoys {
		if n := e.Rejected(); n > 0 {
			t.Errorf("%s refused %d updates: %s", e.Name, n, e.Log())
		}
	}
}
