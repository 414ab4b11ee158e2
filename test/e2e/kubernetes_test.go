//go:build e2e

package e2e

import (
	"errors"
	"testing"
	"time"

	"meshbridge/test/harness"
)

func TestKubernetesBesideTheBridgeStillServes(t *testing.T) {
	w := newWorld(t)
	bridge := w.bridge(t)
	config := istiodConfig(t, harness.IstiodNewest, bridge.MCP)
	istiod := harness.StartIstiod(t, config)
	w.waitEndpoints(t, istiod)
	const manual = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: manual, namespace: default}
spec:
  hosts: [manual.example.com]
  addresses: [244.9.9.9]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.8.8.8}]
`
	has := func(want bool) func() error {
		return func() error {
			objects, err := istiod.Versions()
			if err != nil {
				return err
			}
			if _, got := objects["ServiceEntry default/manual"]; got != want {
				return errors.New("it is not so")
			}
			return nil
		}
	}
	config.Kube.Apply(manual)
	harness.Eventually(t, 10*time.Second, "configz has the object of Kubernetes", has(true))
	w.waitEndpoints(t, istiod)
	config.Kube.Delete(manual)
	harness.Eventually(t, 10*time.Second, "configz lost the object of Kubernetes", has(false))
	w.waitEndpoints(t, istiod)
	nothingRefused(t, istiod)
}
