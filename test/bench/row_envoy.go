package main

import (
	"fmt"
	"path/filepath"
	"time"

	"meshbridge/test/harness"
)

// seenBy is a world as a proxy sees it.
type seenBy struct {
	world   World
	sidecar bool // the proxy is limited to the first ten hosts
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
		text: "One stock Envoy (1.40.0) that takes in traffic as with iptables, for 10 s after it has everything, and before its configuration was asked for; the configuration is its `/config_dump` with endpoints. " +
			"Four endpoints for each host, one port; with two subsets, of two versions. A port of TCP, such as Dubbo's, is a listener of its own, while all HTTP ports of one number share one. A `Sidecar` object limits the proxy to ten hosts. " +
			"istiod is Istio's master of " + harness.IstiodNewest.Version + " with this one proxy, in 16 shards; its memory and the bridge's are those of a process that has just loaded everything.",
		head: []string{"hosts", "protocol", "subsets of each", "`Sidecar`", "clusters", "listeners", "Envoy resident", "configuration", "first configuration after", "istiod resident", "bridge resident"},
	}
	measured := map[seenBy]sizes{}
	tcp := hosts(1000, 1)
	tcp.TCP = true
	for _, world := range []World{hosts(10, 1), hosts(1000, 1), tcp, hosts(1000, 2), hosts(many, 1)} {
		if err := b.meshSizes(world, measured); err != nil {
			return err
		}
		for _, sidecar := range []bool{false, true} {
			v := seenBy{world, sidecar}
			s, ok := measured[v]
			if !ok {
				continue
			}
			t.rows = append(t.rows, []string{
				thousands(int64(world.Services)), map[bool]string{false: "HTTP", true: "TCP"}[world.TCP], subsetsOf(world), map[bool]string{false: "none", true: "10 hosts"}[sidecar], thousands(s.clusters), thousands(s.listeners),
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
	few, all := measured[seenBy{world: hosts(10, 1)}], measured[seenBy{world: hosts(many, 1)}]
	plain, split := measured[seenBy{world: hosts(1000, 1)}], measured[seenBy{world: hosts(1000, 2)}]
	each.rows = append(each.rows, perHost("host of HTTP", few, all, int64(many-10)), perHost("host of TCP", few, measured[seenBy{world: tcp}], 990), perHost("subset", plain, split, 2000))
	b.report.table(each)
	b.report.line(line{
		what: fmt.Sprintf("an Envoy with %s hosts, resident", thousands(int64(many))), measured: mib(all.envoy), target: "–", verdict: "–", limit: "–", peer: "–",
	})
	ten := measured[seenBy{hosts(many, 1), true}]
	b.report.line(line{
		what: "the same with a `Sidecar` of ten hosts; a mesh of ten", measured: fmt.Sprintf("%s, %s", mib(ten.envoy), mib(few.envoy)),
		target: "about the same", verdict: verdict(ten.envoy < few.envoy*3/2), limit: "–", peer: "–",
	})
	return nil
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

// meshSizes measures one world, without and with a Sidecar object; that of ten hosts needs none.
func (b *bench) meshSizes(world World, measured map[seenBy]sizes) error {
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
	for _, sidecar := range []bool{false, true} {
		visible, each := world.Services, 1
		if world.Versions > 1 {
			each += world.Versions
		}
		if sidecar {
			if world.Services <= 10 {
				continue
			}
			m.kube.Apply(fmt.Sprintf(limited, firstHosts(world, 10)))
			time.Sleep(2 * time.Second)
			visible = 10
		}
		s, err := b.oneEnvoy(istiod.GRPC, int64(visible*each))
		if err != nil {
			return err
		}
		usage, err := do[Usage](bridge, "Usage", Nothing{})
		if err != nil {
			return err
		}
		s.istiod, s.bridge = b.used(pid).RSS, usage.RSS
		measured[seenBy{world, sidecar}] = s
		b.progress("%s, %s subsets, limited %t: %s clusters, Envoy %s, configuration %s", describeWorld(world), subsetsOf(world), sidecar, thousands(s.clusters), mib(s.envoy), size(s.config))
	}
	return nil
}

// oneEnvoy starts an Envoy, waits until it has so many clusters and has warmed them, and measures it.
func (b *bench) oneEnvoy(istiod string, clusters int64) (sizes, error) {
	var s sizes
	start := time.Now()
	envoy := harness.StartEnvoy(stand{b: b}, harness.EnvoyConfig{
		Istiod: istiod, Kind: harness.Sidecar, IP: "10.254.0.10", Pod: "shop", Namespace: "default", Labels: map[string]string{"app": "shop"}, Mode: "REDIRECT",
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
