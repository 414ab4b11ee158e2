//go:build e2e

package validation

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	networkingpb "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"

	"meshbridge/config/canaries"
	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// world is a random registry, random canary documents, and a random configuration of the bridge.
type world struct {
	seed      uint64
	services  map[string][]*sources.Service // by source
	config    convert.Config
	refused   error  // a configuration before that one
	text      []byte // the documents as a file
	resources []*store.Resource
	rejected  []convert.Rejection
	canaries  []convert.CanaryView
}

// newWorld makes a world and converts it as the bridge does. The documents go into the folder.
func newWorld(t *testing.T, seed uint64, dir string) *world {
	t.Helper()
	d := newDice(seed)
	w := &world{seed: seed, services: map[string][]*sources.Service{"a": d.services(), "b": d.services()}}
	var all []convert.Source
	var rules *convert.Rules
	var err error
	configure := func(d dice) {
		w.config = d.config(t)
		all = []convert.Source{{Name: "a", Config: d.source()}, {Name: "b", Order: 1, Config: d.source()}}
		rules, err = convert.Compile(w.config, all)
	}
	if configure(d); err != nil && d.odds > 0 {
		w.refused = err // the bridge would not start with it
		configure(dice{Rand: d.Rand})
	}
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	hosts := map[string][]string{"unknown.mesh": nil}
	for _, r := range convert.Convert(t.Context(), rules, w.services, nil, nil).Resources {
		if entry, ok := spec(t, r).(*networkingpb.ServiceEntry); ok {
			for _, e := range entry.Endpoints {
				hosts[r.Host] = append(hosts[r.Host], cmp.Or(e.Labels["version"], "v1"))
			}
			slices.Sort(hosts[r.Host])
			hosts[r.Host] = slices.Compact(hosts[r.Host])
		}
	}
	w.text = text(t, d.documents(hosts))
	file := filepath.Join(dir, "shop.yaml")
	if err := os.WriteFile(file, w.text, 0o644); err != nil {
		t.Fatal(err)
	}
	w.config.Canary.Files = []string{file}
	if rules, err = convert.Compile(w.config, all); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	result := convert.Convert(t.Context(), rules, w.services, canaries.Load(w.config), nil)
	w.resources, w.rejected, w.canaries = result.Resources, result.Rejected, result.Canaries
	return w
}

// Words of a configuration that may be wrong.
var (
	oddExports = [][]string{{"~"}, {"Big"}, {"*", "."}, {".", "."}, {"a.b"}, {""}, {"shop-"}, {"*.shop"}, {strings.Repeat("n", 64)}, {"."}, {"7"}}
	oddKeys    = []string{"meshbridge.subset", "istio.io/rev", "topology.kubernetes.io/zone", "bad key", "-a", strings.Repeat("k", 64), "a/b/c", "", "Zone"}
)

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// text writes documents as people do.
func text(t *testing.T, documents []object) []byte {
	t.Helper()
	parts := make([][]byte, len(documents))
	for i, o := range documents {
		var err error
		if parts[i], err = yaml.Marshal(o); err != nil {
			t.Fatal(err)
		}
	}
	return bytes.Join(parts, []byte("---\n"))
}

// config is a configuration, mostly without faults, as the bridge does not start with one.
func (d dice) config(t *testing.T) convert.Config {
	c := convert.Default()
	c.Mesh.Domain = odd(d, []string{"mesh", "mesh", "mesh.example.com"}, oddHosts)
	c.Mesh.Namespace = odd(d, []string{"registries", "{{.Namespace}}", "ns-{{.Group}}", "{{.Metadata.version}}"}, []string{"Big_NS.7", "{{.Metadata.zone}}-", strings.Repeat("n", 64)})
	c.Mesh.ExportTo = odd(d, [][]string{nil, nil, {"*"}, {"."}, {"registries", "."}, {"shop", "billing"}}, oddExports)
	c.Mesh.TLS = pick(d, convert.TLSDisable, convert.TLSIstio)
	c.Mesh.VIPs = pick(d, c.Mesh.VIPs, []string{"244.0.0.0/6", "fd00:1::/64"})
	c.Subsets.Labels = odd(d, [][]string{{"version"}, {"version"}, {"version", "zone"}, {"istio.service.tag", "version"}}, [][]string{{"meshbridge.subset"}, {"bad key"}, {"app.kubernetes.io/name"}})
	c.Subsets.Discover = pick(d, convert.DiscoverNone, convert.DiscoverMultiple, convert.DiscoverAll)
	c.Subsets.Max = pick(d, 10, 10, 2)
	if d.chance(60) {
		c.Subsets.TrafficPolicy = configured(t, d.policy())
	}
	c.Canary.OnInvalid = pick(d, canary.OnInvalidKeep, canary.OnInvalidRespond)
	c.Canary.Precedence = pick(d, canary.PrecedenceYield, canary.PrecedenceOverride)
	if d.chance(30) {
		c.Canary.Respond = canary.Respond{Status: pick[uint32](d, 200, 404, 599), Body: pick(d, "", "100% {{wrong}}\n", strings.Repeat("b", 4096))}
	}
	if d.chance(15) {
		c.Canary.Teams = []canary.Team{{Name: "shop", Files: []string{"*"}, Services: []string{"*"}, Expose: []canary.Grant{
			{Gateway: "istio-system/app", Hosts: []string{"*"}, Prefix: "/"}, {Gateway: "e2e/gateway", Hosts: []string{"*.example.com"}, Prefix: "/shop"}, {Delegate: "*"}}}}
	}
	return c
}

// source is the configuration of a source.
func (d dice) source() convert.SourceConfig {
	s := convert.SourceConfig{}
	s.Labels.Include = pick(d, nil, nil, []string{"*"})
	if d.chance(20) {
		s.Labels.Rename = map[string]string{"zone": odd(d, []string{"topology/zone"}, oddKeys)}
	}
	if d.chance(20) {
		s.Labels.Set = map[string]string{odd(d, []string{"registry", "istio.io/x", "topology.istio.io/network"}, oddKeys): odd(d, []string{"a"}, oddVersions)}
	}
	s.Revision = odd(d, []string{"", "", "", "canary"}, []string{"Canary", "canary-", "1.24"})
	s.Host = pick(d, "", "", "", "{{.Service}}.{{.Metadata.version}}.{{.Domain}}")
	if d.odds > 0 {
		s.Host = pick(d, s.Host, s.Host, "{{.Service}}.{{.Metadata.version}}", "{{.Service}}.{{.Metadata.zone}}.", "*.{{.Service}}.mesh", "{{.Service}}-.MESH", "{{.Metadata.version}}")
	}
	if d.chance(20) {
		s.Overrides = []convert.Override{{Service: "*hop*", Aliases: []string{odd(d, []string{"shop.example.com", "Shop.Example.com"}, oddHosts)}, ExportTo: odd(d, [][]string{nil, {"."}}, oddExports),
			Address: odd(d, []string{"", "10.9.9.9", "fd00::9"}, []string{"fe80::1%eth0", "10.9.9", "::ffff:10.9.9.9", "224.0.0.1"})}}
	}
	return s
}

// String is the whole world, for whoever is to find out why it went wrong.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n%s", w.seed, w.text)
	for _, v := range w.canaries {
		fmt.Fprintf(&b, "\n%s is %s %v", cmp.Or(v.Name, v.File), v.State, v.Faults)
	}
	for _, source := range sorted(w.services) {
		for _, s := range w.services[source] {
			fmt.Fprintf(&b, "\n%s: %+v", source, *s)
		}
	}
	return b.String()
}
