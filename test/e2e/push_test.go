//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// proxies connects one proxy with state of the world and one with delta.
func proxies(t *testing.T, istiod *harness.Istiod) map[string]*harness.Proxy {
	t.Helper()
	return map[string]*harness.Proxy{
		"state of the world": harness.StartProxy(t, istiod, harness.ProxyConfig{}),
		"delta":              harness.StartProxy(t, istiod, harness.ProxyConfig{Delta: true}),
	}
}

func TestAnAddedChangedOrRemovedProviderIsAnEDSOnlyPush(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		bridge := w.bridge(t)
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, bridge.MCP))
		sidecars := proxies(t, istiod)

		// Interface 6 has three providers in one zone, interface 7 a fourth in another and so two subsets.
		added, moved, changed := provider(6, 3), provider(7, 0), provider(7, 1)
		added.Parameters["zone"] = "z1"
		newMoved, reweighed := moved, changed
		newMoved.Address = "10.1.7.77:20880"
		reweighed.Parameters = map[string]string{"zone": "z1", "weight": "50"}
		back := provider(8, 0)
		back.Address = "10.1.8.88:20880"
		for _, step := range []struct {
			fact  string
			iface string
			do    func()
			seen  func(p *harness.Proxy, before int, host string) // waits until the change has arrived
		}{
			{"a provider comes", added.Interface, func() { w.add(added) }, w.endpointsSeen},
			{"a provider goes", added.Interface, func() { w.remove(provider(6, 0)) }, w.endpointsSeen},
			{"a provider moves", moved.Interface, func() { w.add(newMoved); w.remove(moved) }, w.endpointsSeen},
			{"a provider's weight changes", changed.Interface, func() { w.registry.Register(reweighed); w.registry.Unregister(changed) }, pushSeen(t)},
			{"the last provider goes", back.Interface, func() { w.remove(provider(8, 0)) }, w.emptySeen(t, tool, istiod)},
			{"one comes again", back.Interface, func() { w.add(back) }, w.endpointsSeen},
		} {
			before := map[string]int{}
			for name, p := range sidecars {
				before[name] = len(p.Pushes())
			}
			step.do()
			for name, p := range sidecars {
				step.seen(p, before[name], host(step.iface))
				p.Settle(time.Second)
				onlyEDS(t, step.fact+", "+name, host(step.iface), p.Since(before[name]))
			}
		}
		nothingRefused(t, istiod)
	})
}

// endpointsSeen waits until the proxy has the host's endpoints.
func (w *world) endpointsSeen(p *harness.Proxy, _ int, host string) {
	p.WaitEndpoints(host, w.endpoints[host]...)
}

// pushSeen waits for any push.
func pushSeen(t *testing.T) func(*harness.Proxy, int, string) {
	return func(p *harness.Proxy, before int, _ string) {
		t.Helper()
		harness.Eventually(t, 30*time.Second, "a push comes", func() error {
			if len(p.Since(before)) == 0 {
				return errors.New("none has come")
			}
			return nil
		})
	}
}

// emptySeen waits until the host has no endpoint left. An istiod 1.24 takes the ServiceEntry without endpoints and yet keeps
// its last endpoint, for itself and for proxies, until another comes; there the ServiceEntry is all that can be waited for.
func (w *world) emptySeen(t *testing.T, tool harness.Tool, istiod *harness.Istiod) func(*harness.Proxy, int, string) {
	return func(p *harness.Proxy, before int, host string) {
		t.Helper()
		if tool.Version == harness.IstiodNewest.Version {
			w.endpointsSeen(p, before, host)
			return
		}
		harness.Eventually(t, 30*time.Second, "the ServiceEntry has no endpoints", func() error {
			objects, err := istiod.Objects()
			if err != nil {
				return err
			}
			if spec := objects["ServiceEntry registries/"+host].Spec; len(spec) == 0 || strings.Contains(string(spec), "endpoints") {
				return fmt.Errorf("it is %s", spec)
			}
			return nil
		})
	}
}

// onlyEDS fails unless the pushes are EDS of the host's clusters alone.
func onlyEDS(t *testing.T, fact, host string, pushes []harness.Push) {
	t.Helper()
	for _, p := range pushes {
		others := slices.DeleteFunc(slices.Clone(p.Names), func(cluster string) bool { return strings.HasSuffix(cluster, "|"+host) })
		if p.Type != "EDS" || len(others) > 0 || len(p.Removed) > 0 {
			t.Errorf("%s: pushed %v", fact, pushes)
			return
		}
	}
}

func TestARemovedServiceGoes(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		w := newWorld(t)
		bridge := harness.StartBridge(t, harness.BridgeConfig{YAML: "retainEmpty: 1s\n" + w.config()})
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, bridge.MCP))
		w.waitEndpoints(t, istiod)
		proxy := harness.StartProxy(t, istiod, harness.ProxyConfig{Delta: true})

		gone := provider(3, 0) // with a DestinationRule
		h := host(gone.Interface)
		if _, ok := versions(t, istiod)["DestinationRule registries/mb-"+h]; !ok {
			t.Fatalf("%s has no DestinationRule that could go", h)
		}
		if _, there := proxy.Endpoints(h); !there {
			t.Fatalf("the proxy has no cluster of %s that could go", h)
		}
		for j := range 4 {
			w.remove(provider(3, j))
		}
		delete(w.endpoints, h)
		w.waitEndpoints(t, istiod)
		harness.Eventually(t, 20*time.Second, "the service is gone", func() error { return without(istiod, proxy, h) })
		nothingRefused(t, istiod)
	})
}

// without is nil when neither istiod nor the proxy knows the host.
func without(istiod *harness.Istiod, proxy *harness.Proxy, host string) error {
	objects, err := istiod.Versions()
	if err != nil {
		return err
	}
	for name := range objects {
		if strings.HasSuffix(name, host) {
			return fmt.Errorf("configz has %s", name)
		}
	}
	hosts, err := istiod.Services()
	if err != nil {
		return err
	}
	if slices.Contains(hosts, host) {
		return errors.New("registryz has it")
	}
	if _, there := proxy.Endpoints(host); there {
		return errors.New("the proxy has a cluster of it")
	}
	return nil
}
