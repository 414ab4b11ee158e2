//go:build e2e

// Package rollout walks canary rollouts in a mesh: a bridge over files, an istiod, and stock Envoys, which carry a steady load
// from applications to instances that say who they are. There is one mesh for all walks; each has services of its own.
package rollout

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"meshbridge/test/harness"
)

func TestMain(m *testing.M) {
	harness.Isolate(harness.BuildBridge)
	os.Exit(m.Run())
}

// settle is how long the bridge waits between a subset and its routes; retain how long a subset stays after its last instance.
const (
	settle = 2 * time.Second
	retain = 3 * time.Second
)

// world is the mesh.
type world struct {
	dir     string // of services/ and canaries/, which the bridges follow
	keys    string // further ones of the bridges' configuration
	bridge  *harness.Bridge
	line    *harness.Switch // istiod's way to a bridge
	istiod  *harness.Istiod
	kube    *harness.KubeServer       // nil with an istiod 1.24
	proxies map[string]*harness.Envoy // by the name of the workload
	given   atomic.Int32              // addresses of instances
}

// The workloads that call: each has a sidecar, which listens for the application on an address of its own.
var workloads = []workload{
	{name: "shop", namespace: "default", ip: "10.0.250.10", listen: "10.0.251.10"},
	{name: "magnanimo", namespace: "kong-mesh-app", ip: "10.0.250.12", listen: "10.0.251.12"},
	{name: "mocka-base", namespace: "e2e", ip: "10.0.250.20", listen: "10.0.251.20"},
	{name: "mocka-gray", namespace: "e2e", ip: "10.0.250.21", listen: "10.0.251.21"},
}

type workload struct{ name, namespace, ip, listen string }

// gateway is where the gateway listens.
const gateway = "10.0.250.30:80"

// sidecar is where the workload's sidecar listens for calls to port 80.
func sidecar(name string) string {
	for _, w := range workloads {
		if w.name == name {
			return w.listen + ":80"
		}
	}
	panic("no workload " + name)
}

// newWorld starts the mesh without services.
func newWorld(t *testing.T) *world {
	t.Helper()
	return startWorld(t, harness.IstiodNewest, "")
}

// startWorld starts the mesh with an istiod of a version, and with further keys in the bridge's configuration.
func startWorld(t *testing.T, tool harness.Tool, keys string) *world {
	t.Helper()
	w := &world{dir: harness.Scratch(t, "mesh"), keys: keys, proxies: map[string]*harness.Envoy{}}
	for _, folder := range []string{"services", "canaries", "istio"} {
		if err := os.Mkdir(filepath.Join(w.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.bridge = w.startBridge(t, "a")
	w.line = harness.NewSwitch(t, w.bridge.MCP)
	config := harness.IstiodConfig{Tool: tool, Sources: []harness.ConfigSource{{Address: "xds://" + w.line.Addr}}, Env: harness.ForStockEnvoy()}
	if tool.Version == harness.Istiod124.Version { // which reads from a folder what the newest reads from Kubernetes
		folder := filepath.Join(w.dir, "istio")
		replaceFile(t, filepath.Join(folder, "mesh.yaml"), []byte(meshObjects()))
		config.Sources = append(config.Sources, harness.ConfigSource{Address: "fs://" + folder})
	} else {
		w.kube = harness.StartKube(t)
		w.kube.Apply(meshNamespaces() + meshObjects())
		config.Kube = w.kube
	}
	w.istiod = harness.StartIstiod(t, config)
	for _, l := range workloads {
		w.proxies[l.name] = harness.StartEnvoy(t, harness.EnvoyConfig{
			Istiod: w.istiod.GRPC, Kind: harness.Sidecar, IP: l.ip, Pod: l.name, Namespace: l.namespace, Labels: map[string]string{"app": l.name},
		})
	}
	w.proxies["gateway"] = harness.StartEnvoy(t, harness.EnvoyConfig{
		Istiod: w.istiod.GRPC, Kind: harness.Gateway, IP: "10.0.250.30", Pod: "gateway", Namespace: "ops", Labels: map[string]string{"istio": "ingressgateway"},
	})
	return w
}

// startBridge starts a replica; all follow the same files, each keeps its own state.
func (w *world) startBridge(t *testing.T, name string) *harness.Bridge {
	t.Helper()
	return harness.StartBridge(t, harness.BridgeConfig{YAML: fmt.Sprintf(`
state: {dir: %q}
protect: {delay: 100ms}
subsets: {retain: %s}
canary: {files: [%q], settle: %s}
sources:
- name: hosts
  file: {path: %q}
%s
`, harness.Scratch(t, "state-"+name), retain, filepath.Join(w.dir, "canaries", "*.yaml"), settle, filepath.Join(w.dir, "services"), w.keys)})
}

// configure adds keys to the bridge's section of canaries, until the test ends. The bridge starts anew for it.
func (w *world) configure(t *testing.T, keys string) {
	t.Helper()
	before, err := os.ReadFile(w.bridge.Config)
	if err != nil {
		t.Fatal(err)
	}
	become := func(content []byte) {
		w.bridge.Stop()
		replaceFile(t, w.bridge.Config, content)
		w.bridge.Start()
	}
	become(bytes.Replace(before, []byte("canary: {"), []byte("canary: {"+keys+", "), 1))
	t.Cleanup(func() { become(before) })
}

// meshNamespaces are those of the workloads.
func meshNamespaces() string {
	var all strings.Builder
	for _, namespace := range []string{"kong-mesh-app", "e2e", "ops"} {
		fmt.Fprintf(&all, "{apiVersion: v1, kind: Namespace, metadata: {name: %s}}\n---\n", namespace)
	}
	return all.String()
}

// meshObjects is what the owners of the mesh wrote. Sidecars do without iptables: the outbound listeners are bound to the
// workload's own address. Without the PeerAuthentication, a listener would wait for a certificate.
func meshObjects() string {
	objects := `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: DISABLE}}
`
	for _, l := range workloads {
		objects += fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: %s, namespace: %s}
spec:
  workloadSelector: {labels: {app: %[1]s}}
  egress:
  - {bind: %[3]s, captureMode: NONE, hosts: ["*/*"]}
`, l.name, l.namespace, l.listen)
	}
	return objects + `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: ops}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, bind: 10.0.250.30, hosts: ["*"]}
`
}

// healthy fails the test when an Envoy has refused an update, when an Envoy does not get all of istiod's, or when istiod
// refused something of the bridge's.
func (w *world) healthy(t *testing.T) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, "every proxy has acknowledged all", func() error { return w.istiod.Synced(len(w.proxies)) })
	for name, proxy := range w.proxies {
		if n := proxy.Rejected(); n > 0 {
			t.Errorf("the Envoy of %s refused %d updates: %s", name, n, proxy.Log())
		}
	}
	if lines := w.istiod.Refused(); len(lines) > 0 {
		t.Errorf("istiod refused %d times, first:\n%s", len(lines), lines[0])
	}
}
