//go:build e2e

package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/test/harness"
)

func TestAnIstiodStartedBeforeTheGateOpensBecomesReadyAfterIt(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		w.zk.Kill()
		bridge := harness.LaunchBridge(t, harness.BridgeConfig{YAML: w.config()})
		istiod := harness.LaunchIstiod(t, istiodConfig(t, tool, bridge.MCP))

		harness.Eventually(t, 30*time.Second, "istiod waits for its config sources", func() error {
			if !strings.Contains(istiod.Log(), "waiting for sync") {
				return errors.New("it does not say so")
			}
			clients, err := bridge.Clients()
			if err == nil && len(clients) != 1 {
				err = errors.New("it has no stream to the bridge")
			}
			return err
		})
		for range 20 {
			if istiod.Serves() == nil {
				t.Fatal("istiod serves proxies though ServiceEntries were never sent")
			}
			if bridge.Ready() == nil {
				t.Fatal("the bridge is ready though its registry is down")
			}
			time.Sleep(100 * time.Millisecond)
		}

		w.zk.Start()
		istiod.WaitReady()
		// What istiod held in the moment in which it began to serve is what it starts proxies with.
		endpoints, err := istiod.Endpoints()
		if err != nil {
			t.Fatal(err)
		}
		delete(endpoints, "kubernetes.default.svc.cluster.local")
		if diff := cmp.Diff(w.endpoints, endpoints); diff != "" {
			t.Errorf("istiod began to serve with other endpoints (-want +got)\n%s", firstLines(diff, 40))
		}
		nothingRefused(t, istiod)
	})
}
