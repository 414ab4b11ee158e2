//go:build integration

// Package servers shows that the real servers do what other tests take for granted.
package servers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"meshbridge/test/harness"
)

func TestMain(m *testing.M) {
	harness.Isolate()
	os.Exit(m.Run())
}

func TestAKilledZooKeeperKeepsItsData(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	server.Dial(t).Ensure("/a/b", "kept")
	server.Kill()
	server.Start()
	data, _, err := server.Dial(t).Get("/a/b")
	if err != nil || string(data) != "kept" {
		t.Fatalf("got %q, %v", data, err)
	}
}

func TestAnEnsembleElectsAnotherLeader(t *testing.T) {
	servers := harness.StartEnsemble(t, 3, harness.ZooKeeperConfig{})
	for _, s := range servers {
		if s.Mode() != "leader" {
			continue
		}
		s.Kill()
	}
	harness.Eventually(t, 20*time.Second, "one of the two left leads", func() error {
		var modes []string
		for _, s := range servers {
			modes = append(modes, s.Mode())
		}
		if got := strings.Join(modes, " "); !strings.Contains(got, "leader") || !strings.Contains(got, "follower") {
			return fmt.Errorf("modes are %q", got)
		}
		return nil
	})
}

func TestZooKeeperServesTLS(t *testing.T) {
	authority := harness.NewAuthority(t)
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{TLS: authority})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM)
	dial := func(network, address string, timeout time.Duration) (net.Conn, error) {
		return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, &tls.Config{RootCAs: roots})
	}
	conn, _, err := zk.Connect([]string{server.SecureAddr}, 4*time.Second, zk.WithDialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, _, err := conn.Children("/"); err != nil {
		t.Fatal(err)
	}
}

func TestADubboProviderRegistersBothProtocols(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	dubbo := harness.StartDubbo(t, harness.DubboConfig{Registry: server.Addr, App: "orders", Parameters: map[string]string{"zone": "z1"}})
	registry := server.Dial(t)
	children, _, err := registry.Children("/dubbo/" + harness.DubboInterface + "/providers")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range children {
		text, err := url.QueryUnescape(c)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got[u.Scheme] = u.Host + " " + u.Query().Get("zone")
	}
	for scheme, port := range map[string]int{"dubbo": dubbo.DubboPort, "tri": dubbo.TriplePort} {
		if want := fmt.Sprintf("10.0.0.5:%d z1", port); got[scheme] != want {
			t.Errorf("%s: got %q, want %q", scheme, got[scheme], want)
		}
	}
	if children, _, err := registry.Children("/services/orders"); err != nil || len(children) != 1 {
		t.Errorf("/services/orders: got %q, %v; want one instance", children, err)
	}
}

func TestASpringCloudApplicationRegisters(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	harness.StartSpringZooKeeper(t, harness.SpringConfig{Registry: server.Addr, App: "billing", Metadata: map[string]string{"version": "v1"}})
	registry := server.Dial(t)
	children, _, err := registry.Children("/services/billing")
	if err != nil || len(children) != 1 {
		t.Fatalf("/services/billing: got %q, %v; want one instance", children, err)
	}
	data, _, err := registry.Get("/services/billing/" + children[0])
	if err != nil || !strings.Contains(string(data), `"version":"v1"`) {
		t.Fatalf("got %s, %v", data, err)
	}
}
