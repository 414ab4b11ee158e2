package convert

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"meshbridge/sources"
)

func FuzzLabelsAreLegal(f *testing.F) {
	for _, s := range []string{"", "orders", "USER_SERVICE", "1.0.0", "支付", "-", "a.b", strings.Repeat("x-", 60), "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		label := toLabel(s)
		if reasons := validation.IsDNS1123Label(label); (s == "") != (label == "") || s != "" && len(reasons) > 0 {
			t.Errorf("toLabel(%q) is %q: %v", s, label, reasons)
		}
		if again := toLabel(label); again != label {
			t.Errorf("toLabel(%q) is %q", label, again)
		}
		value := toLabelValue(s)
		if reasons := validation.IsValidLabelValue(value); len(value) <= maxLabel && len(reasons) > 0 {
			t.Errorf("toLabelValue(%q) is %q: %v", s, value, reasons)
		}
		if isLabel(s) != (len(validation.IsDNS1123Label(s)) == 0) {
			t.Errorf("isLabel(%q) is %v", s, isLabel(s))
		}
		if labelValueFault(s) == "" && len(validation.IsValidLabelValue(s)) > 0 || labelKeyFault(s) == "" && len(validation.IsQualifiedName(s)) > 0 {
			t.Errorf("%q passes for a label", s)
		}
		if n, err := templatedName(s); err == nil {
			checkHost(t, n.host)
			for depth := 1; depth < 6 && len(n.host) <= maxName-17; depth++ { // a longer one has no room, and the last check refuses it
				checkHost(t, n.aside(depth))
			}
		}
		if name := objectName(s); len(name) > maxName {
			t.Errorf("objectName(%q) has %d bytes", s, len(name))
		}
	})
}

func checkHost(t *testing.T, host string) {
	t.Helper()
	if reasons := validation.IsDNS1123Subdomain(host); len(reasons) > 0 || hostFault(host) != "" {
		t.Errorf("host %q: %v, %s", host, reasons, hostFault(host))
	}
}

func FuzzTemplatesNeitherPanicNorGrow(f *testing.F) {
	f.Add("{{.Service}}.{{.Metadata.zone}}.{{.Domain}}", "orders", "eu")
	f.Add("{{with .Metadata.zone}}{{.}}{{else}}{{slice $.Service 1 2}}{{end}}", "a", "b")
	f.Fuzz(func(t *testing.T, text, service, zone string) {
		if strings.Contains(text, "template") || strings.Contains(text, "range") || strings.Contains(text, "%") || len(text) > 200 {
			return // templates are the operator's; recursion, loops and widths are not bounded in time
		}
		compiled, err := parseTemplate(text)
		if err != nil {
			return
		}
		result, err := compiled.eval(fields{Service: service, Domain: "mesh", Metadata: map[string]string{"zone": zone}})
		if err == nil && len(result) > maxTemplated {
			t.Errorf("%d bytes", len(result))
		}
	})
}

// FuzzWhateverARegistrySaysIsLegalForIstio converts one hostile instance beside a good one.
func FuzzWhateverARegistrySaysIsLegalForIstio(f *testing.F) {
	f.Add("orders", "g", "ns", "10.0.0.1", "http", "version", "v1", "eu/eu-1", uint32(8080), uint32(100))
	f.Add("支付", "@@", "..", "::1%eth0", "DUBBO", "istio.io/rev", ",+", "////", uint32(70000), uint32(1<<31))
	rules := compile(f, "sources: [{name: a, labels: {include: ['*']}, locality: '{{.Metadata.version}}', overrides: [{service: '*', subsets: all}]}]")
	f.Fuzz(func(t *testing.T, service, group, namespace, address, protocol, key, value, locality string, port, weight uint32) {
		bad := sources.Instance{ID: "bad", Address: address, Ports: []sources.Port{{Name: key, Protocol: protocol, Number: port}, {Protocol: value, Number: port}},
			Metadata: map[string]string{key: value, "version": value}, Weight: weight, Healthy: true, Enabled: true, Locality: locality}
		good := sources.Instance{ID: "good", Address: "10.9.9.9", Ports: []sources.Port{{Protocol: "http", Number: 8080}}, Weight: 100, Healthy: true, Enabled: true}
		w := newWorld(t, rules)
		w.put("a", &sources.Service{Key: sources.Key{Name: service, Group: group, Namespace: namespace}, Instances: []sources.Instance{bad, good}})
		w.step()
		endpoints := 0
		for key := range w.state() {
			if e := w.entry(key.Name); e != nil {
				ns, _, _ := strings.Cut(key.Name, "/")
				if faults := entryFaults(ns, e); len(faults) > 0 {
					t.Errorf("%v: %v", e, faults)
				}
				endpoints += len(e.Endpoints)
			}
		}
		for _, r := range w.engine.rejections() {
			if r.Class == ClassInvalid {
				t.Errorf("only the last check found: %s", r.Reason)
			}
		}
		if hostless := hostFault(toLabels(strings.Trim(service, "."))) != ""; endpoints == 0 && !hostless && len(service)+len(group)+len(namespace) < 100 {
			t.Errorf("the good instance is lost: %v", w.engine.rejections())
		}
	})
}
