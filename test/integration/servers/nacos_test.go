//go:build integration

package servers

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// nacosHosts is what the server answers for a service: each address with its health and weight.
func nacosHosts(server *harness.NacosServer, service harness.NacosService) (map[string]string, error) {
	namespace, group := service.Namespace, service.Group
	if namespace == "" {
		namespace = "public"
	}
	if group == "" {
		group = "DEFAULT_GROUP"
	}
	content, err := server.Call("GET", "/v1/ns/instance/list", url.Values{"serviceName": {group + "@@" + service.Name}, "namespaceId": {namespace}})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Hosts []struct {
			IP      string
			Port    int
			Healthy bool
			Weight  float64
		}
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return nil, fmt.Errorf("%w in %s", err, content)
	}
	found := map[string]string{}
	for _, h := range answer.Hosts {
		found[fmt.Sprintf("%s:%d", h.IP, h.Port)] = fmt.Sprintf("%t %g", h.Healthy, h.Weight)
	}
	return found, nil
}

func waitNacos(t *testing.T, server *harness.NacosServer, service harness.NacosService, want map[string]string) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, server.Name+" shows "+service.Name, func() error {
		got, err := nacosHosts(server, service)
		if err != nil {
			return err
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
}

func TestNacos(t *testing.T) {
	for _, config := range []harness.NacosConfig{{Major: 2}, {Major: 2, Auth: true}, {Major: 3}, {Major: 3, Auth: true, Compat: true}} {
		t.Run(fmt.Sprintf("%d auth %t", config.Major, config.Auth), func(t *testing.T) { nacos(t, config) })
	}
}

func nacos(t *testing.T, config harness.NacosConfig) {
	server := harness.StartNacos(t, config)
	server.CreateNamespace("blue")
	one, two := harness.NacosInstance{IP: "10.1.0.1", Port: 8080}, harness.NacosInstance{IP: "10.1.0.2", Port: 8080, Unhealthy: true, Weight: 2}
	orders := harness.NacosService{Group: "shop", Name: "orders"}
	blueOrders := harness.NacosService{Namespace: "blue", Group: "shop", Name: "orders"}
	kept := harness.NacosService{Namespace: "blue", Name: "kept"}

	// Ephemeral instances live with their provider's connection.
	provider := server.Provide("blue")
	provider.Set(orders, one, two)
	waitNacos(t, server, blueOrders, map[string]string{"10.1.0.1:8080": "true 1", "10.1.0.2:8080": "false 2"})
	waitNacos(t, server, orders, map[string]string{})
	other := server.Provide("blue")
	other.Set(orders, harness.NacosInstance{IP: "10.1.0.3", Port: 8080})
	waitNacos(t, server, blueOrders, map[string]string{"10.1.0.1:8080": "true 1", "10.1.0.2:8080": "false 2", "10.1.0.3:8080": "true 1"})
	other.Close()
	provider.Set(orders, one)
	waitNacos(t, server, blueOrders, map[string]string{"10.1.0.1:8080": "true 1"})

	// Persistent ones stay.
	server.Persist(kept, one)
	waitNacos(t, server, kept, map[string]string{"10.1.0.1:8080": "true 1"})
	heavy := one
	heavy.Weight = 5
	server.Update(kept, heavy, false)
	waitNacos(t, server, kept, map[string]string{"10.1.0.1:8080": "true 5"})

	if config.Auth {
		server.CreateUser("reader", "secret")
		server.Grant("reader", "public:*:*", "r")
		server.Revoke("reader", "public:*:*", "r")
	}

	server.Kill()
	server.Start()
	waitNacos(t, server, blueOrders, map[string]string{"10.1.0.1:8080": "true 1"})
	if got, err := nacosHosts(server, kept); err != nil || len(got) != 1 {
		t.Errorf("kept after a restart: %v, %v", got, err)
	}
	provider.Set(orders)
	waitNacos(t, server, blueOrders, map[string]string{})
	server.Unpersist(kept, one)
	waitNacos(t, server, kept, map[string]string{})
}

func TestADubboProviderRegistersInNacos(t *testing.T) {
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			server := harness.StartNacos(t, harness.NacosConfig{Major: major})
			dubbo := harness.StartDubbo(t, harness.DubboConfig{Registry: "nacos://" + server.Addr, App: "orders"})
			waitNacos(t, server, harness.NacosService{Name: "providers:" + harness.DubboInterface + "::"}, map[string]string{
				fmt.Sprintf("10.0.0.5:%d", dubbo.DubboPort): "true 1", fmt.Sprintf("10.0.0.5:%d", dubbo.TriplePort): "true 1",
			})
		})
	}
}
