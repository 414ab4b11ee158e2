package canary

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingpb "istio.io/api/networking/v1alpha3"
)

// host makes a host of one HTTP port; an endpoint is its labels, such as "version=v1 zone=a".
func host(endpoints ...string) Host {
	return hostWith([]Port{{Name: "http", Protocol: "HTTP", Number: 80}}, endpoints...)
}

func hostWith(ports []Port, endpoints ...string) Host {
	h := Host{Name: "echo.mesh", Ports: ports}
	for _, text := range endpoints {
		e := Endpoint{Labels: map[string]string{}}
		for _, pair := range strings.Fields(text) {
			key, value, _ := strings.Cut(pair, "=")
			e.Labels[key] = value
		}
		for _, p := range ports {
			e.Ports = append(e.Ports, p.Name)
		}
		h.Endpoints = append(h.Endpoints, e)
	}
	return h
}

func gray(d Document) Document {
	d.Canaries = append(d.Canaries, Canary{Name: "gray", Labels: map[string]string{"tag": "gray"}, Headers: map[string]Match{"x-lane": {Exact: "gray"}}})
	return d
}

func base() Document {
	return Document{Name: "lane", Services: []string{"echo.mesh"}, Primary: &Primary{Version: "base"}, Fallback: FallbackPrimary}
}

// plan applies documents and writes each VirtualService in short, one line a rule.
func plan(h Host, docs ...Document) []string {
	var served []Served
	for i := range docs {
		served = append(served, Served{Document: &docs[i]})
	}
	return lines(Rules{Label: "version", Respond: Respond{Status: 404, Body: "no"}}.Plan(served, h))
}

func lines(p *Plan) []string {
	var names []string
	for _, s := range p.Subsets {
		names = append(names, s.Name)
	}
	var all []string
	for _, o := range p.Objects(names, nil) {
		all = append(all, strings.TrimSpace("# "+o.Name+" "+strings.Join(o.Spec.Gateways, ",")))
		for _, r := range o.Spec.Http {
			all = append(all, httpLine(r))
		}
		for _, r := range o.Spec.Tls {
			all = append(all, fmt.Sprintf("tls %v %s", r.Match[0].SniHosts, destinations(r.Route)))
		}
		for _, r := range o.Spec.Tcp {
			match := ""
			for _, m := range r.Match {
				match += fmt.Sprintf("port %d %v ", m.Port, m.SourceLabels)
			}
			all = append(all, "tcp "+match+destinations(r.Route))
		}
	}
	return all
}

func httpLine(r *networkingpb.HTTPRoute) string {
	line := r.Name + ":"
	for _, m := range r.Match {
		for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
			value := m.Headers[name]
			line += fmt.Sprintf(" %s=%s%s%s", name, value.GetExact(), value.GetPrefix(), value.GetRegex())
		}
		if m.Uri != nil {
			line += " " + m.Uri.GetPrefix()
		}
		if m.Port != 0 {
			line += fmt.Sprintf(" :%d", m.Port)
		}
		for key, value := range m.SourceLabels {
			line += " from " + key + "=" + value
		}
	}
	if r.Headers != nil {
		line += fmt.Sprintf(" set %v", r.Headers.Request.Set)
	}
	if r.DirectResponse != nil {
		return line + fmt.Sprintf(" -> %d", r.DirectResponse.Status)
	}
	line += " ->"
	for _, d := range r.Route {
		line += share1(d.Destination, d.Weight)
	}
	return line
}

func destinations(all []*networkingpb.RouteDestination) string {
	line := "->"
	for _, d := range all {
		line += share1(d.Destination, d.Weight)
	}
	return line
}

func share1(d *networkingpb.Destination, weight int32) string {
	text := " " + d.Subset
	if d.Port.Number != 80 {
		text += fmt.Sprintf(":%d", d.Port.Number)
	}
	if weight > 0 {
		text += fmt.Sprintf(" %d", weight)
	}
	return text
}

