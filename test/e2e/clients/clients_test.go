//go:build e2e

package clients

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/test/harness"
)

func TestClients(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		fact string
		run  func(t *testing.T)
	}{
		{"the sidecar resolves every host to the address that get services shows", w.resolves},
		{"a Dubbo consumer with url in its settings calls by host", w.dubboBySettings},
		{"a Dubbo consumer with url in its annotations calls by host, over both protocols", w.dubboByAnnotation},
		{"a Dubbo connection is one for all calls, and connections makes it more", w.dubboConnections},
		{"a Dubbo connection follows its route when the old one has drained, and no call fails", w.dubboMoves},
		{"a Dubbo consumer that changes nothing goes past the mesh", w.dubboUnchanged},
		{"a Spring client with discovery off calls by host", w.springByHost},
		{"a Spring client with simple discovery calls by name, and is registered as before", w.springByName},
		{"a Spring client that changes nothing goes past the mesh", w.springUnchanged},
		{"a gRPC client calls by host", w.grpcByHost},
		{"without DNS capture a hosts file does", w.withoutCapture},
		{"with REGISTRY_ONLY a client that changes nothing breaks, and one that calls by host goes on", w.registryOnly},
	} {
		t.Run(test.fact, test.run)
	}
	if lines := w.istiod.Refused(); len(lines) > 0 {
		t.Errorf("istiod refused %d times, first:\n%s", len(lines), lines[0])
	}
	for _, a := range w.agents {
		if n := a.Rejected(); n > 0 {
			t.Errorf("the Envoy of %s refused %d updates", a.Workload.Name, n)
		}
	}
	eventually(t, "every sidecar has what istiod sent", func() error { return w.istiod.Synced(len(w.agents)) })
}

// resolves also waits until the sidecar has everything.
func (w *world) resolves(t *testing.T) {
	want := w.addresses(t)
	for _, host := range []string{greeter, billing, stock} {
		if want[host] == "" {
			t.Fatalf("get services shows no address of %s: %v", host, want)
		}
	}
	eventually(t, "the sidecar resolves the hosts", func() error {
		got := map[string]string{}
		for host := range want {
			addresses, err := w.shop.Lookup(host)
			if err != nil {
				return err
			}
			got[host] = strings.Join(addresses, " ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got)\n%s", diff)
		}
		return nil
	})
}

func (w *world) withoutCapture(t *testing.T) {
	workload := w.network.StartWorkload("plain", 11)
	sidecar := w.agent(workload, nil)
	if got, err := workload.Lookup(billing); err == nil {
		t.Fatalf("without capture %s resolves to %v", billing, got)
	}
	workload.SetHosts(w.shell(t, snippet(t, "hosts")+"cat mesh.hosts"))
	consumer := workload.StartConsumer(t, harness.SpringConsumer, snippet(t, "spring-discovery-off"))
	calls(t, 3, consumer, sidecar, "template", "hello from billing", http)
}

// shell runs lines of the page, in which meshbridge is a command that knows its server.
func (w *world) shell(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", `meshbridge() { "$MESHBRIDGE_TEST_BINARY" "$@" --server "$ADMIN"; }`+"\n"+script)
	cmd.Dir = harness.Scratch(t, "shell")
	cmd.Env = append(os.Environ(), "ADMIN="+w.bridge.Admin)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, output)
	}
	return string(output)
}

func (w *world) registryOnly(t *testing.T) {
	w.kube.Apply(snippet(t, "registry-only"))
	// The registry is a destination that the mesh knows; else nobody who discovers even starts.
	host, port, _ := strings.Cut(w.network.Outside(w.zk.Addr), ":")
	w.kube.Apply(fmt.Sprintf(`{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: zookeeper, namespace: default}, spec: {
hosts: [zookeeper.example], addresses: [%s], location: MESH_EXTERNAL, resolution: NONE, ports: [{name: tcp, number: %s, protocol: TCP}]}}`, host, port))
	workload := w.network.StartWorkload("strict", 12)
	sidecar := w.agent(workload, capture(t))
	byHost := workload.StartConsumer(t, harness.SpringConsumer, snippet(t, "spring-discovery-off"))
	calls(t, 1, byHost, sidecar, "client", "hello from billing", http)
	unchanged := workload.StartConsumer(t, harness.SpringConsumer, w.springSettings())
	eventually(t, "the sidecar of strict closes connections to what it does not know", func() error {
		got, err := unchanged.Call("balanced")
		if err == nil {
			return fmt.Errorf("a client that changes nothing was answered %q", got)
		}
		if !strings.Contains(err.Error(), "I/O error") { // as when no instance is known
			return err
		}
		return nil
	})
	calls(t, 1, byHost, sidecar, "client", "hello from billing", http)
}
