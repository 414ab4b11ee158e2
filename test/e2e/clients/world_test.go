//go:build e2e

// Package clients shows what docs/clients.md says: how applications behind real sidecars reach the bridge's hosts. Every snippet
// of that page is the setting or the source of an application that runs here.
package clients

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"sigs.k8s.io/yaml"

	"meshbridge/test/harness"
)

func TestMain(m *testing.M) {
	callIfAsked()
	harness.Isolate(harness.BuildBridge)
	os.Exit(m.Run())
}

// The hosts of the page.
const (
	greeter = "meshbridge.dubbo.greetservice.mesh"
	billing = "billing.mesh"
	stock   = "stock.mesh"
)

// The clusters of a sidecar for them, and for what it does not know.
const (
	dubbo       = "outbound|20880||" + greeter
	triple      = "outbound|50051||" + greeter
	gray        = "outbound|50051|gray|" + greeter
	http        = "outbound|80||" + billing
	grpcCluster = "outbound|50051||" + stock
	passthrough = "PassthroughCluster"
)

// world is a mesh: two Dubbo providers and a Spring application in ZooKeeper, a gRPC server in a file, a bridge, an istiod, and
// a workload named shop with a sidecar.
type world struct {
	zk      *harness.ZooKeeperServer
	bridge  *harness.Bridge
	kube    *harness.KubeServer
	istiod  *harness.Istiod
	network *harness.Network
	control string // istiod's address for sidecars
	base    *harness.DubboProcess
	gray    *harness.DubboProcess
	billing *harness.Consumer
	shop    *harness.Workload
	sidecar *harness.Agent // of shop
	agents  []*harness.Agent
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{zk: harness.StartZooKeeper(t, harness.ZooKeeperConfig{}), network: harness.StartNetwork(t)}
	provider := func(app, address, lane string) *harness.DubboProcess {
		return harness.StartDubbo(t, harness.DubboConfig{Registry: w.zk.Addr, App: app, Address: address, Parameters: map[string]string{"lane": lane}})
	}
	w.base, w.gray = provider("greeter", "10.0.0.5", "base"), provider("greeter-gray", "10.0.0.6", "gray")
	pod := w.network.StartWorkload("billing", 20)
	w.billing = pod.StartConsumer(t, harness.SpringConsumer, fmt.Sprintf(`
spring:
  application: {name: billing}
  cloud: {zookeeper: {connect-string: %q, discovery: {instance-host: %s}}}
`, w.network.Outside(w.zk.Addr), pod.Address))
	w.bridge = harness.StartBridge(t, harness.BridgeConfig{YAML: fmt.Sprintf(`
subsets: {labels: [lane]}
sources:
- {name: registry, zookeeper: {servers: [%q]}}
- {name: hosts, file: {path: %q}}
`, w.zk.Addr, startStock(t))})
	w.kube = harness.StartKube(t)
	// Else every inbound listener waits for a certificate, which needs more of a cluster than there is.
	w.kube.Apply(`{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: istio-system}, spec: {mtls: {mode: DISABLE}}}`)
	w.kube.Apply("{apiVersion: v1, kind: Namespace, metadata: {name: registries}}")
	w.istiod = harness.StartIstiod(t, harness.IstiodConfig{
		Tool: harness.IstiodNewest, Kube: w.kube, Sources: []harness.ConfigSource{{Address: "xds://" + w.bridge.MCP}},
		Env: append(harness.ForStockEnvoy(), "PILOT_DEBOUNCE_AFTER=10ms"),
	})
	// A sidecar speaks plaintext to this port only.
	w.control = w.network.Forward(15010, w.istiod.GRPC)
	w.shop = w.network.StartWorkload("shop", 10)
	w.sidecar = w.agent(w.shop, capture(t))
	return w
}

// agent starts a sidecar.
func (w *world) agent(workload *harness.Workload, metadata map[string]string) *harness.Agent {
	agent := workload.StartAgent(harness.AgentConfig{
		Istiod: w.control, Namespace: "default", Labels: map[string]string{"app": workload.Name}, Metadata: metadata,
		Drain: 3 * time.Second,
	})
	w.agents = append(w.agents, agent)
	return agent
}

// capture is the metadata of a mesh that captures DNS.
func capture(t *testing.T) map[string]string {
	t.Helper()
	var values struct {
		MeshConfig struct {
			DefaultConfig struct{ ProxyMetadata map[string]string }
		}
	}
	if err := yaml.Unmarshal([]byte(snippet(t, "dns-capture")), &values); err != nil {
		t.Fatal(err)
	}
	return values.MeshConfig.DefaultConfig.ProxyMetadata
}

// startStock starts a gRPC server and returns a folder for the file source that lists it.
func startStock(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "10.0.0.7:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	dir := harness.Scratch(t, "services")
	content := fmt.Sprintf("services:\n- name: stock\n  ports: [{name: grpc, number: 50051, protocol: GRPC}]\n"+
		"  instances: [{address: 10.0.0.7, ports: {grpc: %d}}]\n", listener.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(filepath.Join(dir, "stock.yaml"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// addresses are the VIPs of all hosts, as get services tells them.
func (w *world) addresses(t *testing.T) map[string]string {
	t.Helper()
	var services []struct {
		Host      string
		Addresses []string
	}
	if err := json.Unmarshal([]byte(w.bridge.Command("get", "services", "--server", w.bridge.Admin, "-o", "json")), &services); err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{}
	for _, s := range services {
		addresses[s.Host] = strings.Join(s.Addresses, " ")
	}
	return addresses
}

// requests are what the sidecar has sent to the clusters, in all; of TCP each connection is one.
func requests(sidecar *harness.Agent, clusters ...string) (sum int64) {
	upstreams := sidecar.Upstreams()
	for _, cluster := range clusters {
		for _, u := range upstreams[cluster] {
			sum += u.Requests
		}
	}
	return sum
}

// toAddress is how many connections the sidecar has passed through to addresses.
func toAddress(sidecar *harness.Agent, addresses ...string) (sum int64) {
	upstreams := sidecar.Upstreams()[passthrough]
	for _, a := range addresses {
		sum += upstreams[a].Connections
	}
	return sum
}

// calls checks that the client is answered as it should be, and that the sidecar sent each of the n calls to the cluster.
func calls(t *testing.T, n int, consumer *harness.Consumer, sidecar *harness.Agent, client, answer, cluster string) {
	t.Helper()
	before := requests(sidecar, cluster)
	for range n {
		got, err := consumer.Call(client)
		if err != nil {
			t.Fatalf("call by %s: %v", client, err)
		}
		if got != answer {
			t.Fatalf("%s was answered %q, want %q", client, got, answer)
		}
	}
	if sent := requests(sidecar, cluster) - before; sent != int64(n) {
		t.Errorf("of %d calls by %s the sidecar sent %d to %s", n, client, sent, cluster)
	}
}

// eventually is harness.Eventually with the limit that everything here keeps.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, what, check)
}
