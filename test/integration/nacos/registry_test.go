//go:build integration

package nacos

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

func TestEveryNamespaceAndGroupIsFound(t *testing.T) {
	each(t, harness.NacosConfig{}, func(t *testing.T, server *harness.NacosServer) {
		server.CreateNamespace("blue")
		server.CreateNamespace("green")
		for _, s := range []harness.NacosService{{Name: "orders"}, {Group: "pay", Name: "orders"}, {Namespace: "blue", Group: "pay", Name: "orders"}, {Namespace: "green", Name: "stock"}} {
			server.Persist(s, instance("10.0.0.1"))
		}
		all, named := config(server), config(server)
		all.Namespaces = []string{"*"}
		named.Namespaces, named.Groups = []string{"prod=blue", "public"}, []string{"pay"}
		everything, some := follow(t, all), follow(t, named)

		p := everything.Wait(t, "four services", func(p sourcetest.Picture) bool { return len(p.Services) == 4 && well(p) })
		want := map[sources.Key]bool{
			{Scope: "public", Namespace: "public", Group: "DEFAULT_GROUP", Name: "orders"}: true, {Scope: "public", Namespace: "public", Group: "pay", Name: "orders"}: true,
			{Scope: "blue", Namespace: "blue", Group: "pay", Name: "orders"}: true, {Scope: "green", Namespace: "green", Group: "DEFAULT_GROUP", Name: "stock"}: true,
		}
		for _, s := range p.Services {
			if !want[s.Key] {
				t.Errorf("%+v is reported", s.Key)
			}
		}
		p = some.Wait(t, "two services", func(p sourcetest.Picture) bool { return len(p.Services) == 2 && well(p) })
		for _, s := range p.Services {
			if s.Group != "pay" || s.Scope != "public" && s.Scope != "prod" {
				t.Errorf("%+v is reported", s.Key)
			}
		}

		server.CreateNamespace("later")
		server.Persist(harness.NacosService{Namespace: "later", Group: "new", Name: "late"}, instance("10.0.0.2"))
		server.Persist(harness.NacosService{Namespace: "blue", Group: "pay", Name: "more"}, instance("10.0.0.2"))
		everything.Wait(t, "what came later", func(p sourcetest.Picture) bool { return p.Instances("late") == 1 && p.Instances("more") == 1 })
		p = some.Wait(t, "what came later", has("more", 1))
		if p.Service("late") != nil || p.Service("more").Namespace != "prod" {
			t.Errorf("got %+v", p.Services)
		}
		if server.Major == 2 {
			return // its namespaces are removed by its console, which this server has not
		}
		server.DropNamespace("later")
		everything.Wait(t, "the namespace is gone", func(p sourcetest.Picture) bool { return p.Service("late") == nil && well(p) })
	})
}

func TestWhatNacosSaysOfAnInstance(t *testing.T) {
	each(t, harness.NacosConfig{}, func(t *testing.T, server *harness.NacosServer) {
		orders, kept := harness.NacosService{Name: "orders"}, harness.NacosService{Name: "kept"}
		provider := server.Provide("")
		r := follow(t, config(server))
		r.Wait(t, "an empty registry", well)
		half := harness.NacosInstance{IP: "10.0.0.3", Port: 8080, Weight: 0.5, Cluster: "HZ", Metadata: map[string]string{"version": "v2", "preserved.register.source": "SPRING_CLOUD"}}
		provider.Set(orders, instance("10.0.0.1"), harness.NacosInstance{IP: "10.0.0.2", Port: 8080, Unhealthy: true}, half,
			harness.NacosInstance{IP: "10.0.0.4", Port: 8080, Drained: true}, harness.NacosInstance{IP: "10.0.0.5", Port: 8443, Metadata: map[string]string{"secure": "true"}})
		server.Persist(kept, instance("10.0.0.9"))
		p := r.Wait(t, "all of it", func(p sourcetest.Picture) bool { return p.Instances("orders") == 5 && p.Instances("kept") == 1 })
		for address, ok := range map[string]func(i *sources.Instance) bool{
			"10.0.0.1": func(i *sources.Instance) bool {
				return i.Usable() && i.Weight == 100 && i.Locality == "" && ports(i) == ":8080"
			},
			"10.0.0.2": func(i *sources.Instance) bool { return !i.Healthy && i.Enabled },
			"10.0.0.3": func(i *sources.Instance) bool {
				return i.Weight == 50 && i.Locality == "HZ" && i.Metadata["nacos.cluster"] == "HZ" && i.Metadata["version"] == "v2"
			},
			"10.0.0.4": func(i *sources.Instance) bool { return i.Weight == 0 && !i.Usable() },
			"10.0.0.5": func(i *sources.Instance) bool { return ports(i) == "https:8443" },
		} {
			if i := find(p, "orders", address); i == nil || !ok(i) || i.Metadata["nacos.ephemeral"] != "" {
				t.Errorf("%s: got %+v", address, i)
			}
		}
		if i := find(p, "kept", "10.0.0.9"); i.Metadata["nacos.ephemeral"] != "false" {
			t.Errorf("got %+v of a persistent instance", i)
		}

		// An operator changes weights and takes an instance out.
		out, heavy := instance("10.0.0.1"), half
		out.Disabled, heavy.Weight = true, 3
		server.Update(orders, out, true)
		server.Update(orders, heavy, true)
		r.Wait(t, "one is out, one is heavy", func(p sourcetest.Picture) bool {
			i := find(p, "orders", "10.0.0.3")
			gone := find(p, "orders", "10.0.0.1")
			return i != nil && i.Weight == 300 && (gone == nil || !gone.Usable())
		})

		// The last instance of one service goes.
		provider.Set(orders)
		p = r.Wait(t, "none", func(p sourcetest.Picture) bool { return p.Instances("orders") <= 0 })
		if p.Instances("kept") != 1 {
			t.Error("its neighbour went along")
		}
	})
}

