//go:build e2e

package validation

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert"
	"meshbridge/mcpserver/store"
	"meshbridge/test/harness"
)

// seedVariable names the environment variable that chooses the worlds beside those that are always the same.
const seedVariable = "MESHBRIDGE_TEST_SEED"

// Worlds of a run: those with the seeds 0 to fixed-1, and as many more from a seed that is another one each time.
const (
	fixed = 2000
	fresh = 1000
)

// seeds are those of a run.
func seeds(t *testing.T) []uint64 {
	t.Helper()
	first := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the fresh seeds begin at %d: run again with %[2]s=%[1]d", first, seedVariable)
	var all []uint64
	for i := range uint64(fixed) {
		all = append(all, i)
	}
	for i := range uint64(fresh) {
		all = append(all, first+i)
	}
	return all
}

func TestIstioRefusesNothingThatIsServed(t *testing.T) {
	dir := harness.Scratch(t, "documents")
	var resources []*store.Resource
	var from []*world
	seen := features{}
	for _, seed := range seeds(t) {
		w := newWorld(t, seed, dir)
		w.withheld(t)
		for _, r := range w.resources {
			resources, from = append(resources, r), append(from, w)
		}
		if seed < fixed {
			w.features(t, seen)
		}
	}
	t.Logf("%d objects of %d worlds", len(resources), fixed+fresh)
	told := map[*world]bool{}
	for i, refusal := range harness.JudgeServed(t, resources) {
		if refusal != "" && !told[from[i]] && len(told) < 5 {
			told[from[i]] = true
			t.Errorf("%s %s: %s\n%v\n%s", resources[i].Kind.Kind, resources[i].Name, refusal, spec(t, resources[i]), from[i])
		}
	}
	seen.check(t)
}

// withheld fails the test when the bridge itself took something for invalid that it had made: then Istio would not have been
// asked.
func (w *world) withheld(t *testing.T) {
	t.Helper()
	for _, r := range w.rejected {
		if r.Class == convert.ClassInvalid {
			t.Errorf("the bridge made %s\n%s", r.Reason, w)
		}
	}
}

// features are what served objects have, and how often.
type features map[string]int

// wanted are the features without which the worlds would show less than they should.
var wanted = []string{
	"ServiceEntry", "ServiceEntry split by port", "stamped endpoint", "DestinationRule", "subset with failover", "subset of two labels",
	"VirtualService", "gateway", "delegate", "prefix of paths", "HTTP", "TCP", "TLS", "weights", "weights of TCP", "weights of TLS", "port in a match",
	"header exact", "header prefix", "header regex", "header member", "headers set", "answer", "source labels", "source namespace", "exportTo",
	"document serving", "document held", "document responding", "document pending",
	"host refused", "traffic policy", "alias", "configuration refused: subsets.trafficPolicy", "configuration refused: mesh.", "configuration refused: source",
}

func (f features) check(t *testing.T) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(f)) {
		t.Logf("%6d %s", f[name], name)
	}
	for _, name := range wanted {
		if f[name] < 10 {
			t.Errorf("only %d of %s: the worlds show too little", f[name], name)
		}
	}
}

// spec decodes what a resource says.
func spec(t *testing.T, r *store.Resource) proto.Message {
	t.Helper()
	spec, err := r.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// features counts what the world's objects have, and fails the test when a route names a subset that is not served.
func (w *world) features(t *testing.T, seen features) {
	t.Helper()
	for _, v := range w.canaries {
		seen["document "+v.State]++
	}
	if w.refused != nil {
		for line := range strings.Lines(w.refused.Error()) {
			for _, path := range []string{"subsets.trafficPolicy", "mesh.", "source"} {
				seen.add("configuration refused: "+path, strings.HasPrefix(line, path))
			}
		}
	}
	seen.add("host refused", slices.ContainsFunc(w.rejected, func(r convert.Rejection) bool { return r.Class == convert.ClassHost }))
	entries, subsets := map[string]int{}, map[string]bool{}
	var routes []*networkingpb.VirtualService
	for _, r := range w.resources {
		seen[r.Kind.Kind]++
		switch s := spec(t, r).(type) {
		case *networkingpb.ServiceEntry:
			if entries[s.Hosts[0]]++; entries[s.Hosts[0]] == 2 {
				seen["ServiceEntry split by port"]++
			}
			seen.add("exportTo", len(s.ExportTo) > 0)
			seen.add("alias", s.Hosts[0] == "shop.example.com")
			seen.add("stamped endpoint", slices.ContainsFunc(s.Endpoints, func(e *networkingpb.WorkloadEntry) bool {
				return slices.ContainsFunc(slices.Collect(maps.Keys(e.Labels)), func(key string) bool { return strings.HasPrefix(key, "meshbridge.") })
			}))
		case *networkingpb.DestinationRule:
			seen.add("traffic policy", s.TrafficPolicy != nil)
			for _, subset := range s.Subsets {
				subsets[s.Host+" "+subset.Name] = true
				seen.add("subset with failover", len(subset.TrafficPolicy.GetLoadBalancer().GetLocalityLbSetting().GetFailoverPriority()) > 0)
				seen.add("subset of two labels", len(subset.Labels) > 1)
			}
		case *networkingpb.VirtualService:
			routes = append(routes, s)
			seen.routes(s)
		}
	}
	for _, vs := range routes {
		for _, d := range destinations(vs) {
			if d.Subset == "" || d.Port == nil || !subsets[d.Host+" "+d.Subset] {
				t.Errorf("a route leads to %v, which no DestinationRule has\n%s", d, w)
			}
		}
	}
}

func (f features) add(name string, has bool) {
	if has {
		f[name]++
	}
}

func (f features) routes(vs *networkingpb.VirtualService) {
	f.add("gateway", len(vs.Gateways) > 0)
	f.add("delegate", len(vs.Hosts) == 0)
	for _, r := range vs.Http {
		f["HTTP"]++
		f.add("weights", len(r.Route) > 1)
		f.add("answer", r.DirectResponse != nil)
		f.add("headers set", len(r.Headers.GetRequest().GetSet()) > 0)
		for _, m := range r.Match {
			f.add("port in a match", m.Port != 0)
			f.add("prefix of paths", m.Uri.GetPrefix() != "")
			f.add("source labels", len(m.SourceLabels) > 0)
			f.add("source namespace", m.SourceNamespace != "")
			for name, h := range m.Headers {
				f["header "+kind(name, h)]++
			}
		}
	}
	for _, r := range vs.Tcp {
		f["TCP"]++
		f.add("weights of TCP", len(r.Route) > 1)
	}
	for _, r := range vs.Tls {
		f["TLS"]++
		f.add("weights of TLS", len(r.Route) > 1)
	}
}

func kind(name string, m *networkingpb.StringMatch) string {
	switch {
	case m.GetPrefix() != "":
		return "prefix"
	case m.GetRegex() != "" && name == "baggage":
		return "member"
	case m.GetRegex() != "":
		return "regex"
	}
	return "exact"
}

// destinations are those of all routes.
func destinations(vs *networkingpb.VirtualService) []*networkingpb.Destination {
	var all []*networkingpb.Destination
	for _, r := range vs.Http {
		for _, d := range r.Route {
			all = append(all, d.Destination)
		}
	}
	for _, r := range vs.Tls {
		for _, d := range r.Route {
			all = append(all, d.Destination)
		}
	}
	for _, r := range vs.Tcp {
		for _, d := range r.Route {
			all = append(all, d.Destination)
		}
	}
	return all
}
