//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/test/harness"
)

// A host whose instances differ in what they offer is served as one ServiceEntry with all ports and one for each port with its
// endpoints, of the same host, namespace and address. That is right only if an istiod joins their endpoints, for sidecars and
// for gateways, and never sends a port to an instance that does not offer it.
func TestServiceEntriesOfOneHostAreMergedAndAPortGoesOnlyWhereItIsOffered(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		dir := filepath.Join(harness.Scratch(t, "services"), "services")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write := func(instances ...string) {
			text := "services:\n- name: mixed\n  ports: [{name: http, number: 80, protocol: HTTP}, {name: grpc, number: 50051, protocol: GRPC}]\n  instances:\n"
			for _, i := range instances {
				text += "  - " + i + "\n"
			}
			if err := os.WriteFile(filepath.Join(dir, "mixed.yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		both, second := "{address: 10.30.0.1, ports: {http: 8080, grpc: 9090}}", "{address: 10.30.0.2, ports: {http: 8080, grpc: 9090}}"
		onlyHTTP := "{address: 10.30.0.3, ports: {http: 8081}}"
		write(both, onlyHTTP)
		bridge := harness.StartBridge(t, harness.BridgeConfig{YAML: fmt.Sprintf("sources:\n- {name: hosts, file: {path: %q}}\n", dir)})
		istiod := harness.StartIstiod(t, istiodConfig(t, tool, bridge.MCP))
		for name, config := range map[string]harness.ProxyConfig{"sidecar": {}, "sidecar with delta": {Delta: true}, "gateway": {Gateway: true}} {
			proxy := harness.StartProxy(t, istiod, config)
			wait := func(what string, want map[string][]string) {
				t.Helper()
				harness.Eventually(t, 30*time.Second, name+": "+what, func() error {
					if diff := cmp.Diff(want, proxy.Clusters("mixed.mesh")); diff != "" {
						return fmt.Errorf("clusters (-want +got):\n%s", diff)
					}
					return nil
				})
			}
			wait("each port has who offers it", map[string][]string{"80": {"10.30.0.1:8080", "10.30.0.3:8081"}, "50051": {"10.30.0.1:9090"}})
			before := len(proxy.Pushes())
			write(both, second, onlyHTTP)
			wait("another instance of both", map[string][]string{"80": {"10.30.0.1:8080", "10.30.0.2:8080", "10.30.0.3:8081"}, "50051": {"10.30.0.1:9090", "10.30.0.2:9090"}})
			for _, p := range proxy.Since(before) {
				if p.Type != "EDS" || strings.Contains(fmt.Sprint(p.Names), "inbound") {
					t.Errorf("%s: an instance more pushed %v", name, p)
				}
			}
			write(both, onlyHTTP)
			wait("as it was", map[string][]string{"80": {"10.30.0.1:8080", "10.30.0.3:8081"}, "50051": {"10.30.0.1:9090"}})
		}
		nothingRefused(t, istiod)
	})
}

// mixedHosts is how many hosts there are of each kind: each meets an order of Istio's maps of its own.
const mixedHosts = 16

// mixedMesh has hosts of mixed ports, half of which a canary document names, and Sidecars that see them in every way.
type mixedMesh struct {
	dir    string
	hosts  []string
	istiod *harness.Istiod
}

// egress is what the Sidecar of a namespace lets its proxies see. Of the others there is none.
func (m *mixedMesh) egress() map[string]string {
	names := func(namespace string) string {
		return "'" + namespace + "/" + strings.Join(m.hosts, "', '"+namespace+"/") + "'"
	}
	return map[string]string{
		"by-name":      "{hosts: [" + names("registries") + "]}",
		"by-any-name":  "{hosts: [" + names("*") + "]}",
		"by-namespace": "{hosts: ['registries/*']}",
		"by-domain":    "{hosts: ['*/*.mesh']}",
		"by-port":      "{port: {number: 80, protocol: HTTP, name: http}, hosts: ['registries/*']}, {hosts: ['registries/*']}",
		"registries":   "{hosts: ['./*']}",
		"by-route":     "{hosts: ['./*']}", // and the VirtualServices of this namespace
	}
}

// newMixedMesh starts it, mixed.
func newMixedMesh(t *testing.T, tool harness.Tool) *mixedMesh {
	t.Helper()
	m := &mixedMesh{dir: harness.Scratch(t, "mixed")}
	documents := ""
	for i := range mixedHosts {
		m.hosts = append(m.hosts, fmt.Sprintf("plain%d.mesh", i), fmt.Sprintf("split%d.mesh", i))
		documents += fmt.Sprintf("---\n{name: split%d, services: [split%[1]d.mesh], primary: v1, canaries: [{version: v2, weight: 30}]}\n", i)
	}
	for _, folder := range []string{"services", "canaries", "istio"} {
		if err := os.Mkdir(filepath.Join(m.dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.file(t, "canaries/all.yaml", documents)
	m.file(t, "istio/all.yaml", m.objects())
	m.write(t, "mixed")
	bridge := harness.StartBridge(t, harness.BridgeConfig{YAML: fmt.Sprintf("protect: {maxLoss: 100%%}\nsubsets: {discover: none}\ncanary: {files: [%q], settle: 1s}\nsources:\n- {name: hosts, file: {path: %q}}\n",
		filepath.Join(m.dir, "canaries", "*.yaml"), filepath.Join(m.dir, "services"))})
	config := istiodConfig(t, tool, bridge.MCP)
	config.Sources = append(config.Sources, harness.ConfigSource{Address: "fs://" + filepath.Join(m.dir, "istio")})
	m.istiod = harness.StartIstiod(t, config)
	return m
}

// objects are the Sidecars, and the VirtualServices of by-route, which lead to the host and name no port.
func (m *mixedMesh) objects() string {
	text := ""
	for namespace, egress := range m.egress() {
		text += fmt.Sprintf("---\n{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: default, namespace: %s}, spec: {egress: [%s]}}\n", namespace, egress)
	}
	for _, host := range m.hosts {
		text += fmt.Sprintf("---\n{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: %s, namespace: by-route}, spec: {hosts: [%[1]s], http: [{route: [{destination: {host: %[1]s}}]}]}}\n", host)
	}
	return text
}

// offer is an instance of a host: the last part of its address, its ports and its version.
type offer struct {
	last    int
	ports   map[string]int
	version string
}

// offers are the instances of every host in turn. When they are scattered, no instance offers all ports; hosts that a document
// names stay mixed then.
func (m *mixedMesh) offers(i int, state string) []offer {
	all := map[string]int{"http": 8080, "grpc": 9090, "tcp": 7070, "tls": 8443}
	uniform := []offer{{1, all, "v1"}, {2, all, "v2"}}
	some := []offer{{3, map[string]int{"http": 8081}, "v1"}, {4, map[string]int{"tcp": 7071}, "v2"}}
	switch {
	case state == "uniform":
		return uniform
	case state == "scattered" && strings.HasPrefix(m.hosts[i], "plain"):
		return append(some, offer{5, map[string]int{"grpc": 9091, "tls": 8444}, "v1"})
	}
	return append(uniform, some...)
}

// write writes the services; the file takes its place whole.
func (m *mixedMesh) write(t *testing.T, state string) {
	t.Helper()
	text := "services:\n"
	for i, host := range m.hosts {
		text += fmt.Sprintf("- name: %s\n  instances:\n", strings.TrimSuffix(host, ".mesh"))
		for _, o := range m.offers(i, state) {
			var ports []string
			for name, number := range o.ports {
				ports = append(ports, fmt.Sprintf("%s: %d", name, number))
			}
			text += fmt.Sprintf("  - {address: 10.30.%d.%d, ports: {%s}, labels: {version: %s}}\n", i, o.last, strings.Join(ports, ", "), o.version)
		}
	}
	m.file(t, "services/all.yaml", text)
}

func (m *mixedMesh) file(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// want is what every proxy must have of the i-th host, by port|subset.
func (m *mixedMesh) want(i int, state string) map[string][]string {
	clusters := map[string][]string{}
	for _, o := range m.offers(i, state) {
		for name, port := range map[string]string{"http": "80|", "tls": "443|", "tcp": "20880|", "grpc": "50051|"} {
			if o.ports[name] == 0 {
				continue
			}
			address := fmt.Sprintf("10.30.%d.%d:%d", i, o.last, o.ports[name])
			clusters[port] = append(clusters[port], address)
			if strings.HasPrefix(m.hosts[i], "split") {
				clusters[port+o.version] = append(clusters[port+o.version], address)
			}
		}
	}
	return clusters
}

// wait waits until every proxy has all of every host.
func (m *mixedMesh) wait(t *testing.T, proxies map[string]*harness.Proxy, state string) {
	t.Helper()
	for name, proxy := range proxies {
		harness.Eventually(t, 60*time.Second, name+": hosts are "+state, func() error {
			wrong, first := 0, ""
			for i, host := range m.hosts {
				if diff := cmp.Diff(m.want(i, state), proxy.AllClusters(host)); diff != "" {
					if wrong++; wrong == 1 {
						first = host + " (-want +got)\n" + diff
					}
				}
			}
			if wrong > 0 {
				return fmt.Errorf("%d of %d hosts are wrong, first %s", wrong, len(m.hosts), first)
			}
			return nil
		})
	}
}

// Istio takes the service of a host from one of its ServiceEntries or from several, as the proxy's Sidecar and routes go, and
// leaves ties to the order of a map, which is another in every process.
func TestEveryProxyHasEveryPortOfAHostOfMixedPortsWhateverItsSidecar(t *testing.T) {
	eachIstiod(t, func(t *testing.T, tool harness.Tool) {
		m := newMixedMesh(t, tool)
		for range 2 {
			t.Run("a process of istiod", func(t *testing.T) {
				proxies := map[string]*harness.Proxy{}
				for namespace := range m.egress() {
					proxies[namespace] = harness.StartProxy(t, m.istiod, harness.ProxyConfig{Namespace: namespace, Delta: true})
				}
				proxies["no Sidecar"] = harness.StartProxy(t, m.istiod, harness.ProxyConfig{})
				proxies["gateway"] = harness.StartProxy(t, m.istiod, harness.ProxyConfig{Gateway: true})
				m.wait(t, proxies, "mixed")

				fewest := map[string]func() int{}
				for name, proxy := range proxies {
					for _, host := range m.hosts {
						fewest[host+" of "+name] = proxy.WatchFewest(host)
					}
				}
				for _, state := range []string{"uniform", "mixed", "scattered", "mixed"} {
					m.write(t, state)
					m.wait(t, proxies, state)
				}
				for name, count := range fewest {
					if count() == 0 {
						t.Errorf("a cluster of %s was empty or gone for a moment", name)
					}
				}
			})
			m.istiod.Stop()
			m.istiod.Start()
		}
		nothingRefused(t, m.istiod)
	})
}
