package convert

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/store"
)

// walkObject is a resource as istiod reads it.
type walkObject struct {
	r     *store.Resource
	ns    string
	entry *networkingpb.ServiceEntry
	rule  *networkingpb.DestinationRule
	route *networkingpb.VirtualService
	dests []*networkingpb.Destination // to which some requests go
}

func (w *walk) object(r *store.Resource) *walkObject {
	if o := w.objects[r]; o != nil {
		return o
	}
	spec, err := r.Spec()
	if err != nil {
		w.t.Fatal(err)
	}
	o := &walkObject{r: r}
	o.ns, _, _ = strings.Cut(r.Name, "/")
	switch m := spec.(type) {
	case *networkingpb.ServiceEntry:
		o.entry = m
	case *networkingpb.DestinationRule:
		o.rule = m
	case *networkingpb.VirtualService:
		o.route = m
		o.dests = destinations(m)
	}
	w.objects[r] = o
	return o
}

// destinations are those of routes to which some of the requests go.
func destinations(m *networkingpb.VirtualService) []*networkingpb.Destination {
	var all []*networkingpb.Destination
	for _, r := range m.Http {
		for _, d := range r.Route {
			if d.Weight > 0 || len(r.Route) == 1 {
				all = append(all, d.Destination)
			}
		}
	}
	var streams [][]*networkingpb.RouteDestination
	for _, r := range m.Tcp {
		streams = append(streams, r.Route)
	}
	for _, r := range m.Tls {
		streams = append(streams, r.Route)
	}
	for _, shares := range streams {
		for _, d := range shares {
			if d.Weight > 0 || len(shares) == 1 {
				all = append(all, d.Destination)
			}
		}
	}
	return all
}

// walkIstiod is what a client makes of what it holds.
type walkIstiod struct {
	entries map[string][]*walkObject // by host, that which Istio prefers first
	rules   map[string][]*walkObject // by host
	routes  []*walkObject            // by name
}

func (w *walk) istiod(holds map[store.Key]*store.Resource) *walkIstiod {
	i := &walkIstiod{entries: map[string][]*walkObject{}, rules: map[string][]*walkObject{}}
	for _, r := range holds {
		switch o := w.object(r); {
		case o.entry != nil:
			for _, host := range o.entry.Hosts {
				i.entries[host] = append(i.entries[host], o)
			}
		case o.rule != nil:
			i.rules[o.rule.Host] = append(i.rules[o.rule.Host], o)
		default:
			i.routes = append(i.routes, o)
		}
	}
	older := func(a, b *walkObject) int {
		return cmp.Or(a.r.Created.Compare(b.r.Created), strings.Compare(a.r.Name, b.r.Name)) // namespace, then name
	}
	for _, list := range i.entries {
		slices.SortFunc(list, older)
	}
	slices.SortFunc(i.routes, func(a, b *walkObject) int { return strings.Compare(a.r.Name, b.r.Name) })
	return i
}

// service is the entries of the one service that Istio has of a host: those of the namespace of the oldest.
func (i *walkIstiod) service(host string) (ns string, entries []*walkObject) {
	for _, o := range i.entries[host] {
		if ns == "" {
			ns = o.ns
		}
		if o.ns == ns {
			entries = append(entries, o)
		}
	}
	return ns, entries
}

// subset finds the labels of a subset in the DestinationRules that Istio applies to a service.
func (i *walkIstiod) subset(host, ns, name string) (map[string]string, bool) {
	for _, o := range i.rules[host] {
		if o.ns != ns {
			continue
		}
		for _, s := range o.rule.Subsets {
			if s.Name == name {
				return s.Labels, true
			}
		}
	}
	return nil, false
}

// offers reports whether a ServiceEntry has a port.
func (o *walkObject) offers(port uint32) bool {
	return slices.ContainsFunc(o.entry.Ports, func(p *networkingpb.ServicePort) bool { return p.Number == port })
}

// selects are the endpoints of a subset at a port, by address.
func selects(entries []*walkObject, labels map[string]string, port uint32) []*networkingpb.WorkloadEntry {
	var all []*networkingpb.WorkloadEntry
	for _, o := range entries {
		if !o.offers(port) {
			continue
		}
		for _, e := range o.entry.Endpoints {
			if labelsHave(e.Labels, labels) {
				all = append(all, e)
			}
		}
	}
	return all
}

func labelsHave(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// walkProbes are hosts of requests at gateways.
var walkProbes = []string{"shop.example.com", "www.example.com", "other.test"}

// covers reports whether a pattern of hosts at a gateway has a host.
func covers(pattern, host string) bool {
	return pattern == "*" || pattern == host || strings.HasPrefix(pattern, "*.") && strings.HasSuffix(host, pattern[1:])
}

// leads reports whether requests of a prefix have a route, by the routes of a gateway that have a pattern of hosts.
func (i *walkIstiod) leads(gateway, pattern, prefix string) bool {
	for _, o := range i.routes {
		if !slices.Contains(o.route.Gateways, gateway) || !slices.Contains(o.route.Hosts, pattern) {
			continue
		}
		for _, r := range o.route.Http {
			if len(r.Match) == 0 || slices.ContainsFunc(r.Match, func(m *networkingpb.HTTPMatchRequest) bool {
				return len(m.Headers)+len(m.SourceLabels)+len(m.SourceNamespace) == 0 && strings.HasPrefix(prefix, m.GetUri().GetPrefix())
			}) {
				return true
			}
		}
	}
	return false
}

// hidden is the pattern of hosts that takes a host of a claim to a virtual host without the claimed path, or "". Envoy takes
// the narrowest pattern alone.
func (i *walkIstiod) hidden(c walkClaim) string {
	patterns := map[string]bool{}
	for _, o := range i.routes {
		if slices.Contains(o.route.Gateways, c.gateway) {
			for _, host := range o.route.Hosts {
				patterns[host] = true
			}
		}
	}
	for _, probe := range walkProbes {
		if !covers(c.pattern, probe) {
			continue
		}
		narrowest := c.pattern
		for _, pattern := range slices.Sorted(maps.Keys(patterns)) {
			if covers(pattern, probe) && len(pattern) > len(narrowest) {
				narrowest = pattern
			}
		}
		if narrowest != c.pattern && !i.leads(c.gateway, narrowest, c.prefix) {
			return narrowest
		}
	}
	return ""
}

// has reports whether a claim is routed.
func (i *walkIstiod) has(c walkClaim) bool {
	if c.gateway != "" {
		return i.leads(c.gateway, c.pattern, c.prefix)
	}
	return len(i.keys(c)) > 0
}

// keys are the names of the VirtualServices of a delegate or a host.
func (i *walkIstiod) keys(c walkClaim) []string {
	var names []string
	for _, o := range i.routes {
		_, name, _ := strings.Cut(o.r.Name, "/")
		has := false
		switch {
		case c.delegate != "":
			has = len(o.route.Hosts) == 0 && name == c.delegate
		case c.key != "":
			has = len(o.route.Hosts) == 0 && o.r.Name == c.key
		default:
			has = len(o.route.Gateways) == 0 && slices.Contains(o.route.Hosts, c.host)
		}
		if has {
			names = append(names, o.r.Name)
		}
	}
	return names
}
