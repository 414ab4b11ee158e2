package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"meshbridge/mcpserver"
	"meshbridge/test/harness"
)

// rolloutSettle is canary.settle of the row. A step between subsets that are there waits for nothing, so it only makes the row
// shorter.
const rolloutSettle = 2 * time.Second

// rolloutRow measures what an edit of a canary document costs and how long it takes to requests.
func rolloutRow(b *bench) error {
	world := World{Services: pick(b, 10000, 2000), Endpoints: 20, Versions: 3, Canaries: 100}
	if err := b.stepCost(world); err != nil {
		return err
	}
	b.clean()
	return b.stepEffect(world)
}

// folder is an empty folder that goes with the row.
func (b *bench) folder(name string) (string, error) {
	dir, err := os.MkdirTemp("", "meshbridge-bench-"+name+"-")
	if err == nil {
		b.cleanups = append(b.cleanups, func() { os.RemoveAll(dir) }) //nolint:errcheck // it is temporary
	}
	return dir, err
}

// stepCost measures the bridge and the connections, with scripted clients.
func (b *bench) stepCost(world World) error {
	t := table{
		title: "A step of a rollout",
		text: fmt.Sprintf("At %s, %d of the services with three versions and a canary document each, in files of their own. A step edits one document: another weight, and another value of a header. "+
			"One client, `mcp.quiet` 0. CPU is the bridge's, from the event of the file to the ACK, the least of three measurements.", describeWorld(world), world.Canaries),
		head: []string{"protocol", "shards", "on the wire", "of messages", "bridge CPU for each step", "median to the client", "the most"},
	}
	for _, c := range []struct {
		speaks string
		shards int
	}{{delta, 1}, {sotw, 1}, {sotw, 64}} {
		dir, err := b.folder("canaries")
		if err != nil {
			return err
		}
		o, err := b.loadBridge(load{
			name: fmt.Sprintf("rollout-%s-%d", c.speaks[:5], c.shards), world: world, speaks: c.speaks, clients: 1, shards: c.shards,
			count: pick(b, 20, 8), interval: 500 * time.Millisecond, folder: dir, settle: rolloutSettle,
		})
		if err != nil {
			return err
		}
		if o.lost > 0 {
			return fmt.Errorf("%s, %s: %d steps did not come to the client", c.speaks, parts(c.shards), o.lost)
		}
		t.rows = append(t.rows, []string{
			c.speaks, fmt.Sprint(c.shards), size(o.wire), size(o.payload), ms(o.cpu), ms(quantile(o.delays, 0.5)), ms(quantile(o.delays, 1)),
		})
		if c.speaks == delta {
			what := fmt.Sprintf("a step of a rollout, %s, %d canaries, delta: ", describeWorld(world), world.Canaries)
			b.report.line(line{what: what + "bytes on the wire", measured: size(o.wire), target: "the one VirtualService", verdict: verdict(o.wire < 4096), limit: size(o.payload), peer: "–"})
			b.report.line(line{what: what + "CPU of the bridge", measured: ms(o.cpu), target: "–", verdict: "–", limit: "–", peer: "–"})
		}
	}
	b.report.table(t)
	return nil
}

