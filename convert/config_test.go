package convert

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/convert/canary"
)

func TestTheDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	if err := (SourceConfig{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestEveryFaultOfTheConfigurationIsToldWithItsPath(t *testing.T) {
	c := Config{
		Mesh: Mesh{Domain: "Mesh.", Namespace: "{{.Nowhere}}", ExportTo: []string{".", "*", "."}, Location: "HERE", TLS: "mutual",
			VIPs: []string{"244.0.0.1/6", "10.0.0.0/8"}},
		Subsets: Subsets{Labels: []string{"version", "a b", "version"}, Discover: "some", Retain: -time.Second,
			TrafficPolicy: map[string]any{"loadBalance": map[string]any{}}},
		RetainEmpty: -time.Second,
		Canary:      canary.Config{OnInvalid: "ignore", Precedence: canary.PrecedenceYield, Respond: canary.Respond{Status: 404}},
	}
	got := c.Validate().Error()
	for _, want := range []string{
		`mesh.domain: "Mesh." is no domain: it ends in a dot; leave that out`,
		`mesh.namespace: "{{.Nowhere}}" names a field other than Service, Group`,
		`mesh.exportTo[1]: "*" stands alone`,
		`mesh.exportTo[2]: "." is there twice`,
		`mesh.location: "HERE" is neither MESH_INTERNAL nor MESH_EXTERNAL`,
		`mesh.tls: "mutual" is neither disable nor istio`,
		`mesh.vips: 244.0.0.1/6 is no range; write 244.0.0.0/6`,
		`subsets.labels[1]: "a b" is no label`,
		`subsets.labels[2]: "version" is there twice`,
		`subsets.discover: "some" is none of none, multiple and all`,
		`subsets.max: 0 is less than 1`,
		`subsets.retain: -1s is negative`,
		`subsets.trafficPolicy.loadBalance: is no field that Istio knows here; write one of connectionPool, loadBalancer`,
		`retainEmpty: -1s is negative`,
		`canary.onInvalid: "ignore" is neither keep nor respond`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not told: %s", want)
		}
	}
	if lines := strings.Count(got, "\n") + 1; lines != 15 {
		t.Errorf("%d faults:\n%s", lines, got)
	}
}

func TestEveryFaultOfASourceIsToldWithItsPath(t *testing.T) {
	c := SourceConfig{
		Services: Globs{Include: []string{""}},
		PerService: PerService{
			Instances: Instances{Selector: "env in prod", Exclude: []string{"10.0.0.0/40"}},
			Host:      "{{.Service",
			Protocol:  "HTPP",
			Ports:     map[string]uint32{"http": 0, "HTTPS": 443},
			Labels:    Labels{Rename: map[string]string{"a": "b c"}, Set: map[string]string{"k": "v,w"}},
			Revision:  "Canary_1",
		},
		Overrides: []Override{{Aliases: []string{"a_b"}, Address: "10.0.0", Subsets: "every", ExportTo: []string{"~"}}},
	}
	got := c.Validate().Error()
	for _, want := range []string{
		`services.include[0]: is empty`,
		`instances.selector: "env in prod" is no label selector`,
		`instances.exclude[0]: "10.0.0.0/40" is no address range such as 10.0.0.0/8`,
		`host: "{{.Service" is no template`,
		`protocol: "HTPP" is unknown; write HTTP, HTTP2`,
		`ports.http: 0 is no port; ports are 1 to 65535`,
		`ports.HTTPS: write https`,
		`labels.rename.a: "b c" is no label`,
		`labels.set.k: "v,w" is no value of a label`,
		`revision: "Canary_1" is no name of a revision`,
		`overrides[0].service: is missing`,
		`overrides[0].aliases[0]: "a_b" is no host`,
		`overrides[0].exportTo[0]: "~" is neither ".", "*" nor a namespace`,
		`overrides[0].address: "10.0.0" is no IP address`,
		`overrides[0].subsets: "every" is none of none, multiple and all`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not told: %s", want)
		}
	}
	if lines := strings.Count(got, "\n") + 1; lines != 15 {
		t.Errorf("%d faults:\n%s", lines, got)
	}
	if _, err := Compile(Default(), []Source{{Name: "a", Config: c}}); err == nil || !strings.HasPrefix(err.Error(), "source a: ") {
		t.Errorf("Compile: %v", err)
	}
}