func TestARealDubboProviderIsOneInstanceWithBothProtocols(t *testing.T) {
	each(t, harness.NacosConfig{}, func(t *testing.T, server *harness.NacosServer) {
		r := follow(t, config(server))
		r.Wait(t, "an empty registry", well)
		dubbo := harness.StartDubbo(t, harness.DubboConfig{Registry: "nacos://" + server.Addr, App: "orders", Group: "gray", Version: "1.0.0", Parameters: map[string]string{"zone": "z1"}})
		p := r.Wait(t, "both protocols", func(p sourcetest.Picture) bool {
			i := find(p, harness.DubboInterface, dubbo.Address)
			return i != nil && len(i.Ports) == 2 && p.Service("orders") == nil
		})
		i, s := find(p, harness.DubboInterface, dubbo.Address), p.Service(harness.DubboInterface)
		if !s.Interface || s.Group != "gray" || s.Key.Version != "1.0.0" || s.Namespace != "public" {
			t.Errorf("got %+v", s.Key)
		}
		if i.Metadata["zone"] != "z1" || i.Metadata["application"] != "orders" || !i.Usable() || i.Weight != 100 || !strings.HasPrefix(ports(i), "dubbo:") || !strings.Contains(ports(i), " tri:") {
			t.Errorf("got %+v", i)
		}
		for _, s := range p.Services {
			if strings.HasPrefix(s.Name, "consumers:") || strings.HasPrefix(s.Name, "providers:") {
				t.Errorf("%+v is reported", s.Key)
			}
		}
		dubbo.Stop()
		p = r.Wait(t, "no instance", func(p sourcetest.Picture) bool { return p.Instances(harness.DubboInterface) <= 0 })
		if s := p.Service("orders"); s != nil && len(s.Instances) > 0 {
			t.Errorf("the stopped provider came back as an application: %+v", s)
		}
	})
}

// ensureMapping waits until the application has noted which interface it offers. Dubbo compares and sets, and on a machine
// that is busy it may lose to its own earlier attempt for good; then the note is written in its place.
func ensureMapping(t *testing.T, server *harness.NacosServer, app string) {
	t.Helper()
	path, form := "/v3/admin/cs/config", url.Values{"groupName": {"mapping"}, "namespaceId": {"public"}}
	if server.Major == 2 {
		path, form = "/v1/cs/configs", url.Values{"group": {"mapping"}}
	}
	form.Set("dataId", harness.DubboInterface)
	for range 20 {
		if content, err := server.Call("GET", path, form); err == nil && strings.Contains(string(content), app) {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Log("Dubbo could not write its mapping; the test does")
	form.Set("content", app)
	if _, err := server.Call("POST", path, form); err != nil {
		t.Fatal(err)
	}
}

func TestARealDubboProviderThatRegistersAsAnApplicationServesItsInterfacesToo(t *testing.T) {
	each(t, harness.NacosConfig{}, func(t *testing.T, server *harness.NacosServer) {
		dubbo := harness.StartDubbo(t, harness.DubboConfig{Registry: "nacos://" + server.Addr, App: "stock", Mode: "instance"})
		ensureMapping(t, server, "stock")
		all, interfaces := config(server), config(server)
		interfaces.Dubbo.Mode = "interface"
		r, none := follow(t, all), follow(t, interfaces)
		p := r.Wait(t, "the application, and through the mapping its interface", func(p sourcetest.Picture) bool {
			return p.Instances("stock") == 1 && p.Instances(harness.DubboInterface) == 1
		})
		if i := find(p, harness.DubboInterface, dubbo.Address); i == nil || len(i.Ports) != 2 || !p.Service(harness.DubboInterface).Interface {
			t.Errorf("got %+v", p.Service(harness.DubboInterface))
		}
		if p = none.Wait(t, "nothing", well); p.Instances("stock") > 0 || p.Instances(harness.DubboInterface) > 0 {
			t.Errorf("mode interface: got %+v", p.Services)
		}
		dubbo.Kill()
		r.Wait(t, "no instance", func(p sourcetest.Picture) bool {
			return p.Instances("stock") <= 0 && p.Instances(harness.DubboInterface) <= 0
		})
	})
}
