//go:build e2e

package clients

import (
	"fmt"
	"testing"

	"meshbridge/test/harness"
)

// springSettings are those of an application that discovers in its registry.
func (w *world) springSettings() string {
	return fmt.Sprintf(`
spring:
  application: {name: shop}
  cloud: {zookeeper: {connect-string: %q, discovery: {instance-host: %s}}}
`, w.network.Outside(w.zk.Addr), w.shop.Address)
}

func (w *world) springByHost(t *testing.T) {
	consumer := w.shop.StartConsumer(t, harness.SpringConsumer, snippet(t, "spring-discovery-off"))
	for _, client := range []string{"template", "client", "reactive", "feignAtURL", "feign"} {
		calls(t, 2, consumer, w.sidecar, client, "hello from billing", http)
	}
}

func (w *world) springByName(t *testing.T) {
	consumer := w.shop.StartConsumer(t, harness.SpringConsumer, w.springSettings()+"---\n"+snippet(t, "spring-simple-discovery"))
	for _, client := range []string{"balanced", "balancedReactive", "feign"} {
		calls(t, 2, consumer, w.sidecar, client, "hello from billing", http)
	}
	eventually(t, "the bridge serves shop, which goes on registering", func() error {
		if w.addresses(t)["shop.mesh"] == "" {
			return fmt.Errorf("get services does not show it")
		}
		return nil
	})
}

func (w *world) springUnchanged(t *testing.T) {
	consumer := w.shop.StartConsumer(t, harness.SpringConsumer, w.springSettings())
	byHost, past := requests(w.sidecar, http), toAddress(w.sidecar, w.billing.Address)
	if got, err := consumer.Call("balanced"); err != nil || got != "hello from billing" {
		t.Fatalf("a client that discovers was answered %q, %v", got, err)
	}
	if n := requests(w.sidecar, http) - byHost; n > 0 {
		t.Errorf("a client that discovers sent %d requests to the cluster of the host", n)
	}
	if toAddress(w.sidecar, w.billing.Address) == past {
		t.Errorf("a client that discovers made no connection to the provider through %s", passthrough)
	}
}
