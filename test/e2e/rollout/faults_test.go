//go:build e2e

package rollout

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"meshbridge/test/harness"
)

// rollout is a service with a document, whose requests come from a sidecar and through the gateway.
type rollout struct {
	*service
	ways          []way
	plain, canary []harness.Request
}

// rollout starts one at version v1 alone.
func (w *world) rollout(t *testing.T, name string) *rollout {
	t.Helper()
	s := w.service(t, name, "")
	s.deploy(t, "v1")
	s.deploy(t, "v1")
	r := &rollout{service: s, ways: []way{s.inside("shop"), s.outside(name + ".example.com")}}
	for _, v := range r.ways {
		r.plain = append(r.plain, v.classed("plain"))
		r.canary = append(r.canary, v.with("canary", "stage", "canary"))
	}
	r.document(t, "primary: v1")
	s.routed(t, r.ways, share{"v1": 100})
	w.settled(t, name)
	return r
}

func (r *rollout) document(t *testing.T, rules string) {
	t.Helper()
	r.w.document(t, r.name+".yaml", fmt.Sprintf("name: %s\nservices: [%[1]s.mesh]\n%s\nexpose: [{gateway: ops/gateway, hosts: [%[1]s.example.com]}]\n", r.name, rules))
}

const byHeader = "primary: v1\ncanaries: [{version: v2, headers: {stage: canary}, weight: %d}]"

// walkAtOnce does in one instant what careful people do one after another: instances come with the routes to them, and leave with
// them, twice.
func (w *world) walkAtOnce(t *testing.T) {
	r := w.rollout(t, "mike")
	defer w.underLoad(t, append(r.plain, r.canary...)...).end(t)
	for _, v := range []struct{ old, next string }{{"v1", "v2"}, {"v2", "v3"}} {
		r.deploy(t, v.next)
		r.document(t, fmt.Sprintf("primary: %s\ncanaries: [{version: %s, headers: {stage: canary}, weight: 50}]", v.old, v.next))
		r.routed(t, r.ways, share{v.next: 100}, share{v.old: 50, v.next: 50})
		divided(t, 2000, share{v.old: 50, v.next: 50}, r.plain...)

		r.document(t, "primary: "+v.next)
		left := r.withdraw(t, v.old)
		r.routed(t, r.ways, share{v.next: 100})
		r.end(t, left)
		r.without(t, v.old)
	}
}

// retire promotes v2 and takes v1 out of the registry while something is down.
func (r *rollout) retire(t *testing.T, down, up func()) {
	t.Helper()
	down()
	r.document(t, "primary: v2")
	left := r.withdraw(t, "v1")
	up()
	r.routed(t, r.ways, share{"v2": 100})
	r.end(t, left)
	all(t, 1000, map[string]string{"plain": "v2", "canary": "v2"}, append(r.plain, r.canary...)...)
}

// walkBridgeDown kills the bridge and lets documents and instances change meanwhile.
func (w *world) walkBridgeDown(t *testing.T) {
	r := w.rollout(t, "hotel")
	defer w.underLoad(t, append(r.plain, r.canary...)...).end(t)

	w.bridge.Kill()
	r.deploy(t, "v2")
	r.document(t, fmt.Sprintf(byHeader, 50))
	w.bridge.Start()
	r.routed(t, r.ways, share{"v2": 100}, share{"v1": 50, "v2": 50})
	divided(t, 2000, share{"v1": 50, "v2": 50}, r.plain...)

	r.retire(t, w.bridge.Kill, w.bridge.Start)
}

// walkReplica turns istiod from one bridge to another while a subset settles, in both directions of a rollout.
func (w *world) walkReplica(t *testing.T) {
	r := w.rollout(t, "india")
	second := w.startBridge(t, "b")
	defer w.underLoad(t, append(r.plain, r.canary...)...).end(t)

	r.deploy(t, "v2")
	r.document(t, fmt.Sprintf(byHeader, 10))
	w.state(t, "india", "waiting")
	first := w.bridge
	w.line.To(second.MCP)
	w.bridge = second
	r.routed(t, r.ways, share{"v2": 100}, share{"v1": 90, "v2": 10})
	all(t, 300, map[string]string{"canary": "v2"}, r.canary...)

	r.retire(t, func() {}, func() {
		time.Sleep(settle / 4)
		w.line.To(first.MCP)
		w.bridge = first
	})
}

// walkIstiod restarts istiod in the middle of a rollout, in both directions.
func (w *world) walkIstiod(t *testing.T) {
	r := w.rollout(t, "juliett")
	defer w.underLoad(t, append(r.plain, r.canary...)...).end(t)

	r.deploy(t, "v2")
	r.document(t, fmt.Sprintf(byHeader, 50))
	w.state(t, "juliett", "waiting")
	w.istiod.Kill()
	w.istiod.Start()
	r.routed(t, r.ways, share{"v2": 100}, share{"v1": 50, "v2": 50})
	divided(t, 2000, share{"v1": 50, "v2": 50}, r.plain...)

	r.retire(t, w.istiod.Kill, w.istiod.Start)
}

// walkFailover kills the only instance of a canary, which the registry does not notice.
func (w *world) walkFailover(t *testing.T) {
	r := w.rollout(t, "kilo")
	load := w.underLoad(t, append(r.plain, r.canary...)...)
	defer load.end(t)

	gray := r.deploy(t, "v2")
	r.document(t, "primary: v1\nfallback: failover\ncanaries: [{name: gray, version: v2, headers: {stage: canary}}]")
	r.routed(t, r.ways, share{"gray": 100}, share{"v1": 100})
	w.settled(t, "kilo")
	all(t, 1000, map[string]string{"canary": "v2", "plain": "v1"}, append(r.plain, r.canary...)...)

	load.Between(gray.Kill)
	all(t, 2000, map[string]string{"canary": "v1", "plain": "v1"}, append(r.plain, r.canary...)...)
}

// fill adds n services with two instances each, which nobody calls. They stay.
func (w *world) fill(t *testing.T, n int) {
	t.Helper()
	var services []map[string]any
	for i := range n {
		services = append(services, map[string]any{
			"name": fmt.Sprintf("other%03d", i), "ports": []map[string]any{{"name": "main", "number": 80, "protocol": "HTTP"}},
			"instances": []map[string]any{
				{"address": fmt.Sprintf("10.40.%d.%d", i/200, 1+i%200), "port": 8080, "labels": map[string]string{"version": "v1"}},
				{"address": fmt.Sprintf("10.41.%d.%d", i/200, 1+i%200), "port": 8080, "labels": map[string]string{"version": "v2"}},
			},
		})
	}
	content, err := yaml.Marshal(map[string]any{"services": services})
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, filepath.Join(w.dir, "services", "others.yaml"), content)
	for _, proxy := range w.proxies {
		proxy.WaitCluster(fmt.Sprintf("outbound|80|v2|other%03d.mesh", n-1), 1)
	}
	w.healthy(t)
}
