package convert

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	yamlv3 "go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	mcppb "istio.io/api/mcp/v1alpha1"
	"sigs.k8s.io/yaml"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

var update = flag.Bool("update", false, "write what is converted into testdata")

// TestGolden converts reports to Istio's YAML. Each file says on top what it shows.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := map[string]string{}
			for _, f := range archive.Files {
				in[f.Name] = string(f.Data)
			}
			c := parseCase(t, in["config.yaml"], in["reports.yaml"], in["names.yaml"])
			result := Convert(context.Background(), c.rules, c.services, nil, c.lookup)
			out := []txtar.File{
				{Name: "istio.yaml", Data: []byte(istioYAML(t, result.Resources))},
				{Name: "rejected", Data: []byte(rejectedText(result.Rejected))},
			}
			if *update {
				kept := slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "istio.yaml" || f.Name == "rejected" })
				archive.Files = append(kept, out...)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, f := range out {
				if diff := cmp.Diff(in[f.Name], string(f.Data)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", f.Name, diff)
				}
			}
		})
	}
}

// testCase is a parsed input.
type testCase struct {
	rules    *Rules
	services map[string][]*sources.Service
	names    map[string][]string
}

func (c testCase) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	texts, ok := c.names[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	var addrs []netip.Addr
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, nil
}

type configFile struct {
	Config  `yaml:",inline"`
	Sources []struct {
		Name         string   `yaml:"name"`
		Volatile     []string `yaml:"volatile"`
		Declared     bool     `yaml:"declared"`
		SourceConfig `yaml:",inline"`
	} `yaml:"sources"`
}

type reportedService struct {
	sources.Key `yaml:",inline"`
	Datacenter  string
	Interface   bool
	Ports       []sources.Port
	Metadata    map[string]string
	Instances   []reportedInstance
	Skipped     []sources.Fault
}

type reportedInstance struct {
	ID       string
	Address  string
	Port     uint32
	Protocol string
	Ports    []sources.Port
	Metadata map[string]string
	Weight   *uint32
	Down     bool
	Disabled bool
	Locality string
}

func (r reportedService) service() *sources.Service {
	s := &sources.Service{Key: r.Key, Datacenter: r.Datacenter, Interface: r.Interface, Ports: r.Ports, Metadata: r.Metadata, Skipped: r.Skipped}
	for i, in := range r.Instances {
		out := sources.Instance{ID: in.ID, Address: in.Address, Ports: in.Ports, Metadata: in.Metadata,
			Weight: sources.DefaultWeight, Healthy: !in.Down, Enabled: !in.Disabled, Locality: in.Locality}
		if in.Port != 0 {
			out.Ports = append(out.Ports, sources.Port{Protocol: in.Protocol, Number: in.Port})
		}
		if in.Weight != nil {
			out.Weight = *in.Weight
		}
		if out.ID == "" {
			out.ID = fmt.Sprintf("i%02d", i)
		}
		s.Instances = append(s.Instances, out)
	}
	return s
}

func parseCase(t testing.TB, config, reports, names string) testCase {
	t.Helper()
	file := configFile{Config: Default()}
	decode(t, "config.yaml", config, &file)
	var reported map[string][]reportedService
	decode(t, "reports.yaml", reports, &reported)
	c := testCase{services: map[string][]*sources.Service{}}
	decode(t, "names.yaml", names, &c.names)
	configured := map[string]bool{}
	var all []Source
	for i, s := range file.Sources {
		configured[s.Name] = true
		all = append(all, Source{Name: s.Name, Order: i, Config: s.SourceConfig, Volatile: s.Volatile, Declared: s.Declared})
	}
	for source, list := range reported {
		if !configured[source] {
			all = append(all, Source{Name: source, Order: len(all)})
		}
		for _, r := range list {
			c.services[source] = append(c.services[source], r.service())
		}
	}
	rules, err := Compile(file.Config, all)
	if err != nil {
		t.Fatal(err)
	}
	c.rules = rules
	return c
}

func decode(t testing.TB, name, text string, into any) {
	t.Helper()
	d := yamlv3.NewDecoder(bytes.NewReader([]byte(text)))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && text != "" {
		t.Fatalf("%s: %v", name, err)
	}
}

// istioYAML prints resources as kubectl would.
func istioYAML(t testing.TB, resources []*store.Resource) string {
	t.Helper()
	var docs []string
	for _, r := range resources {
		message := decodeResource(t, r)
		spec, err := message.Body.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := protojson.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		body, err := yaml.JSONToYAML(raw)
		if err != nil {
			t.Fatal(err)
		}
		labels := ""
		for _, key := range slices.Sorted(mapsKeys(r.Labels)) {
			labels += fmt.Sprintf(" %s=%s", key, r.Labels[key])
		}
		docs = append(docs, fmt.Sprintf("# %s %s%s from %s\n%s", r.Kind.Kind, r.Name, labels, strings.Join(r.Sources, ","), body))
	}
	return strings.Join(docs, "---\n")
}

func decodeResource(t testing.TB, r *store.Resource) *mcppb.Resource {
	t.Helper()
	message, err := r.Message()
	if err != nil {
		t.Fatal(err)
	}
	if at := message.Metadata.CreateTime.AsTime(); at.Truncate(24*time.Hour) != Created() || at.Nanosecond() != 0 {
		t.Errorf("%s: created %s", r.Name, at)
	}
	return proto.CloneOf(message)
}

func rejectedText(rejected []Rejection) string {
	var b strings.Builder
	for _, r := range rejected {
		fmt.Fprintf(&b, "%s %s %s %s [%s] %s\n", r.Source, r.Service, orDash(r.Instance), orDash(r.Host), r.Class, r.Reason)
	}
	return b.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
