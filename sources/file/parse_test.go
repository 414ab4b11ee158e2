package file

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/sources"
)

func TestAServiceListIsRead(t *testing.T) {
	got, err := parse("billing.yaml", []byte(`
services:
- name: billing
  namespace: finance
  ports: [{name: http, number: 80, protocol: HTTP}, {name: admin, number: 9000}]
  metadata: {team: finance}
  instances:
  - {address: 10.20.0.11, ports: {http: 8080, admin: 9001}, labels: {version: v1}, weight: 50, locality: eu/eu-1, healthy: true}
  - {address: "2001:db8::7", ports: {http: 8080}, healthy: false, enabled: false}
  - {address: legacy.example.com}
  - {address: 10.20.0.13, port: 8080}
  - {address: "10.20.0.300:80", ports: {http: 8080}}
  - {address: 10.20.0.14, ports: {http: 70000}}
  - {address: 10.20.0.14, ports: {https: 443}}
  - {address: 10.20.0.14, ports: {http: 1}, weight: -1}
  - {address: 10.20.0.11, ports: {http: 8080, admin: 9001}}
- name: bare
  instances:
  - {address: 10.0.0.1, port: 8080}
  - {address: 10.0.0.2}
  - {address: 10.0.0.3, port: 1, ports: {a: 2}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []*sources.Service{
		{
			Key:      sources.Key{Namespace: "finance", Name: "billing"},
			Ports:    []sources.Port{{Name: "http", Protocol: "HTTP", Number: 80}, {Name: "admin", Number: 9000}},
			Metadata: map[string]string{"team": "finance"},
			Instances: []sources.Instance{
				{ID: "10.20.0.11:9001:8080", Address: "10.20.0.11", Ports: []sources.Port{{Name: "admin", Number: 9001}, {Name: "http", Protocol: "HTTP", Number: 8080}}, Metadata: map[string]string{"version": "v1"}, Weight: 50, Healthy: true, Enabled: true, Locality: "eu/eu-1"},
				{ID: "2001:db8::7:8080", Address: "2001:db8::7", Ports: []sources.Port{{Name: "http", Protocol: "HTTP", Number: 8080}}, Weight: 100},
				{ID: "legacy.example.com:80:9000", Address: "legacy.example.com", Ports: []sources.Port{{Name: "http", Protocol: "HTTP", Number: 80}, {Name: "admin", Number: 9000}}, Weight: 100, Healthy: true, Enabled: true},
			},
			Skipped: []sources.Fault{
				{Where: "billing.yaml:11", Reason: "has one port, but its service has several: write `ports: {name: number}`"},
				{Where: "billing.yaml:12", Reason: `address "10.20.0.300:80" is neither an IP address nor a host name`},
				{Where: "billing.yaml:13", Reason: "port http: 70000 is not between 1 and 65535"},
				{Where: "billing.yaml:14", Reason: `port "https" is not one of the service's ports`},
				{Where: "billing.yaml:15", Reason: "weight -1 is not between 0 and 1048576"},
				{Where: "billing.yaml:16", Reason: "10.20.0.11:9001:8080 is listed twice"},
			},
		},
		{
			Key:       sources.Key{Name: "bare"},
			Instances: []sources.Instance{{ID: "10.0.0.1:8080", Address: "10.0.0.1", Ports: []sources.Port{{Number: 8080}}, Weight: 100, Healthy: true, Enabled: true}},
			Skipped: []sources.Fault{
				{Where: "billing.yaml:20", Reason: "has no port: write `port: 8080`"},
				{Where: "billing.yaml:21", Reason: "has both port and ports: keep one"},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAFaultNamesItsLine(t *testing.T) {
	for content, want := range map[string]string{
		"services:\n- name: x\n  instanses: []\n":        `line 3: unknown key "instanses": known are name, namespace, ports, metadata, instances`,
		"services:\n- {name: x, ports: [{number: 0}]}\n": `line 2: service x: port "": number 0 is not between 1 and 65535`,
		"services:\n- {name: x, instances: 7}\n":         "line 2: cannot unmarshal !!int `7` here",
		"services: []\n---\nservices: []\n":              "has more than one document: put all services in one list",
		"":                                               errEmpty.Error(),
	} {
		if _, err := parse("f", []byte(content)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
}

// FuzzParse shows that no file makes the parser panic, and that every instance it yields can be served.
func FuzzParse(f *testing.F) {
	f.Add([]byte("services:\n- name: x\n  ports: [{name: http, number: 80}]\n  instances:\n  - {address: 10.0.0.1, port: 8080}\n"))
	f.Add([]byte("services: [{name: x, metadata: {a: b}, instances: [{address: h, ports: {a: 1}}]}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		services, err := parse("f", data)
		if err != nil {
			return
		}
		for _, s := range services {
			for _, i := range s.Instances {
				if i.ID == "" || i.Address == "" || len(i.Ports) == 0 {
					t.Errorf("%+v", i)
				}
			}
		}
	})
}
