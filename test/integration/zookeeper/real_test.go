//go:build integration

package zookeeper

import (
	"fmt"
	"testing"

	"meshbridge/sources/sourcetest"
	"meshbridge/sources/zookeeper"
	"meshbridge/test/harness"
)

func TestARealDubboProviderIsOneInstanceWithBothProtocols(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	r := follow(t, config(server.Addr))
	r.Wait(t, "an empty registry", whole)
	dubbo := harness.StartDubbo(t, harness.DubboConfig{Registry: server.Addr, App: "orders", Parameters: map[string]string{"zone": "z1"}})

	p := r.Wait(t, "both protocols", func(p sourcetest.Picture) bool {
		s := p.Service(harness.DubboInterface)
		return s != nil && len(s.Instances) == 1 && len(s.Instances[0].Ports) == 2
	})
	i := only(t, p, harness.DubboInterface)
	want := fmt.Sprintf("dubbo:%d tri:%d", dubbo.DubboPort, dubbo.TriplePort)
	if i.Address != "10.0.0.5" || ports(i) != want || i.Metadata["zone"] != "z1" || i.Metadata["application"] != "orders" || !i.Usable() || i.Weight != 100 {
		t.Errorf("got %+v, want 10.0.0.5 with %s", i, want)
	}
	if s := p.Service("orders"); s != nil && len(s.Instances) > 0 {
		t.Errorf("the application is reported beside its interface: %+v", s)
	}
	if p.Service(harness.DubboInterface).Scope != "/dubbo" || !p.Service(harness.DubboInterface).Interface {
		t.Errorf("got %+v, want an interface of /dubbo", p.Service(harness.DubboInterface).Key)
	}

	dubbo.Stop()
	p = r.Wait(t, "no instance", has(harness.DubboInterface, 0))
	if s := p.Service("orders"); s != nil && len(s.Instances) > 0 {
		t.Errorf("the stopped provider came back as an application: %+v", s)
	}
}

func TestARealProviderThatIsKilledGoesWithItsSession(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{Lines: []string{"maxSessionTimeout=3000"}})
	r := follow(t, config(server.Addr))
	dubbo := harness.StartDubbo(t, harness.DubboConfig{Registry: server.Addr, App: "orders"})
	r.Wait(t, "the provider", has(harness.DubboInterface, 1))
	dubbo.Kill()
	p := r.Wait(t, "no instance", has(harness.DubboInterface, 0))
	if s := p.Service("orders"); s != nil && len(s.Instances) > 0 {
		t.Errorf("the killed provider came back as an application: %+v", s)
	}
}

func TestARealApplicationLevelProviderIsAServiceAndAnInterface(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	r := follow(t, config(server.Addr))
	dubbo := harness.StartDubbo(t, harness.DubboConfig{Registry: server.Addr, App: "orders", Mode: "instance"})
	want := fmt.Sprintf("dubbo:%d tri:%d", dubbo.DubboPort, dubbo.TriplePort)
	p := r.Wait(t, "application and interface", func(p sourcetest.Picture) bool {
		return p.Instances("orders") == 1 && p.Instances(harness.DubboInterface) == 1
	})
	for _, name := range []string{"orders", harness.DubboInterface} {
		if i := only(t, p, name); ports(i) != want || !i.Usable() {
			t.Errorf("%s: got %+v, want %s", name, i, want)
		}
	}
	if s := p.Service("orders"); s.Scope != "/services" || s.Interface {
		t.Errorf("got %+v, want an application of /services", s.Key)
	}
}

func TestModesLookAtOneTreeOnly(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	harness.StartDubbo(t, harness.DubboConfig{Registry: server.Addr, App: "orders", Group: "g", Version: "1.0.0"})

	c := config(server.Addr)
	c.Dubbo.Mode = zookeeper.ModeInterface
	p := follow(t, c).Wait(t, "the interface", has(harness.DubboInterface, 1))
	if s := p.Service(harness.DubboInterface); s.Group != "g" || s.Version != "1.0.0" {
		t.Errorf("got %+v, want group g and version 1.0.0", s.Key)
	}
	if s := p.Service("orders"); s != nil {
		t.Errorf("mode interface reports an application: %+v", s)
	}

	c.Dubbo.Mode = zookeeper.ModeInstance
	p = follow(t, c).Wait(t, "application and interface", func(p sourcetest.Picture) bool {
		return p.Instances("orders") == 1 && p.Instances(harness.DubboInterface) == 1
	})
	if s := p.Service(harness.DubboInterface); s.Group != "" || s.Version != "" {
		t.Errorf("got %+v, want what the mapping tells: neither group nor version", s.Key)
	}
}

func TestARealSpringCloudApplicationIsAService(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	r := follow(t, config(server.Addr))
	spring := harness.StartSpringZooKeeper(t, harness.SpringConfig{Registry: server.Addr, App: "billing", Metadata: map[string]string{"version": "v1"}})
	i := only(t, r.Wait(t, "the application", has("billing", 1)), "billing")
	if i.Address != spring.Address || ports(i) != fmt.Sprintf(":%d", spring.Port) || i.Metadata["version"] != "v1" || !i.Usable() {
		t.Errorf("got %+v, want %s:%d", i, spring.Address, spring.Port)
	}
	spring.Stop()
	r.Wait(t, "no instance", has("billing", 0))
}
