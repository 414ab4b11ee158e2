//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/test/harness"
)

func TestAResourceOfAnotherRevisionNeverArrives(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		// Every interface whose number ends in 7 is bound to the revision canary.
		const override = "  overrides: [{service: \"com.example.shop??7.*\", revision: canary}]\n"
		bridge := harness.StartBridge(t, harness.BridgeConfig{YAML: w.config() + override})
		config := istiodConfig(t, tool, bridge.MCP)
		bound := func(host string) bool { return strings.Contains(host, "7.catalog.mesh") }

		all := w.endpoints
		unbound := map[string][]string{}
		for host, endpoints := range all {
			if !bound(host) {
				unbound[host] = endpoints
			}
		}
		// An istiod with a revision drops what is bound to another by itself, one without takes all that it is sent: so it is
		// the empty revision that shows what the bridge sends.
		for revision, want := range map[string]map[string][]string{"": unbound, "stable": unbound, "canary": all} {
			config.Revision = revision
			istiod := harness.StartIstiod(t, config)
			seen := world{endpoints: want}
			seen.waitEndpoints(t, istiod)
			if got := len(versions(t, istiod)); got < len(want) {
				t.Errorf("revision %q: %d objects for %d services", revision, got, len(want))
			}
			nothingRefused(t, istiod)
			istiod.Stop()
		}

		for revision, want := range map[string]int{"": 0, "stable": 0, "canary": len(all) - len(unbound)} {
			output := bridge.Command("watch", bridge.MCP, "--revision", revision, "--kind", "ServiceEntry", "--once")
			got := 0
			for line := range strings.Lines(output) {
				if bound(line) {
					got++
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("watch with the revision %q, bound services (-want +got)\n%s%s", revision, diff, fmt.Sprintf("%.500s", output))
			}
		}
	})
}
