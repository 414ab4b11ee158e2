//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/test/harness"
)

// A host whose instances differ in what they offer is served as one ServiceEntry for each port, of the same host, namespace
// and address. That is right only if an istiod merges them, for sidecars and for gateways, and never sends a port to an
// instance that does not offer it.
func TestServiceEntriesOfOneHostAreMergedAndAPortGoesOnlyWhereItIsOffered(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		dir := filepath.Join(harness.Scratch(t, "services"), "services")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write := func(instances ...string) {
			text := "services:\n- name: mixed\n  ports: [{name: http, number: 80, protocol: HTTP}, {name: grpc, number: 50051, protocol: GRPC}]\n  instances:\n"
			for _, i := range instances {
				text += "  - " + i + "\n"
			}
			if err := os.WriteFile(filepath.Join(dir, "mixed.yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		both, second := "{address: 10.30.0.1, ports: {http: 8080, grpc: 9090}}", "{address: 10.30.0.2, ports: {http: 8080, grpc: 9090}}"
		onlyHTTP := "{address: 10.30.0.3, ports: {http: 8081}}"
		write(both, onlyHTTP)
		bridge := harness.StartBridge(t, harness.BridgeConfig{YAML: fmt.Sprintf("sources:\n- {name: hosts, file: {path: %q}}\n", dir)})
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, bridge.MCP))
		for name, config := range map[string]harness.ProxyConfig{"sidecar": {}, "sidecar with delta": {Delta: true}, "gateway": {Gateway: true}} {
			proxy := harness.StartProxy(t, istiod, config)
			wait := func(what string, want map[string][]string) {
				t.Helper()
				harness.Eventually(t, 30*time.Second, name+": "+what, func() error {
					if diff := cmp.Diff(want, proxy.Clusters("mixed.mesh")); diff != "" {
						return fmt.Errorf("clusters (-want +got):\n%s", diff)
					}
					return nil
				})
			}
			wait("each port has who offers it", map[string][]string{"80": {"10.30.0.1:8080", "10.30.0.3:8081"}, "50051": {"10.30.0.1:9090"}})
			before := len(proxy.Pushes())
			write(both, second, onlyHTTP)
			wait("another instance of both", map[string][]string{"80": {"10.30.0.1:8080", "10.30.0.2:8080", "10.30.0.3:8081"}, "50051": {"10.30.0.1:9090", "10.30.0.2:9090"}})
			for _, p := range proxy.Since(before) {
				if p.Type != "EDS" || strings.Contains(fmt.Sprint(p.Names), "inbound") {
					t.Errorf("%s: an instance more pushed %v", name, p)
				}
			}
			write(both, onlyHTTP)
			wait("as it was", map[string][]string{"80": {"10.30.0.1:8080", "10.30.0.3:8081"}, "50051": {"10.30.0.1:9090"}})
		}
		nothingRefused(t, istiod)
	})
}