func wantPlan(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestALaneFallsBackWhereThereIsNoGrayInstance(t *testing.T) {
	wantPlan(t, plan(host("version=base", "version=canary tag=gray"), gray(base())),
		"#", "lane.gray: x-lane=gray -> gray", "lane.primary: -> base")
	wantPlan(t, plan(host("version=base"), gray(base())), "#", "lane.primary: -> base")
}

func TestWithoutFallbackTheRouteStays(t *testing.T) {
	d := gray(base())
	d.Fallback = FallbackNone
	wantPlan(t, plan(host("version=base"), d), "#", "lane.gray: x-lane=gray -> gray", "lane.primary: -> base")
}

func TestFailoverMakesOnePoolOfCanaryAndPrimary(t *testing.T) {
	d := gray(base())
	d.Fallback = FallbackFailover
	p := Rules{Label: "version"}.Plan([]Served{{Document: &d}}, host("version=base", "tag=gray", "version=other"))
	stamp := &Stamp{Any: []Term{{Has: map[string]string{"tag": "gray"}}, {Has: map[string]string{"version": "base"}}}}
	want := Subset{Name: "gray", Labels: map[string]string{stamp.Key(): StampValue}, Failover: []string{"tag=gray"}, Stamp: stamp}
	if diff := cmp.Diff(want, p.Subsets[1]); diff != "" {
		t.Error(diff)
	}
	if got := p.Endpoints(1, ""); got != 2 {
		t.Errorf("%d endpoints in the pool, want 2: gray and base", got)
	}
	wantPlan(t, plan(host("version=base"), d), "#", "lane.gray: x-lane=gray -> gray", "lane.primary: -> base")
}

func TestWithoutAPrimaryTheUnclaimedEndpointsAreIt(t *testing.T) {
	d := gray(base())
	d.Primary = nil
	h := host("version=base", "tag=gray", "")
	p := Rules{Label: "version"}.Plan([]Served{{Document: &d}}, h)
	var chosen []int
	for i, e := range h.Endpoints {
		if p.Subsets[0].Selects(e.Labels) {
			chosen = append(chosen, i)
		}
	}
	if diff := cmp.Diff([]int{0, 2}, chosen); diff != "" {
		t.Error(diff)
	}
	wantPlan(t, lines(p), "#", "lane.gray: x-lane=gray -> gray", "lane.primary: -> primary")
}

func TestOnlyTheNamedClientsAreSplit(t *testing.T) {
	d := Document{Name: "benigno", Services: []string{"echo.mesh"}, Primary: &Primary{Version: "v1"}, Fallback: FallbackPrimary,
		From: &From{Labels: map[string]string{"app": "magnanimo"}}, Canaries: []Canary{{Version: "v2", Weight: 10}}}
	wantPlan(t, plan(host("version=v1", "version=v2"), d),
		"#", "benigno.split: from app=magnanimo -> v1 90 v2 10", "benigno.primary: -> v1")
}

func TestAColourIsRoutedAsTheDocumentDecidesOfTheHeadersThatItSets(t *testing.T) {
	d := gray(base())
	d.Expose = []Expose{{Gateway: "e2e/gateway", Hosts: []string{"*"}, Prefix: "/shop", Colour: []Colour{
		{When: map[string]Match{"agent": {Exact: "pc"}}, Set: map[string]string{"x-lane": "gray"}},
		{Set: map[string]string{"x-lane": "base"}},
	}}}
	wantPlan(t, plan(host("version=base", "tag=gray"), d),
		"#", "lane.gray: x-lane=gray -> gray", "lane.primary: -> base",
		"# lane.e2e.gateway.01-25afbd.echo.mesh e2e/gateway",
		"lane.colour.0: agent=pc /shop set map[x-lane:gray] -> gray", "lane.colour.1: /shop set map[x-lane:base] -> base")
	wantPlan(t, plan(host("version=base"), d)[2:], // the colour is set all the same
		"# lane.e2e.gateway.01-25afbd.echo.mesh e2e/gateway",
		"lane.colour.0: agent=pc /shop set map[x-lane:gray] -> base", "lane.colour.1: /shop set map[x-lane:base] -> base")
}

func TestTheWaysInOfOneGatewayHaveNamesInTheOrderOfTheDocument(t *testing.T) {
	d := base()
	for i := range 11 {
		d.Expose = append(d.Expose, Expose{Gateway: "e2e/gateway", Hosts: []string{"*"}, Prefix: fmt.Sprintf("/p%d/", i)})
	}
	var names []string
	for _, line := range plan(host("version=base"), d) {
		if strings.HasPrefix(line, "# ") {
			names = append(names, line)
		}
	}
	if len(names) != 11 || !slices.IsSorted(names) || len(slices.Compact(names)) != 11 {
		t.Error(names)
	}
}

func TestARequestThatADeadCanaryRefusesIsTriedAgainAtThePrimary(t *testing.T) {
	d := gray(base())
	d.Fallback = FallbackFailover
	p := Rules{Label: "version"}.Plan([]Served{{Document: &d}}, host("version=base", "tag=gray"))
	for _, r := range p.Objects([]string{"base", "gray"}, nil)[0].Spec.Http {
		if toPool := r.Route[0].Destination.Subset == "gray"; toPool != r.Retries.GetRetryRemoteLocalities().GetValue() {
			t.Errorf("%s: retries %v", r.Name, r.Retries)
		}
	}
}

func TestADelegateHasNeitherHostsNorAPrefix(t *testing.T) {
	d := gray(base())
	d.Expose = []Expose{{Delegate: "echo-routes", Prefix: "/"}}
	wantPlan(t, plan(host("version=base", "tag=gray"), d)[3:], "# echo-routes", "lane.gray: x-lane=gray -> gray", "lane.primary: -> base")
}

func TestPortsAreRoutedByWhatTheySpeak(t *testing.T) {
	ports := []Port{{"http", "HTTP", 80}, {"grpc", "GRPC", 50051}, {"https", "HTTPS", 443}, {"tcp", "TCP", 20880}, {"redis", "REDIS", 6379}}
	d := gray(base())
	d.Canaries[0].Weight = 20
	wantPlan(t, plan(hostWith(ports, "version=base", "tag=gray"), d), "#",
		"lane.gray: x-lane=gray :80 -> gray", "lane.primary: :80 -> base 80 gray 20",
		"lane.gray: x-lane=gray :50051 -> gray:50051", "lane.primary: :50051 -> base:50051 80 gray:50051 20",
		"tls [echo.mesh] -> base:443 80 gray:443 20",
		"tcp port 20880 map[] -> base:20880 80 gray:20880 20", "tcp port 6379 map[] -> base:6379 80 gray:6379 20")
}

func TestTheRulesOfSeveralDocumentsAreJoined(t *testing.T) {
	first := Document{Name: "a", Services: []string{"echo.mesh"}, Fallback: FallbackPrimary,
		Canaries: []Canary{{Version: "v2", Headers: map[string]Match{"user": {Prefix: "test-"}}}}}
	second := Document{Name: "b", Services: []string{"echo.mesh"}, Primary: &Primary{Version: "v1"}, Fallback: FallbackPrimary,
		Canaries: []Canary{{Version: "v3", Headers: map[string]Match{"baggage": {Member: map[string]string{"lane": "x.y"}}}, Weight: 5}}}
	wantPlan(t, plan(host("version=v1", "version=v2", "version=v3"), first, second),
		"#", "a.v2: user=test- -> v2", `b.v3: baggage=(.*,)?\s*lane=x\.y\s*([,;].*)? -> v3`, "b.primary: -> v1 95 v3 5")
}

func TestACanaryWhoseRequestsAnotherDocumentTakesIsTold(t *testing.T) {
	first := Document{Name: "a", Canaries: []Canary{{Version: "v2", Headers: map[string]Match{"stage": {Exact: "canary"}}}}}
	second := Document{Name: "b", Canaries: []Canary{{Version: "v3", Headers: map[string]Match{"stage": {Exact: "canary"}, "user": {Exact: "x"}}}}}
	p := Rules{Label: "version"}.Plan([]Served{{Document: &first}, {Document: &second}}, host("version=v1", "version=v2", "version=v3"))
	if found := p.Findings(0); len(found) > 0 {
		t.Error(found)
	}
	if found := p.Findings(1); len(found) != 1 || found[0].Class != Hidden {
		t.Error(found)
	}
}

func TestAMemberOfBaggageIsFoundAmongOthers(t *testing.T) {
	m := Match{Member: map[string]string{"lane": "gray"}}
	for value, want := range map[string]bool{
		"lane=gray": true, "a=b,lane=gray": true, "a=b, lane=gray;ttl=1,c=d": true, "lane=gray,c=d": true, " lane=gray ": true,
		"lane=grayish": false, "xlane=gray": false, "a=lane=gray": false, "lane=base": false, "": false,
	} {
		if got := m.Fits(value); got != want {
			t.Errorf("baggage %q: %t, want %t", value, got, want)
		}
	}
}

func TestARuleAtFaultAnswersAndItsShareIsThePrimarys(t *testing.T) {
	d := gray(base())
	d.Canaries[0].Weight = 50
	p := Rules{Label: "version", Respond: Respond{Status: 404}}.Plan([]Served{{Document: &d, Responding: map[int]bool{0: true}}}, host("version=base", "tag=gray"))
	wantPlan(t, lines(p), "#", "lane.gray: x-lane=gray -> 404", "lane.primary: -> base")
}
