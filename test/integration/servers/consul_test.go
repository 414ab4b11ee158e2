//go:build integration

package servers

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"meshbridge/test/harness"
)

func TestAKilledConsulKeepsItsCatalogAndAWipedOneHasNone(t *testing.T) {
	server := harness.StartConsul(t, harness.ConsulConfig{})
	server.Register(harness.ConsulInstance{Service: "orders", Address: "10.1.0.1", Port: 8080})
	health := func() int {
		entries, _, err := server.Health().Service("orders", "", true, nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	server.Kill()
	server.Start()
	if n := health(); n != 1 {
		t.Errorf("after a kill: %d instances, want 1", n)
	}
	server.Kill()
	server.Wipe()
	server.Start()
	if n := health(); n != 0 {
		t.Errorf("wiped: %d instances, want none", n)
	}
}

func TestConsulGrantsAndRevokes(t *testing.T) {
	server := harness.StartConsul(t, harness.ConsulConfig{ACL: true})
	server.Register(harness.ConsulInstance{Service: "orders", Address: "10.1.0.1", Port: 8080, Status: api.HealthCritical})
	token := server.Grant(harness.ReadAll)
	reader := server.Dial(token.Secret)
	read := func() (int, error) {
		services, _, err := reader.Catalog().Services(nil)
		return len(services), err
	}
	if n, err := read(); n != 2 || err != nil {
		t.Fatalf("got %d services, %v; want orders and consul", n, err)
	}
	server.Restrict(token, `service_prefix "" { policy = "read" }`)
	harness.Eventually(t, 10*time.Second, "nodes that may not be read hide their services", func() error {
		if n, err := read(); n != 0 || err != nil {
			return fmt.Errorf("got %d services, %v", n, err)
		}
		return nil
	})
	server.Revoke(token)
	if _, err := read(); err == nil {
		t.Fatal("a revoked token reads")
	}
	server.Restore(token)
	server.Restrict(token, harness.ReadAll)
	if n, err := read(); n != 2 || err != nil {
		t.Fatalf("restored: got %d services, %v", n, err)
	}
}

func TestTwoConsulDatacentersSeeEachOther(t *testing.T) {
	first := harness.StartConsul(t, harness.ConsulConfig{TLS: harness.NewAuthority(t)})
	second := harness.StartConsul(t, harness.ConsulConfig{Datacenter: "dc2", JoinWAN: first})
	second.Register(harness.ConsulInstance{Service: "orders", Address: "10.1.0.1", Port: 8080})
	harness.Eventually(t, 20*time.Second, "dc1 reads dc2", func() error {
		services, _, err := first.Catalog().Services(&api.QueryOptions{Datacenter: "dc2"})
		if err != nil || services["orders"] == nil {
			return fmt.Errorf("got %v, %v", services, err)
		}
		return nil
	})
}
