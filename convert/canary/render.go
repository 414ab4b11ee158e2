package canary

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/wrapperspb"
	networkingpb "istio.io/api/networking/v1alpha3"
)

// Object is a VirtualService to be.
type Object struct {
	Name     string // "" for that of the mesh, which is named by its host
	Docs     []string
	Spec     *networkingpb.VirtualService
	Uses     []Use
	Requests []Requests
}

// Use is a subset that a route names, and the service port at which it does.
type Use struct{ Subset, Port string }

// Requests is what a VirtualService is asked for: the requests of the mesh to a host, those to some paths of a host at a gateway,
// or to be delegated to. Where a claim moves from one VirtualService to another, the former must stay until the latter is there.
type Requests struct {
	Gateway  string // "" for the mesh, or with Delegate
	Host     string
	Prefix   string
	Delegate string
}

// Overlap reports whether two have requests in common.
func (c Requests) Overlap(o Requests) bool {
	return c.Gateway == o.Gateway && c.Host == o.Host && c.Delegate == o.Delegate &&
		(strings.HasPrefix(c.Prefix, o.Prefix) || strings.HasPrefix(o.Prefix, c.Prefix))
}

// Objects are the VirtualServices of the host: one for the mesh, one for each exposure. names are those of Subsets.
func (p *Plan) Objects(names []string, exportTo []string) []Object {
	objects := []Object{p.mesh(names, exportTo)}
	for doc, d := range p.docs {
		seen := map[string]int{}
		for i, e := range d.Expose {
			seen[e.Gateway]++
			if d.Superseded[i] || !e.Reaches(d.Document, p.host.Name) {
				continue
			}
			if o, ok := p.exposure(doc, e, seen[e.Gateway], names, exportTo); ok {
				objects = append(objects, o)
			}
		}
	}
	return objects
}

func (p *Plan) mesh(names, exportTo []string) Object {
	w := writer{plan: p, names: names, uses: map[Use]bool{}}
	spec := &networkingpb.VirtualService{Hosts: []string{p.host.Name}, ExportTo: exportTo}
	http := p.host.ports(layerHTTP)
	for _, port := range http {
		for _, r := range p.httpRules(port.Name) {
			route := w.http(r, port)
			if len(http) > 1 {
				w.match(route).Port = port.Number
			}
			spec.Http = append(spec.Http, route)
		}
	}
	for _, port := range p.host.ports(layerTLS) {
		for _, r := range p.defaults(port.Name) {
			spec.Tls = append(spec.Tls, w.tls(r, port))
		}
	}
	tcp := p.host.ports(layerTCP)
	for _, port := range tcp {
		for _, r := range p.defaults(port.Name) {
			spec.Tcp = append(spec.Tcp, w.tcp(r, port, len(tcp) > 1))
		}
	}
	o := Object{Spec: spec, Uses: w.used(), Requests: []Requests{{Host: p.host.Name}}}
	for _, d := range p.docs {
		o.Docs = append(o.Docs, d.Name)
	}
	return o
}

// exposure is the VirtualService of an exposure, the n-th of its document at its gateway. It leads to the first HTTP port.
func (p *Plan) exposure(doc int, e Expose, n int, names, exportTo []string) (Object, bool) {
	http := p.host.ports(layerHTTP)
	if len(http) == 0 {
		return Object{}, false
	}
	w := writer{plan: p, names: names, uses: map[Use]bool{}}
	spec := &networkingpb.VirtualService{ExportTo: exportTo}
	o := Object{Name: e.Delegate, Docs: []string{p.docs[doc].Name}, Spec: spec}
	if e.Gateway != "" {
		spec.Hosts, spec.Gateways = e.Hosts, []string{e.Gateway}
		o.Name = p.exposureName(doc, e, n)
		for _, host := range e.Hosts {
			o.Requests = append(o.Requests, Requests{Gateway: e.Gateway, Host: strings.ToLower(host), Prefix: e.Prefix})
		}
	}
	for _, r := range p.exposed(doc, e, http[0].Name) {
		route := w.http(r, http[0])
		if e.Gateway != "" && e.Prefix != "/" && e.Prefix != "" {
			w.match(route).Uri = &networkingpb.StringMatch{MatchType: &networkingpb.StringMatch_Prefix{Prefix: e.Prefix}}
		}
		spec.Http = append(spec.Http, route)
	}
	o.Uses = w.used()
	return o, true
}

