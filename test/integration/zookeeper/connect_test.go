//go:build integration

package zookeeper

import (
	"net"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"meshbridge/sources"
	"meshbridge/sources/sourcetest"
	"meshbridge/sources/zookeeper"
	"meshbridge/test/harness"
)

func TestWithoutPermissionAServiceStandsAndAFaultSaysSo(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	if err := registry.AddAuth("digest", []byte("admin:secret")); err != nil {
		t.Fatal(err)
	}
	registry.Register(provider(greet, "10.0.0.1:20880"))
	registry.Register(provider("org.example.Open", "10.0.0.1:20880"))
	registry.Ensure("/dubbo/"+greet+"/configurators", "")
	closed := append(zk.DigestACL(zk.PermAll, "admin", "secret"), zk.WorldACL(zk.PermCreate)...)

	r := follow(t, config(server.Addr))
	r.Wait(t, "both", has(greet, 1))
	if _, err := registry.SetACL("/dubbo/"+greet+"/providers", closed, -1); err != nil {
		t.Fatal(err)
	}
	registry.Register(provider(greet, "10.0.0.2:20880")) // ZooKeeper tells nobody who may not read it, and forgets the watch
	registry.Ensure("/dubbo/"+greet+"/configurators/override%3A%2F%2F0.0.0.0%2F"+greet+"%3Fa%3Db", "")
	registry.Register(provider("org.example.Open", "10.0.0.2:20880"))
	p := r.Wait(t, "a fault and the other's change", func(p sourcetest.Picture) bool {
		return len(p.Faults) == 1 && p.Instances("org.example.Open") == 2
	})
	if p.Instances(greet) != 1 || !strings.Contains(p.Faults[0].Reason, "auth") || p.Faults[0].Where != "/dubbo/"+greet {
		t.Errorf("got %d instances and %+v, want the last report and a reason", p.Instances(greet), p.Faults)
	}

	c := config(server.Addr)
	c.Auth.Credentials = "admin:secret"
	follow(t, c).Wait(t, "both with the identity", has(greet, 2))

	if _, err := registry.SetACL("/dubbo/"+greet+"/providers", zk.WorldACL(zk.PermAll), -1); err != nil {
		t.Fatal(err)
	}
	r.Wait(t, "both without it, once it is allowed", func(p sourcetest.Picture) bool { return p.Instances(greet) == 2 && len(p.Faults) == 0 })
	registry.Register(provider(greet, "10.0.0.3:20880"))
	r.Wait(t, "a third, through a watch armed anew", has(greet, 3))
}

func TestAnUnreadableRootIsUnknownAndStopsNoOther(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	registry.Ensure("/services/billing/a", curator("billing", "a", "10.0.0.1", 8080, "UP"))
	if _, err := registry.Create("/dubbo", nil, 0, zk.DigestACL(zk.PermAll, "admin", "secret")); err != nil {
		t.Fatal(err)
	}
	r := follow(t, config(server.Addr))
	p := r.Wait(t, "the other root", has("billing", 1))
	if p.States["/dubbo"] == nil || p.States["/services"] != nil || p.Snapshots["/dubbo"] != 0 {
		t.Errorf("got states %v, snapshots %v; want /dubbo unknown and never reported", p.States, p.Snapshots)
	}
}

func TestAnUnknownSchemeIsTheReason(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	c := config(server.Addr)
	c.Auth = zookeeper.Auth{Scheme: "nosuch", Credentials: "a:b"}
	p := follow(t, c).Wait(t, "a reason", unknown)
	if err := p.States["/dubbo"]; !strings.Contains(err.Error(), "authenticate by nosuch") {
		t.Errorf("got %v, want a word on the scheme", err)
	}
}

func TestAChrootHoldsAllRoots(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	c := config(server.Addr)
	c.Chroot = "/prod/eu"
	r := follow(t, c)
	r.Wait(t, "unknown without its chroot", unknown)
	node := provider(greet, "10.0.0.1:20880").Node()
	registry.Ensure("/prod/eu"+node, "")
	registry.Ensure(provider("org.example.Outside", "10.0.0.1:20880").Node(), "")
	p := r.Wait(t, "the interface", func(p sourcetest.Picture) bool { return p.Instances(greet) == 1 && whole(p) })
	if len(p.Services) != 1 || p.Services[0].Scope != "/dubbo" {
		t.Errorf("got %+v, want the one below the chroot in scope /dubbo", p.Services)
	}
}

func TestTLSIsSpokenWithTheRightServersOnly(t *testing.T) {
	authority := harness.NewAuthority(t)
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{TLS: authority})
	server.Dial(t).Register(provider(greet, "10.0.0.1:20880"))
	c := config(server.SecureAddr)
	c.TLS = &sources.TLS{CA: harness.NewAuthority(t).File}
	p := follow(t, c).Wait(t, "a refusal", unknown)
	if err := p.States["/dubbo"]; !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, want a word on the certificate", err)
	}
	c.TLS = &sources.TLS{CA: authority.File}
	c.TLS.Cert, c.TLS.Key = authority.Issue("meshbridge", "meshbridge")
	follow(t, c).Wait(t, "the interface", has(greet, 1))
	_, port, _ := net.SplitHostPort(server.SecureAddr)
	c.Servers = []string{"localhost:" + port}
	follow(t, c).Wait(t, "the interface by name", has(greet, 1))
}

func TestNamesAreResolvedAnew(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	server.Dial(t).Register(provider(greet, "10.0.0.1:20880"))
	_, port, _ := net.SplitHostPort(server.Addr)
	r := follow(t, config("zk.example:"+port))
	p := r.Wait(t, "unknown without a name", unknown)
	if err := p.States["/dubbo"]; !strings.Contains(err.Error(), "zk.example") {
		t.Errorf("got %v, want the name that is not known", err)
	}
	harness.SetHosts(t, map[string]string{"zk.example": "127.0.0.2"})
	r.Wait(t, "refused at the wrong address", func(p sourcetest.Picture) bool {
		return p.States["/dubbo"] != nil && strings.Contains(p.States["/dubbo"].Error(), "127.0.0.2")
	})
	harness.SetHosts(t, map[string]string{"zk.example": "127.0.0.1"})
	r.Wait(t, "the interface at the right one", has(greet, 1))
}
