package convert

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

func TestWeightsAddUpToLessThan32Bits(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	heavy := service("orders", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	heavy.Instances[0].Weight, heavy.Instances[1].Weight, heavy.Instances[2].Weight = math.MaxUint32, math.MaxUint32, 1
	w.put("a", heavy)
	w.step()
	var sum uint64
	e := w.entry("registries/orders.mesh").Endpoints
	for _, ep := range e {
		sum += uint64(ep.Weight)
		if ep.Weight == 0 {
			t.Errorf("%s has no weight left", ep.Address)
		}
	}
	if sum > math.MaxUint32 || e[0].Weight != e[1].Weight || e[0].Weight < math.MaxUint32/4 {
		t.Errorf("weights %d, %d, %d", e[0].Weight, e[1].Weight, e[2].Weight)
	}
}

func TestAServicePortDoesNotMoveWhenInstancesComeAndGo(t *testing.T) {
	w := newWorld(t, compile(t, "sources: [{name: a, ports: {tri: 6000, http: 8000}}]"))
	port := func(protocol string, number uint32) *sources.Service {
		s := service("orders", "10.0.0.1")
		s.Instances[0].Ports = []sources.Port{{Protocol: protocol, Number: number}}
		return s
	}
	for _, c := range []struct {
		protocol string
		number   uint32
		want     uint32
	}{{"tri", 20880, 6000}, {"grpc", 9090, 6000}, {"rest", 8081, 8000}, {"http", 8082, 8000}} {
		w = newWorld(t, w.engine.rules)
		w.put("a", port(c.protocol, c.number))
		w.step()
		if got := w.entry("registries/orders.mesh").Ports[0].Number; got != c.want {
			t.Errorf("%s at %d is served at %d, want %d", c.protocol, c.number, got, c.want)
		}
	}
}

func TestOneAddressAndPortOfTwoSourcesIsOneEndpointWithThePortsOfBoth(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	both := service("orders", "10.0.0.1")
	both.Instances[0].Ports = append(both.Instances[0].Ports, sources.Port{Protocol: "grpc", Number: 9090})
	w.put("a", service("orders", "10.0.0.1"))
	w.put("b", both)
	w.step()
	e := w.entry("registries/orders.mesh")
	if e == nil || len(e.Endpoints) != 1 {
		t.Fatalf("%v", w.state())
	}
	if diff := cmp.Diff(map[string]uint32{"http": 8080, "grpc": 9090}, e.Endpoints[0].Ports); diff != "" {
		t.Error(diff)
	}
}

func TestExportToWithTheOwnNamespaceBesideADotIsNoDuplicate(t *testing.T) {
	w := newWorld(t, compile(t, "mesh: {exportTo: ['.', registries, other]}"))
	w.put("a", service("orders", "10.0.0.1"))
	w.step()
	if diff := cmp.Diff([]string{".", "other"}, w.entry("registries/orders.mesh").ExportTo); diff != "" {
		t.Error(diff)
	}
}

func TestAHostLeavesItsOldNamespaceInSteps(t *testing.T) {
	w := newWorld(t, compile(t, "sources: [{name: a, namespace: 'ns-{{.Metadata.version}}'}]"))
	w.put("a", service("orders", "v2@10.0.0.1", "v1@10.0.0.2"))
	w.step()
	if w.entry("ns-v1/orders.mesh") == nil {
		t.Errorf("%v, want the least namespace", w.state())
	}
	w.put("a", service("orders", "v2@10.0.0.1"))
	w.step()
	old, now := w.entry("ns-v1/orders.mesh"), w.entry("ns-v2/orders.mesh")
	if old == nil || now == nil || len(old.Endpoints) != 1 || w.rule("ns-v1/mb-orders.mesh") == nil || w.rule("ns-v2/mb-orders.mesh") == nil {
		t.Errorf("%v, want both namespaces with the same endpoints", w.state())
	}
	if gate := w.resource(store.Key{Kind: store.ServiceEntry, Name: "ns-v2/orders.mesh"}).Gate.Generation; gate != 2 {
		t.Errorf("the new ServiceEntry has gate %d, and its DestinationRule came with state 2", gate)
	}
	w.now = w.now.Add(10 * time.Second)
	w.step()
	if w.entry("ns-v1/orders.mesh") != nil || w.rule("ns-v1/mb-orders.mesh") == nil {
		t.Errorf("%v, want the old DestinationRule, and no old ServiceEntry", w.state())
	}
	w.now = w.now.Add(12 * time.Minute) // retainEmpty, and what rollout.Keep says
	w.step()
	if w.rule("ns-v1/mb-orders.mesh") != nil {
		t.Errorf("%v, want nothing in the old namespace", w.state())
	}
	w.put("a", service("orders"))
	w.step()
	if w.entry("ns-v2/orders.mesh") == nil {
		t.Errorf("an empty service changed its namespace: %v", w.state())
	}
}

func TestEveryTemplateThatGivesNothingFallsBack(t *testing.T) {
	w := newWorld(t, compile(t, "sources: [{name: a, namespace: '{{.Namespace}}', locality: '{{.Metadata.region}}'}]"))
	s := service("orders", "10.0.0.1")
	s.Instances[0].Locality = "eu/eu-1"
	w.put("a", s)
	w.step()
	e := w.entry("registries/orders.mesh")
	if e == nil || e.Endpoints[0].Locality != "eu/eu-1" {
		t.Errorf("%v %v", w.state(), e)
	}
}

func TestWhatIstioRefusesIsFoundBeforeItIsServed(t *testing.T) {
	good := func() *networkingpb.ServiceEntry {
		return &networkingpb.ServiceEntry{
			Hosts: []string{"orders.mesh"}, Addresses: []string{"244.0.0.1"}, Resolution: networkingpb.ServiceEntry_STATIC,
			Ports:     []*networkingpb.ServicePort{{Name: "http", Number: 80, Protocol: "HTTP"}},
			Endpoints: []*networkingpb.WorkloadEntry{{Address: "10.0.0.1", Ports: map[string]uint32{"http": 8080}, Labels: map[string]string{"version": "v1"}}},
		}
	}
	if f := entryFaults("ns", good()); len(f) > 0 {
		t.Fatalf("a good entry: %v", f)
	}
	for want, spoil := range map[string]func(*networkingpb.ServiceEntry){
		"there is no host":    func(e *networkingpb.ServiceEntry) { e.Hosts = nil },
		`host "a_b.mesh"`:     func(e *networkingpb.ServiceEntry) { e.Hosts[0] = "a_b.mesh" },
		`host "svc..consul"`:  func(e *networkingpb.ServiceEntry) { e.Hosts[0] = "svc..consul" },
		"is no IP address":    func(e *networkingpb.ServiceEntry) { e.Addresses[0] = "244.0.0" },
		"there is no port":    func(e *networkingpb.ServiceEntry) { e.Ports = nil },
		"is unknown to Istio": func(e *networkingpb.ServiceEntry) { e.Ports[0].Protocol = "DUBBO" },
		"port name":           func(e *networkingpb.ServiceEntry) { e.Ports[0].Name = "HTTP"; e.Endpoints = nil },
		"0 is no port":        func(e *networkingpb.ServiceEntry) { e.Ports[0].Number = 0 },
		"port number 80 is there": func(e *networkingpb.ServiceEntry) {
			e.Ports = append(e.Ports, &networkingpb.ServicePort{Name: "x", Number: 80, Protocol: "TCP"})
		},
		"port name http is there": func(e *networkingpb.ServiceEntry) {
			e.Ports = append(e.Ports, &networkingpb.ServicePort{Name: "http", Number: 81, Protocol: "TCP"})
		},
		"is not STATIC":                 func(e *networkingpb.ServiceEntry) { e.Resolution = networkingpb.ServiceEntry_DNS },
		"endpoint address":              func(e *networkingpb.ServiceEntry) { e.Endpoints[0].Address = "" },
		"is not among the service":      func(e *networkingpb.ServiceEntry) { e.Endpoints[0].Ports["x"] = 1 },
		`label "a b"`:                   func(e *networkingpb.ServiceEntry) { e.Endpoints[0].Labels["a b"] = "x" },
		`value "v,1"`:                   func(e *networkingpb.ServiceEntry) { e.Endpoints[0].Labels["version"] = "v,1" },
		"exportTo * stands alone":       func(e *networkingpb.ServiceEntry) { e.ExportTo = []string{"*", "x"} },
		"exportTo ns is there twice":    func(e *networkingpb.ServiceEntry) { e.ExportTo = []string{".", "ns"} },
		"several hosts may not share":   func(e *networkingpb.ServiceEntry) { e.Hosts = append(e.Hosts, "b.mesh"); e.Ports[0].Protocol = "TCP" },
		`exportTo "Big" is no namespac`: func(e *networkingpb.ServiceEntry) { e.ExportTo = []string{"Big"} },
	} {
		e := good()
		spoil(e)
		if f := strings.Join(entryFaults("ns", e), "; "); !strings.Contains(f, want) {
			t.Errorf("want %q, got %q", want, f)
		}
	}
	rule := &networkingpb.DestinationRule{Host: "a_b", Subsets: []*networkingpb.Subset{{Name: "1.0"}, {Name: "v1", Labels: map[string]string{"v": ","}}, {Name: "v1"}}}
	f := strings.Join(ruleFaults("ns", rule), "; ")
	for _, want := range []string{`host "a_b"`, `subset name "1.0"`, "subset v1 is there twice", "label v=, is not legal"} {
		if !strings.Contains(f, want) {
			t.Errorf("want %q, got %q", want, f)
		}
	}
}

func TestAChangeThatDoesNotCarryItsServiceIsRead(t *testing.T) {
	w := newWorld(t, compile(t, ""))
	s := service("orders", "10.0.0.1")
	ref := sources.Ref{Source: "a", Key: s.Key}
	w.reports[ref] = s
	c := w.engine.step([]sources.Change{{Ref: ref, At: start}}, true, start)
	if len(c.Put) != 1 || c.Put[0].Host != "orders.mesh" {
		t.Errorf("put %v", c.Put)
	}
}

func TestEveryClassOfRejectionIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/conversion.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range []string{ClassRead, ClassHost, ClassClash, ClassAddress, ClassPort, ClassLabel, ClassLocality, ClassSubset, ClassVIP, ClassInvalid} {
		if !strings.Contains(string(doc), "\n| `"+class+"` |") {
			t.Errorf("docs/conversion.md does not say what to do about class %s", class)
		}
	}
}

func TestTheProtocolsOfTheDocumentationAreServedAsItSays(t *testing.T) {
	doc, err := os.ReadFile("../docs/conversion.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| ([a-z0-9, -]+) \| ([A-Z0-9, -]+) \| ([a-z0-9, -]+) \| (\d+) \|$`).FindAllStringSubmatch(string(doc), -1)
	checked := 0
	for _, row := range rows {
		for i, word := range strings.Split(row[1], ", ") {
			at := func(cell string) string {
				list := strings.Split(cell, ", ")
				return list[min(i, len(list)-1)]
			}
			got := protocolOf(word)
			if got.istio != at(row[2]) || got.port != at(row[3]) || fmt.Sprint(got.number) != row[4] {
				t.Errorf("%s is %+v, documented as %v", word, got, row[2:])
			}
			checked++
		}
	}
	if checked < 14 {
		t.Errorf("%d protocols are documented", checked)
	}
}
