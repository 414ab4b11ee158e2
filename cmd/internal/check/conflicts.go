package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/kube"
	"meshbridge/convert"
	"meshbridge/mcpserver/store"
)

// Kubernetes is what others have written into the cluster.
type Kubernetes struct {
	kube.Objects
	Err error // why it is not known
}

// conflicts says what objects of others do to those that are served, or the other way round. Without a cluster to ask, it
// says what would happen.
func conflicts(b Bridge, cluster *Kubernetes) Section {
	s := Section{Name: "conflicts"}
	ours := servedOf(b)
	if cluster == nil {
		s.Verdict = "skipped (no Kubernetes access)"
		ours.gateways(&s)
		s.possible(b.Resources)
		return s
	}
	if cluster.Err != nil {
		s.add(false, cluster.Err.Error(), "the bridge's own checks go on; name the API as meshbridge check --help says")
	}
	s.Fine = fmt.Sprintf("%s, %s, %s and %s of others", count(len(cluster.Rules), "DestinationRule"), count(len(cluster.Routes), "VirtualService"),
		count(len(cluster.Entries), "ServiceEntry"), count(len(cluster.Services), "Service"))
	ours.gateways(&s)
	for _, theirs := range cluster.Rules {
		ours.rule(&s, theirs)
	}
	for _, theirs := range cluster.Routes {
		ours.route(&s, theirs)
		ours.delegated(&s, theirs)
	}
	for _, theirs := range cluster.Entries {
		ours.entry(&s, theirs)
	}
	for _, theirs := range cluster.Services {
		ours.service(&s, theirs)
	}
	return s
}

// possible says what may be without being seen, once.
func (s *Section) possible(resources []api.Resource) {
	bare, routes, yields := 0, 0, false
	for _, r := range resources {
		switch {
		case r.Kind == store.DestinationRule.Kind && !r.Policy:
			bare++
		case r.Kind == store.VirtualService.Kind:
			routes++
		}
		yields = yields || r.Created != nil && !r.Created.Before(convert.Created())
	}
	if bare > 0 {
		s.add(true, fmt.Sprintf("%s of the bridge without a trafficPolicy: a trafficPolicy that you set for a wildcard such as *.mesh does not hold for these hosts", count(bare, "DestinationRule")),
			"if you have one, put it into subsets.trafficPolicy as well; --kube-api shows whether you have")
	}
	if routes > 0 && yields {
		s.add(true, fmt.Sprintf("%s of the bridge: one of yours for the same host wins whole, and the canaries of that host get nothing", count(routes, "VirtualService")),
			yieldRemedy+"; --kube-api shows whether there is one")
	}
}

// What to do about a VirtualService that takes a host from the bridge's.
const (
	delegateRemedy = "let it delegate to the document (expose[].delegate), or name the bridge's subsets"
	yieldRemedy    = delegateRemedy + "; or set canary.precedence: override"
)

// served are the bridge's rules and routes for traffic, as they compare with those of others.
type served struct {
	rules  []kube.Rule
	routes []kube.Route        // those of sidecars
	others []kube.Route        // those of gateways, and delegates
	needed map[string][]string // by host, the subsets that the routes name
	hosts  map[string][]kube.Meta
}

// servedOf reads the bridge's objects. One that cannot be read is the bridge's own fault, and was judged before it was served.
func servedOf(b Bridge) served {
	ours := served{needed: map[string][]string{}, hosts: map[string][]kube.Meta{}}
	for _, r := range b.Resources {
		if r.Kind == store.ServiceEntry.Kind {
			ours.hosts[r.Host] = append(ours.hosts[r.Host], kube.Meta{Namespace: r.Namespace, Name: r.Name, Created: createdAt(r), ExportTo: r.ExportTo})
		}
	}
	for _, r := range b.Objects {
		var meta *kube.Meta
		switch r.Kind {
		case store.DestinationRule.Kind:
			rule, err := kube.ParseRule(r.Object)
			if err != nil {
				continue
			}
			ours.rules = append(ours.rules, rule)
			meta = &ours.rules[len(ours.rules)-1].Meta
		case store.VirtualService.Kind:
			route, err := kube.ParseRoute(r.Object)
			if err != nil {
				continue
			}
			for host, subsets := range route.Subsets {
				ours.needed[host] = append(ours.needed[host], subsets...)
			}
			if !route.Mesh() {
				ours.others = append(ours.others, route) // at gateways the routes of all are joined
				continue
			}
			ours.routes = append(ours.routes, route)
			meta = &ours.routes[len(ours.routes)-1].Meta
		default:
			continue
		}
		meta.Created = createdAt(r)
	}
	return ours
}

// createdAt is what istiod takes for an object's age.
func createdAt(r api.Resource) time.Time {
	if r.Created != nil {
		return *r.Created
	}
	return convert.Created()
}

// effect is what an object of somebody else and those of the bridge do to each other, at one or several hosts alike.
type effect struct {
	hint         bool
	text, remedy string
}

// tell adds the effects that an object has, each once with its hosts.
func (s *Section) tell(object string, hosts map[effect][]string, order []effect) {
	for _, e := range order {
		list := slices.Compact(slices.Sorted(slices.Values(hosts[e])))
		s.add(e.hint, fmt.Sprintf("%s, at %s: %s", object, strings.Join(list[:min(len(list), examples)], ", ")+more(len(list)), e.text), e.remedy)
	}
}

// effects collects them in the order in which they come.
type effects struct {
	hosts map[effect][]string
	order []effect
}

func (c *effects) add(host string, e effect) {
	if c.hosts == nil {
		c.hosts = map[effect][]string{}
	}
	if c.hosts[e] == nil {
		c.order = append(c.order, e)
	}
	c.hosts[e] = append(c.hosts[e], host)
}
