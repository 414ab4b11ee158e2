package main

import (
	"fmt"
	"path/filepath"
	"time"

	"meshbridge/test/harness"
)

// proxy is who sees the hosts of a mesh.
type proxy struct {
	name    string
	kind    string // of harness.EnvoyConfig
	limited bool   // by a Sidecar object, to the first ten hosts
}

// The proxies of the row. A Sidecar object means nothing to a gateway.
var (
	sidecar = proxy{name: "sidecar", kind: harness.Sidecar}
	fenced  = proxy{name: "sidecar, `Sidecar` of 10 hosts", kind: harness.Sidecar, limited: true}
	gateway = proxy{name: "gateway without routes", kind: harness.Gateway}
)

// seenBy is a world as a proxy sees it.
type seenBy struct {
	world World
	by    proxy
}

// sizes are what hosts take at each part of a mesh.
type sizes struct {
	clusters, listeners   int64
	config                int64
	envoy, istiod, bridge int64 // resident
	ready                 time.Duration
}

// limited is a Sidecar object that limits the proxy to the first ten hosts.
const limited = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: shop, namespace: default}
spec: {workloadSelector: {labels: {app: shop}}, egress: [{hosts: [%s]}]}
`

// envoyRow measures what the hosts that a proxy can see cost it, and what they cost istiod and the bridge.
func envoyRow(b *bench) error {
	hosts := func(n, versions int) World { return World{Services: n, Endpoints: 4, Versions: versions} }
	many := pick(b, 10000, 2000)
	t := table{
		title: "The size of a mesh",
		text: "One stock Envoy (1.40.0), configured as with iptables, 10 s after it has everything and before it is asked for its configuration, which is `/config_dump` with endpoints. " +
			"Four endpoints for each host, one port; with two subsets, of two versions. A port of TCP, such as Dubbo's, is a listener of its own, while all HTTP ports of one number share one. A `Sidecar` object that names ten hosts means nothing to a gateway. " +
			"istiod is Istio's master of " + harness.IstiodNewest.Version + " with this one proxy, in 16 shards; its memory and the bridge's are those of a process that has just loaded everything.",
		head: []string{"hosts", "protocol", "subsets of each", "proxy", "clusters", "listeners", "Envoy resident", "configuration", "first configuration after", "istiod resident", "bridge resident"},
	}
	measured := map[seenBy]sizes{} // by world and proxy
	tcp := hosts(1000, 1)
	tcp.TCP = true
	for _, c := range []struct {
		world   World
		proxies []proxy
	}{
		{hosts(10, 1), []proxy{sidecar}},
		{hosts(1000, 1), []proxy{sidecar, gateway, fenced}},
		{tcp, []proxy{sidecar, fenced}},
		{hosts(1000, 2), []proxy{sidecar, fenced}},
		{hosts(many, 1), []proxy{sidecar, fenced}},
	} {
		if err := b.meshSizes(c.world, c.proxies, measured); err != nil {
			return err
		}
		for _, p := range c.proxies {
			s := measured[seenBy{c.world, p}]
			t.rows = append(t.rows, []string{
				thousands(int64(c.world.Services)), protocolOf(c.world), subsetsOf(c.world), p.name, thousands(s.clusters), thousands(s.listeners),
				mib(s.envoy), size(s.config), seconds(s.ready), mib(s.istiod), mib(s.bridge),
			})
		}
	}
	b.report.table(t)
	each := table{
		title: "What a host costs",
		text:  fmt.Sprintf("From the rows above: the difference to the mesh of ten hosts, for each host of %s without subsets, and of 1,000 of TCP; and that of two subsets to none, for each subset of 1,000 hosts.", thousands(int64(many))),
		head:  []string{"each", "every Envoy that sees it: resident", "its configuration", "istiod resident", "bridge resident"},
	}
	few, all := measured[seenBy{hosts(10, 1), sidecar}], measured[seenBy{hosts(many, 1), sidecar}]
	plain, split := measured[seenBy{hosts(1000, 1), sidecar}], measured[seenBy{hosts(1000, 2), sidecar}]
	each.rows = append(each.rows, perHost("host of HTTP", few, all, int64(many-10)), perHost("host of TCP", few, measured[seenBy{tcp, sidecar}], 990), perHost("subset", plain, split, 2000))
	b.report.table(each)
	b.report.line(line{
		what: fmt.Sprintf("an Envoy with %s hosts, resident", thousands(int64(many))), measured: mib(all.envoy), target: "–", verdict: "–", limit: "–", peer: "–",
	})
	ten := measured[seenBy{hosts(many, 1), fenced}]
	b.report.line(line{
		what: "the same with a `Sidecar` of ten hosts; a mesh of ten", measured: fmt.Sprintf("%s, %s", mib(ten.envoy), mib(few.envoy)),
		target: "about the same", verdict: verdict(ten.envoy < few.envoy*3/2), limit: "–", peer: "–",
	})
	return nil
}

func protocolOf(w World) string {
	if w.TCP {
		return "TCP"
	}
	return "HTTP"
}

func subsetsOf(w World) string {
	if w.Versions < 2 {
		return "none"
	}
	return fmt.Sprint(w.Versions)
}

// perHost is what each of n things adds.
func perHost(what string, before, after sizes, n int64) []string {
	return []string{what, size((after.envoy - before.envoy) / n), size((after.config - before.config) / n), size((after.istiod - before.istiod) / n), size((after.bridge - before.bridge) / n)}
}

// meshSizes measures one world as each of the proxies sees it, those that a Sidecar object limits last.
func (b *bench) meshSizes(world World, proxies []proxy, measured map[seenBy]sizes) error {
	defer b.clean()
	m := b.mesh()
	m.kube.Apply(plainText)
	bridge, started, _, err := b.bridge(BridgeConfig{World: world, Quiet: 150 * time.Millisecond})
	if err != nil {
		return err
	}
	istiod, pid, err := m.istiod(started.Address, 16, harness.ForStockEnvoy()...)
	if err != nil {
		return err
	}
	time.Sleep(5 * time.Second) // its first work
	for _, p := range proxies {
		visible, each := world.Services, 1
		if world.Versions > 1 {
			each += world.Versions
		}
		if p.limited {
			m.kube.Apply(fmt.Sprintf(limited, firstHosts(world, 10)))
			time.Sleep(2 * time.Second)
			visible = 10
		}
		s, err := b.oneEnvoy(istiod.GRPC, p, int64(visible*each))
		if err != nil {
			return err
		}
		usage, err := do[Usage](bridge, "Usage", Nothing{})
		if err != nil {
			return err
		}
		s.istiod, s.bridge = b.used(pid).RSS, usage.RSS
		measured[seenBy{world, p}] = s
		b.progress("%s %s, %s subsets, %s: %s clusters, Envoy %s, configuration %s", describeWorld(world), protocolOf(world), subsetsOf(world), p.name, thousands(s.clusters), mib(s.envoy), size(s.config))
	}
	return nil
}

// oneEnvoy starts a proxy, waits until it has so many clusters and has warmed them, and measures it.
func (b *bench) oneEnvoy(istiod string, p proxy, clusters int64) (sizes, error) {
	var s sizes
	start := time.Now()
	envoy := harness.StartEnvoy(stand{b: b}, harness.EnvoyConfig{
		Istiod: istiod, Kind: p.kind, IP: "10.254.0.10", Pod: "shop", Namespace: "default", Labels: map[string]string{"app": "shop"}, Mode: "REDIRECT",
	})
	defer envoy.Stop()
	pid, err := processWith(filepath.Join(envoy.Dir, "envoy.json"))
	if err != nil {
		return s, err
	}
	for deadline := start.Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		stats := envoy.Stats("cluster_manager.*_clusters")
		if s.clusters = stats["cluster_manager.active_clusters"]; s.clusters >= clusters && stats["cluster_manager.warming_clusters"] == 0 {
			break
		}
		if time.Now().After(deadline) {
			return s, fmt.Errorf("after 3 minutes the Envoy has %v, want %d clusters", stats, clusters)
		}
	}
	s.ready = time.Since(start)
	time.Sleep(10 * time.Second)
	s.listeners = envoy.Stats("listener_manager.total_listeners_active")["listener_manager.total_listeners_active"]
	s.envoy = b.used(pid).RSS
	s.config = int64(len(envoy.ConfigDump()))
	if n := envoy.Rejected(); n > 0 {
		return s, fmt.Errorf("the Envoy refused %d updates", n)
	}
	return s, nil
}
