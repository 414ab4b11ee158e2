//go:build e2e

package validation

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"meshbridge/sources"
)

// town is many random worlds in the files of one bridge, each with a registry namespace of its own.
type town struct {
	services []any
	canaries []object
}

// newTown makes a town. Its marker is a host with a canary, so that whoever has that has been told of all.
func newTown(seed uint64, worlds int, marker string) town {
	var t town
	for i := range worlds {
		d := newDice(seed + uint64(i))
		d.odds /= 2 // of a document that is refused, istiods learn nothing
		hosts := map[string][]string{}
		for _, s := range d.services() {
			s.Namespace = fmt.Sprintf("w%d", i)
			host := strings.ToLower(s.Name) + "." + s.Namespace + ".mesh"
			if _, taken := hosts[host]; taken {
				continue // the registry here knows no groups and versions
			}
			t.services = append(t.services, entry(s))
			for _, in := range s.Instances {
				hosts[host] = append(hosts[host], cmp.Or(in.Metadata["version"], "v1"))
			}
			slices.Sort(hosts[host])
			hosts[host] = slices.Compact(hosts[host])
		}
		for n := range 2 + d.IntN(3) {
			doc := d.document(fmt.Sprintf("w%d-%d", i, n), hosts)
			if services := doc["services"].([]string); services[0] == "*" || services[0] == "*.mesh" {
				services[0] = fmt.Sprintf("*.w%d.mesh", i) // one that takes all would be the only one
			}
			t.canaries = append(t.canaries, doc)
		}
	}
	t.services = append(t.services, entry(&sources.Service{
		Key: sources.Key{Name: marker}, Ports: protocols[0],
		Instances: []sources.Instance{
			{Address: "10.9.0.1", Ports: protocols[0], Metadata: map[string]string{"version": "v1"}, Weight: 100, Healthy: true, Enabled: true},
			{Address: "10.9.0.2", Ports: protocols[0], Metadata: map[string]string{"version": "v2"}, Weight: 100, Healthy: true, Enabled: true},
		},
	}))
	t.canaries = append(t.canaries, object{
		"name": marker, "services": []string{marker + ".mesh"}, "primary": "v1", "canaries": []object{{"version": "v2", "weight": 10}},
		"expose": []object{{"gateway": "istio-system/app", "prefix": "/" + marker}},
	})
	return t
}

// entry is a service as the file source reads it.
func entry(s *sources.Service) object {
	e := object{"name": s.Name}
	if s.Namespace != "" {
		e["namespace"] = s.Namespace
	}
	declared := s.Ports
	if len(declared) == 0 && len(s.Instances) > 0 {
		declared = s.Instances[0].Ports
	}
	var ports []object
	for _, p := range declared {
		if p.Number < 1 || p.Number > 65535 {
			continue // would take all services of the file along
		}
		ports = append(ports, object{"name": p.Name, "number": p.Number, "protocol": p.Protocol})
	}
	e["ports"] = ports
	var instances []object
	for _, in := range s.Instances {
		numbers := object{}
		for _, p := range in.Ports {
			numbers[p.Name] = p.Number
		}
		instances = append(instances, object{
			"address": in.Address, "ports": numbers, "labels": in.Metadata, "weight": in.Weight, "locality": in.Locality, "healthy": in.Healthy, "enabled": in.Enabled,
		})
	}
	e["instances"] = instances
	return e
}

// write puts the town in the place of what the files said.
func (town town) write(t *testing.T, dir string) {
	t.Helper()
	services, err := yaml.Marshal(object{"services": town.services})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"services/all.yaml": services, "canaries/all.yaml": text(t, town.canaries)} {
		unseen := filepath.Join(dir, filepath.Base(filepath.Dir(name))+".new")
		if err := os.WriteFile(unseen, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(unseen, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
