//go:build e2e

// Package e2e shows the bridge between real registries and real istiods. Every test starts what it needs: a ZooKeeper with
// many scripted providers, a bridge, an istiod with its Kubernetes, and proxies that count what istiod pushes.
package e2e

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/test/harness"
)

func TestMain(m *testing.M) {
	harness.Isolate(harness.BuildBridge)
	os.Exit(m.Run())
}

// services is how many scripted interfaces a world has.
const services = 200

// istiods are the versions that every promise holds for.
var istiods = map[string]harness.Tool{"newest": harness.IstiodNewest, "1.24.0": harness.Istiod124}

// eachIstiod runs the test once for every version.
func eachIstiod(t *testing.T, test func(t *testing.T, tool harness.Tool)) {
	for _, name := range slices.Sorted(maps.Keys(istiods)) {
		t.Run(name, func(t *testing.T) { test(t, istiods[name]) })
	}
}

// world is a registry with scripted providers.
type world struct {
	zk        *harness.ZooKeeperServer
	registry  *harness.Registry
	endpoints map[string][]string // what istiod must come to hold: by host the sorted ip:port
}

// newWorld starts a ZooKeeper with the scripted providers.
func newWorld(t *testing.T) *world {
	t.Helper()
	zk := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	w := &world{zk: zk, registry: zk.Dial(t), endpoints: map[string][]string{}}
	for i := range services {
		for j := range 1 + i%4 {
			w.add(provider(i, j))
		}
	}
	return w
}

// provider is the j-th provider of the i-th interface. Its zone makes every fourth interface have two subsets.
func provider(i, j int) harness.DubboProvider {
	return harness.DubboProvider{
		Interface:  fmt.Sprintf("com.example.shop%03d.Catalog", i),
		Address:    fmt.Sprintf("10.1.%d.%d:20880", i, j+1),
		Parameters: map[string]string{"zone": fmt.Sprintf("z%d", 1+j/3)},
	}
}

// host is the default naming of an interface.
func host(name string) string { return strings.ToLower(name) + ".mesh" }

func (w *world) add(p harness.DubboProvider) {
	w.registry.Register(p)
	h := host(p.Interface)
	w.endpoints[h] = append(w.endpoints[h], p.Address)
	slices.Sort(w.endpoints[h])
}

func (w *world) remove(p harness.DubboProvider) {
	w.registry.Unregister(p)
	h := host(p.Interface)
	w.endpoints[h] = slices.DeleteFunc(w.endpoints[h], func(a string) bool { return a == p.Address })
}

// config is the bridge's for this world.
func (w *world) config() string { return zooKeeperConfig(w.zk.Addr) }

func zooKeeperConfig(servers string) string {
	return fmt.Sprintf(`subsets: {labels: [zone]}
sources:
- name: registry
  zookeeper: {servers: [%q], dubbo: {root: /dubbo, mode: all}, springCloud: {root: /services}}
`, servers)
}

func (w *world) bridge(t *testing.T) *harness.Bridge {
	t.Helper()
	return harness.StartBridge(t, harness.BridgeConfig{YAML: w.config()})
}

// istiodConfig is an istiod of the version with the config sources. The newest has a Kubernetes, which it cannot be without.
func istiodConfig(t *testing.T, tool harness.Tool, addresses ...string) harness.IstiodConfig {
	t.Helper()
	config := harness.IstiodConfig{Tool: tool, Sources: sources(addresses...)}
	if tool.Version == harness.IstiodNewest.Version {
		config.Kube = harness.StartKube(t)
	}
	return config
}

// sources are the config sources of addresses that speak MCP.
func sources(addresses ...string) []harness.ConfigSource {
	var list []harness.ConfigSource
	for _, a := range addresses {
		list = append(list, harness.ConfigSource{Address: "xds://" + a})
	}
	return list
}

// waitEndpoints waits until istiod has exactly the world's hosts and endpoints.
func (w *world) waitEndpoints(t *testing.T, istiod *harness.Istiod) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, "istiod has the world's endpoints", func() error {
		got, err := istiod.Endpoints()
		if err != nil {
			return err
		}
		maps.DeleteFunc(got, func(host string, _ []string) bool { return !strings.HasSuffix(host, ".mesh") })
		if diff := cmp.Diff(w.endpoints, got); diff != "" {
			return fmt.Errorf("(-want +got)\n%s", firstLines(diff, 40))
		}
		return nil
	})
}

// nothingRefused fails the test when istiod dropped something that the bridge sent.
func nothingRefused(t *testing.T, istiod *harness.Istiod) {
	t.Helper()
	if lines := istiod.Refused(); len(lines) > 0 {
		t.Errorf("istiod refused %d times, first:\n%s", len(lines), lines[0])
	}
}

// versions is what istiod holds, less what Kubernetes gave it.
func versions(t *testing.T, istiod *harness.Istiod) map[string]string {
	t.Helper()
	all, err := istiod.Versions()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func firstLines(text string, n int) string {
	lines := strings.SplitN(text, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}
