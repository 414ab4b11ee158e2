//go:build e2e

package rollout

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"meshbridge/test/harness"
)

// service is a service of the registry: its file, and the instances that answer for it.
type service struct {
	w         *world
	name      string
	namespace string // the registry's, which is part of the host
	port      int    // the stable one
	protocol  string
	home      string // metadata, by which a walk chooses its namespace in the mesh
	instances []*instance
}

type instance struct {
	*harness.Echo // nil for TCP
	Address       string
	Version       string
	Labels        map[string]string
}

// host is how callers name it.
func (s *service) host() string {
	if s.namespace == "" {
		return s.name + ".mesh"
	}
	return s.name + "." + s.namespace + ".mesh"
}

// cluster is what Envoy calls a subset of it.
func (s *service) cluster(subset string) string {
	return fmt.Sprintf("outbound|%d|%s|%s", s.port, subset, s.host())
}

// service adds one without instances; it leaves the registry with the test.
func (w *world) service(t *testing.T, name, namespace string) *service {
	s := &service{w: w, name: name, namespace: namespace, port: 80, protocol: "HTTP"}
	t.Cleanup(func() {
		if err := os.Remove(s.file()); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	})
	return s
}

func (s *service) file() string { return filepath.Join(s.w.dir, "services", s.name+".yaml") }

// deploy starts an instance and registers it. Its version is its label; more may be given.
func (s *service) deploy(t *testing.T, version string, change ...func(*harness.EchoConfig, map[string]string)) *instance {
	t.Helper()
	i := s.start(t, version, change...)
	s.register(t, i)
	return i
}

// start starts an instance that is not registered.
func (s *service) start(t *testing.T, version string, change ...func(*harness.EchoConfig, map[string]string)) *instance {
	t.Helper()
	config := harness.EchoConfig{Service: s.name, Version: version, Address: s.w.address()}
	labels := map[string]string{"version": version}
	for _, c := range change {
		c(&config, labels)
	}
	i := &instance{Address: config.Address, Version: version, Labels: labels}
	if s.protocol == "HTTP" {
		i.Echo = harness.StartEcho(t, config)
	} else {
		harness.StartTCPEcho(t, i.Address, version)
	}
	return i
}

// address is a new one, for an instance.
func (w *world) address() string {
	n := w.given.Add(1)
	return fmt.Sprintf("10.30.%d.%d:8080", n/200, 1+n%200)
}

// register adds instances to the registry.
func (s *service) register(t *testing.T, instances ...*instance) {
	t.Helper()
	s.instances = append(s.instances, instances...)
	s.write(t)
}

// withdraw takes the instances of a version out of the registry and returns them; their processes go on.
func (s *service) withdraw(t *testing.T, version string) []*instance {
	t.Helper()
	var stay, left []*instance
	for _, i := range s.instances {
		if i.Version == version {
			left = append(left, i)
		} else {
			stay = append(stay, i)
		}
	}
	s.instances = stay
	s.write(t)
	return left
}

// retire withdraws a version, waits until no proxy has its instances any more, and ends their processes.
func (s *service) retire(t *testing.T, version string) {
	t.Helper()
	s.end(t, s.withdraw(t, version))
}

// end waits until no proxy has the instances any more, and ends their processes.
func (s *service) end(t *testing.T, left []*instance) {
	t.Helper()
	gone := map[string]bool{}
	for _, i := range left {
		gone[i.Address] = true
	}
	for _, proxy := range s.w.proxies {
		harness.Eventually(t, 30*time.Second, fmt.Sprintf("%s has none of the instances of %s that left", proxy.Name, s.name), func() error {
			clusters, err := proxy.Endpoints()
			for name, addresses := range clusters {
				if slices.ContainsFunc(addresses, func(a string) bool { return gone[a] }) {
					return fmt.Errorf("%s has %s", name, addresses)
				}
			}
			return err
		})
	}
	for _, i := range left {
		if i.Echo != nil {
			i.Kill()
		}
	}
}

// write writes the service's file.
func (s *service) write(t *testing.T) {
	t.Helper()
	var instances []map[string]any
	for _, i := range s.instances {
		host, port, err := net.SplitHostPort(i.Address)
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		instances = append(instances, map[string]any{"address": host, "port": number, "labels": i.Labels})
	}
	entry := map[string]any{
		"name": s.name, "instances": instances,
		"ports": []map[string]any{{"name": "main", "number": s.port, "protocol": s.protocol}},
	}
	if s.namespace != "" {
		entry["namespace"] = s.namespace
	}
	if s.home != "" {
		entry["metadata"] = map[string]string{"home": s.home}
	}
	content, err := yaml.Marshal(map[string]any{"services": []any{entry}})
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, s.file(), content)
}

// replaceFile writes a file so that nobody sees half of it.
func replaceFile(t *testing.T, name string, content []byte) {
	t.Helper()
	unseen := filepath.Join(filepath.Dir(name), "."+filepath.Base(name))
	if err := os.WriteFile(unseen, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(unseen, name); err != nil {
		t.Fatal(err)
	}
}
