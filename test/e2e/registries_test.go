//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// everywhere is one of each registry, and a bridge that follows them all, with a source that has never been there.
type everywhere struct {
	*world
	eureka *harness.EurekaServer
	consul *harness.ConsulServer
	nacos  [2]*harness.NacosProvider // of a Nacos 2 and a Nacos 3
	bridge *harness.Bridge
}

var (
	inNacos  = harness.NacosService{Name: "orders"}
	inEureka = harness.EurekaInstance{App: "orders", IP: "10.5.0.1", Port: 8080}
)

func startEverywhere(t *testing.T) *everywhere {
	t.Helper()
	e := &everywhere{world: newWorld(t), eureka: harness.StartEureka(t, harness.EurekaConfig{}), consul: harness.StartConsul(t, harness.ConsulConfig{})}
	var addresses [2]string
	for i, major := range []int{2, 3} {
		server := harness.StartNacos(t, harness.NacosConfig{Major: major})
		e.nacos[i], addresses[i] = server.Provide(""), server.Addr
	}
	e.eureka.Register(inEureka, harness.EurekaInstance{App: "in-eureka", IP: "10.5.1.1", Port: 8080})
	e.consul.Register(harness.ConsulInstance{Service: "in_consul", Address: "10.6.0.1", Port: 8080})
	e.nacos[0].Set(harness.NacosService{Name: "in-nacos-2"}, harness.NacosInstance{IP: "10.7.0.1", Port: 8080})
	e.nacos[1].Set(harness.NacosService{Name: "in-nacos-3"}, harness.NacosInstance{IP: "10.7.1.1", Port: 8080})
	e.nacos[1].Set(inNacos, harness.NacosInstance{IP: "10.5.0.2", Port: 8080})
	e.endpoints["orders.mesh"] = []string{"10.5.0.1:8080", "10.5.0.2:8080"}
	e.endpoints["in-eureka.mesh"] = []string{"10.5.1.1:8080"}
	e.endpoints["in-consul.mesh"] = []string{"10.6.0.1:8080"}
	e.endpoints["in-nacos-2.mesh"] = []string{"10.7.0.1:8080"}
	e.endpoints["in-nacos-3.mesh"] = []string{"10.7.1.1:8080"}
	e.bridge = harness.StartBridge(t, harness.BridgeConfig{YAML: e.config() + fmt.Sprintf(`- {name: eureka, eureka: {servers: [%q], interval: 500ms}}
- {name: consul, consul: {address: "http://%s"}}
- {name: nacos-2, nacos: {servers: ["http://%s"], interval: 1s}}
- {name: nacos-3, nacos: {servers: ["http://%s"], interval: 1s}}
- {name: dead, required: false, eureka: {servers: ["http://127.0.0.1:1/eureka"]}}
`, e.eureka.URL, e.consul.Addr, addresses[0], addresses[1])})
	return e
}

func TestAllRegistriesAtOnce(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		e := startEverywhere(t)
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, e.bridge.MCP))
		e.waitEndpoints(t, istiod)
		nothingRefused(t, istiod)
		e.neverEmpty(t, "dead")

		// orders moves from Eureka to Nacos: its process registers there as well, then no longer in Eureka.
		proxy := harness.StartProxy(t, istiod, harness.ProxyConfig{Delta: true})
		proxy.WaitEndpoints("orders.mesh", e.endpoints["orders.mesh"]...)
		fewest := proxy.WatchFewest("orders.mesh")
		before := len(proxy.Pushes())
		e.nacos[1].Set(inNacos, harness.NacosInstance{IP: "10.5.0.1", Port: 8080}, harness.NacosInstance{IP: "10.5.0.2", Port: 8080})
		time.Sleep(2 * time.Second) // both registries have it
		e.eureka.Deregister(inEureka)
		harness.Eventually(t, 30*time.Second, "the bridge knows that orders has left Eureka", func() error {
			if n := e.status(t, "eureka").Scopes[0].Services; n != 1 {
				return fmt.Errorf("%d services are in Eureka, want in-eureka alone", n)
			}
			return nil
		})
		proxy.Settle(2 * time.Second)
		proxy.WaitEndpoints("orders.mesh", "10.5.0.1:8080", "10.5.0.2:8080")
		if fewest() < 2 {
			t.Errorf("while orders moved it had only %d endpoints at some moment", fewest())
		}
		for _, push := range proxy.Since(before) {
			if push.Type == "CDS" && len(push.Names)+len(push.Removed) > 0 {
				t.Errorf("the move was a push of clusters: %v", push)
			}
		}
		nothingRefused(t, istiod)
	})
}

// status is a source as the bridge tells it.
type status struct {
	Scopes []struct {
		State, Error string
		Services     int
	}
}

func (e *everywhere) status(t *testing.T, source string) (s status) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.bridge.Command("get", "sources", source, "--server", e.bridge.Admin, "-o", "json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// neverEmpty checks that a source that was never read is told as that, and not as an empty one.
func (e *everywhere) neverEmpty(t *testing.T, source string) {
	t.Helper()
	for _, scope := range e.status(t, source).Scopes {
		if scope.State != "unread" || scope.Error == "" {
			t.Errorf("a source that was never read is %+v", scope)
		}
	}
}
