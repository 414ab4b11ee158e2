//go:build e2e

package e2e

import (
	"testing"

	"meshbridge/test/harness"
)

// An istiod 1.24 keeps the last endpoint of a ServiceEntry that has become empty. Where that matters retainEmpty: 0s is the
// remedy: the ServiceEntry goes with its last instance, and every istiod takes the endpoints along.
func TestWithoutRetentionTheLastInstanceTakesItsServiceAlong(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		bridge := harness.StartBridge(t, harness.BridgeConfig{YAML: "retainEmpty: 0s\n" + w.config()})
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, bridge.MCP))
		for _, p := range proxies(t, istiod) {
			last := provider(8, 0)
			p.WaitEndpoints(host(last.Interface), w.endpoints[host(last.Interface)]...)
			w.remove(last)
			p.WaitEndpoints(host(last.Interface))
			w.add(last)
			p.WaitEndpoints(host(last.Interface), w.endpoints[host(last.Interface)]...)
		}
		nothingRefused(t, istiod)
	})
}