// rolloutMesh lets Envoys take part without iptables: each has a listener for port 80 on an address of its own. One may call all
// hosts and one ten of them. Without the PeerAuthentication a listener would wait for a certificate.
const rolloutMesh = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: DISABLE}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: all, namespace: default}
spec: {workloadSelector: {labels: {app: all}}, egress: [{bind: 10.254.1.10, captureMode: NONE, hosts: ["*/*"]}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: ten, namespace: default}
spec: {workloadSelector: {labels: {app: ten}}, egress: [{bind: 10.254.1.20, captureMode: NONE, hosts: [%s]}]}
`

// stepEffect measures a real istiod and real Envoys.
func (b *bench) stepEffect(world World) error {
	const shards = 64
	dir, err := b.folder("canaries")
	if err != nil {
		return err
	}
	m := b.mesh()
	m.kube.Apply(plainText)
	m.kube.Apply(fmt.Sprintf(rolloutMesh, firstHosts(world, 10)))
	bridge, started, _, err := b.bridge(BridgeConfig{World: world, Quiet: mcpserver.Default().Quiet, Folder: dir, Settle: rolloutSettle})
	if err != nil {
		return err
	}
	istiod, istiodPID, err := m.istiod(started.Address, shards, harness.ForStockEnvoy()...)
	if err != nil {
		return err
	}
	if err := b.answer(world); err != nil {
		return err
	}
	ways := []*way{{app: "ten", listen: "10.254.1.20:80"}, {app: "all", listen: "10.254.1.10:80"}}
	for i, w := range ways {
		w.envoy = harness.StartEnvoy(stand{b: b}, harness.EnvoyConfig{
			Istiod: istiod.GRPC, Kind: harness.Sidecar, IP: fmt.Sprintf("10.254.0.%d", 10+i), Pod: w.app, Namespace: "default", Labels: map[string]string{"app": w.app},
		})
		if w.pid, err = processWith(filepath.Join(w.envoy.Dir, "envoy.json")); err != nil {
			return err
		}
	}
	time.Sleep(10*time.Second + 3*rolloutSettle) // first work, and settle of istiod's stream
	run := stepRun{b: b, world: world, bridge: bridge, ways: ways}
	if err := run.step(); err != nil { // a first one, which is not counted
		return err
	}
	run.acks, ways[0].delays, ways[1].delays = nil, nil, nil
	pids := []int{istiodPID, ways[0].pid, ways[1].pid}
	before := make([]Usage, len(pids))
	for i, pid := range pids {
		before[i] = b.used(pid)
	}
	count := pick(b, 40, 10)
	for range count {
		if err := run.step(); err != nil {
			return err
		}
	}
	cpu := make([]string, len(pids))
	for i, pid := range pids {
		cpu[i] = ms((b.used(pid).CPU - before[i].CPU) / time.Duration(count))
	}
	if err := istiod.Synced(len(ways)); err != nil {
		return err
	}
	b.stepReport(world, run, shards, cpu)
	return nil
}

func (b *bench) stepReport(world World, run stepRun, shards int, cpu []string) {
	t := table{
		title: "A step of a rollout, to requests",
		text: fmt.Sprintf("At %s with %d canaries, as above; a stock istiod in %d shards with its default debounce (100 ms of quiet), `mcp.quiet` %s, and two stock Envoys, "+
			"one that a `Sidecar` object limits to ten hosts, and one that has all. From before the document is written: until istiod has acknowledged the VirtualService, and until a request "+
			"with the header's new value is answered by the canary. The bridge reads a document when two looks, 200 ms apart, found the same, so after 200 to 400 ms. CPU is that of istiod and of each Envoy, with the requests that look for the step. %d steps, one at a time after a pause. A weight or header between subsets that exist does not wait for `canary.settle`; "+
			"the first route to a new subset does, and takes that longer.", describeWorld(world), world.Canaries, shards, mcpserver.Default().Quiet, len(run.acks)),
		head: []string{"until", "median", "the most", "CPU for each step"},
	}
	what := fmt.Sprintf("a step of a rollout, %s, %d canaries: ", describeWorld(world), world.Canaries)
	for i, r := range []struct {
		until  string
		delays []time.Duration
	}{
		{"ACK of istiod", run.acks},
		{"requests at an Envoy of 10 hosts", run.ways[0].delays},
		{fmt.Sprintf("requests at an Envoy of %s hosts", thousands(int64(world.Services))), run.ways[1].delays},
	} {
		median := quantile(r.delays, 0.5)
		t.rows = append(t.rows, []string{r.until, ms(median), ms(quantile(r.delays, 1)), cpu[i]})
		b.report.line(line{what: what + "document → " + r.until + ": median", measured: ms(median), target: "–", verdict: "–", limit: "200–400 ms at rest, 100 ms of debounce", peer: "–"})
	}
	b.report.table(t)
}