func TestLabelsOfMeshbridgeIstioAndKubernetesAreNotTheRegistrysToSet(t *testing.T) {
	for key, owner := range map[string]string{
		"meshbridge.subset": "meshbridge", "meshbridge.pool.gray": "meshbridge", "Meshbridge.x": "meshbridge", "meshbridge.io/x": "meshbridge",
		"istio.io/rev": "istio.io", "security.istio.io/tlsMode": "istio.io", "topology.istio.io/network": "istio.io", "istio-locality": "istio.io",
		"service.istio.io/canonical-name": "istio.io", "topology.kubernetes.io/region": "kubernetes.io", "app.kubernetes.io/name": "kubernetes.io",
		"kubernetes.io/hostname": "kubernetes.io", "gateway.networking.k8s.io/gateway-name": "k8s.io",
		"meshbridges": "", "notistio.io/x": "", "istio.service.tag": "", "topology/zone": "", "version": "", "topology.zone": "",
	} {
		reason := reservedFault(key)
		if owner == "" && reason != "" || owner != "" && !strings.HasPrefix(reason, "labels of "+owner+";") {
			t.Errorf("%s: %q, want that of %q", key, reason, owner)
		}
		renamed := SourceConfig{PerService: PerService{Labels: Labels{Rename: map[string]string{"zone": key}}}}
		if err := renamed.Validate(); (err == nil) != (owner == "") || err != nil && !strings.HasPrefix(err.Error(), "labels.rename.zone: makes metadata ") {
			t.Errorf("rename to %s: %v", key, err)
		}
		set := SourceConfig{PerService: PerService{Labels: Labels{Set: map[string]string{key: "x"}}}}
		if err := set.Validate(); (err == nil) != (owner != "meshbridge") {
			t.Errorf("set %s: %v", key, err)
		}
		c := Default()
		c.Subsets.Labels = []string{key}
		if err := c.Validate(); (err == nil) != (owner != "meshbridge") {
			t.Errorf("subsets of %s: %v", key, err)
		}
	}
}

func TestAnAddressThatCannotBeCalledIsNotPinned(t *testing.T) {
	for text, want := range map[string]string{"10.1.2.3": "", "fd00::1": "", "0.0.0.0": "can be called", "224.0.0.1": "multicast", "fe80::1%eth0": "zone"} {
		err := SourceConfig{Overrides: []Override{{Service: "a", Address: text}}}.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestRangesOfAddressesAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "is empty",
		"10.0.0.0/8,fd00::/64":      "",
		"10.0.0.0/8,11.0.0.0/8":     "second range of its family",
		"fd00::/64,fd01::/64":       "second range of its family",
		"10.0.0.0":                  "no address range",
		"::ffff:10.0.0.0/104":       "no address range",
		"10.0.0.7/8":                "write 10.0.0.0/8",
		"10.0.0.1/32,fd00::1/128":   "",
		"0.0.0.0/0,::/0,10.0.0.0/8": "second range",
	} {
		var texts []string
		if text != "" {
			texts = strings.Split(text, ",")
		}
		_, err := parseRanges(texts)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestGlobsMatchWithoutRegardToCase(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"*", "a/b", true}, {"Pay*", "payment", true}, {"*-test", "orders-test", true}, {"*-test", "orders-test-2", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"*a*b*c*", "xxaxxbxxc", true}, {"*a*b*c*", "xxaxxcxxb", false}, {"", "", true}, {"", "a", false},
		{"orders", "orders", true}, {"orders", "orders2", false}, {"**", "x", true},
	} {
		if got := newGlob(c.pattern).match(c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
}

func TestOfOverridesTheFirstThatSetsAFieldWins(t *testing.T) {
	one, two := 1, 2
	m := merge([]Override{
		{PerService: PerService{Ports: map[string]uint32{"http": 1}, Labels: Labels{Set: map[string]string{"a": "1"}}}, ExportTo: []string{}},
		{PerService: PerService{Ports: map[string]uint32{"http": 2, "grpc": 3}, Network: "n2", Priority: &one}, ExportTo: []string{"x"}, Subsets: "all"},
		{PerService: PerService{Network: "n3", Priority: &two, Revision: "r", Labels: Labels{Set: map[string]string{"a": "2", "b": "2"}}}},
	})
	want := Override{PerService: PerService{Ports: map[string]uint32{"http": 1, "grpc": 3}, Network: "n2", Priority: &one, Revision: "r",
		Labels: Labels{Set: map[string]string{"a": "1", "b": "2"}}}, ExportTo: []string{}, Subsets: "all"}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
}