// exposureName is a name that no other exposure has: none of the parts before the host has a dot, there are as many of them in
// every name of a bridge, and of one age Istio tries VirtualServices in the order of their names. What the exposure takes is part
// of the name: where it takes something else from now on, the object with the former paths can stay until others have those.
func (p *Plan) exposureName(doc int, e Expose, n int) string {
	sum := sha256.Sum256([]byte(strings.Join(e.Hosts, " ") + " " + e.Prefix))
	parts := []string{p.docs[doc].Name, strings.ReplaceAll(e.Gateway, "/", "."), fmt.Sprintf("%02d-%x", n, sum[:3]), p.host.Name}
	if team := p.docs[doc].Team; team != "" {
		parts = append([]string{team}, parts...)
	}
	return strings.Join(parts, ".")
}

// writer writes rules in Istio's words, and notes what they use.
type writer struct {
	plan  *Plan
	names []string
	uses  map[Use]bool
}

func (w *writer) used() []Use {
	return slices.SortedFunc(maps.Keys(w.uses), func(a, b Use) int {
		return strings.Compare(a.Subset+" "+a.Port, b.Subset+" "+b.Port)
	})
}

// match is the only match of a route, made if it has none.
func (w *writer) match(route *networkingpb.HTTPRoute) *networkingpb.HTTPMatchRequest {
	if len(route.Match) == 0 {
		route.Match = []*networkingpb.HTTPMatchRequest{{}}
	}
	return route.Match[0]
}

func (w *writer) http(r rule, port Port) *networkingpb.HTTPRoute {
	route := &networkingpb.HTTPRoute{Name: r.name}
	if len(r.headers) > 0 {
		m := w.match(route)
		m.Headers = make(map[string]*networkingpb.StringMatch, len(r.headers))
		for name, match := range r.headers {
			m.Headers[name] = match.istio()
		}
	}
	if r.from != nil {
		w.match(route).SourceLabels, w.match(route).SourceNamespace = r.from.Labels, r.from.Namespace
	}
	if len(r.shares) == 0 {
		respond := w.plan.rules.Respond
		route.DirectResponse = &networkingpb.HTTPDirectResponse{Status: respond.Status,
			Body: &networkingpb.HTTPBody{Specifier: &networkingpb.HTTPBody_String_{String_: respond.Body}}}
		return route
	}
	if len(r.set) > 0 {
		route.Headers = &networkingpb.Headers{Request: &networkingpb.Headers_HeaderOperations{Set: r.set}}
	}
	if slices.ContainsFunc(r.shares, func(s share) bool { return len(w.plan.Subsets[s.subset].Failover) > 0 }) {
		// Until a dead canary is found out, a request that it refuses is tried again: by the third time at the primary.
		route.Retries = &networkingpb.HTTPRetry{Attempts: 3, RetryRemoteLocalities: wrapperspb.Bool(true)}
	}
	for _, s := range r.shares {
		route.Route = append(route.Route, &networkingpb.HTTPRouteDestination{Destination: w.destination(s, port), Weight: weight(s, r)})
	}
	return route
}

func (w *writer) tls(r rule, port Port) *networkingpb.TLSRoute {
	m := &networkingpb.TLSMatchAttributes{SniHosts: []string{w.plan.host.Name}, Port: port.Number}
	if r.from != nil {
		m.SourceLabels, m.SourceNamespace = r.from.Labels, r.from.Namespace
	}
	return &networkingpb.TLSRoute{Match: []*networkingpb.TLSMatchAttributes{m}, Route: w.tcpShares(r, port)}
}

func (w *writer) tcp(r rule, port Port, several bool) *networkingpb.TCPRoute {
	route := &networkingpb.TCPRoute{Route: w.tcpShares(r, port)}
	if several || r.from != nil {
		m := &networkingpb.L4MatchAttributes{}
		if several {
			m.Port = port.Number
		}
		if r.from != nil {
			m.SourceLabels, m.SourceNamespace = r.from.Labels, r.from.Namespace
		}
		route.Match = []*networkingpb.L4MatchAttributes{m}
	}
	return route
}

func (w *writer) tcpShares(r rule, port Port) []*networkingpb.RouteDestination {
	var all []*networkingpb.RouteDestination
	for _, s := range r.shares {
		all = append(all, &networkingpb.RouteDestination{Destination: w.destination(s, port), Weight: weight(s, r)})
	}
	return all
}

func (w *writer) destination(s share, port Port) *networkingpb.Destination {
	w.uses[Use{Subset: w.names[s.subset], Port: port.Name}] = true
	return &networkingpb.Destination{Host: w.plan.host.Name, Subset: w.names[s.subset], Port: &networkingpb.PortSelector{Number: port.Number}}
}

// weight is left out where there is one destination, as people write it.
func weight(s share, r rule) int32 {
	if len(r.shares) == 1 {
		return 0
	}
	return int32(s.weight)
}
