package canary

import "fmt"

// Route is a rule of a host's VirtualService, for people.
type Route struct {
	Name   string
	Match  string // in words; "" for all requests
	Shares []Share
	Status uint32 // of the answer in place of a route; 0: it routes
}

// Share is what a subset gets of a rule's requests.
type Share struct {
	Subset int // index into Plan.Subsets
	Weight int // percent
}

// Routes are the rules of one document for the mesh, at the host's first port of the layer that tells most.
func (p *Plan) Routes(doc int) []Route {
	var rules []rule
	switch http, tls, tcp := p.host.ports(layerHTTP), p.host.ports(layerTLS), p.host.ports(layerTCP); {
	case len(http) > 0:
		rules = p.httpRules(http[0].Name)
	case len(tls) > 0:
		rules = p.defaults(tls[0].Name)
	case len(tcp) > 0:
		rules = p.defaults(tcp[0].Name)
	}
	var routes []Route
	for _, r := range rules {
		if r.doc != doc {
			continue
		}
		route := Route{Name: r.name, Match: r.words()}
		if len(r.shares) == 0 {
			route.Status = p.rules.Respond.Status
		}
		for _, s := range r.shares {
			route.Shares = append(route.Shares, Share{Subset: s.subset, Weight: s.weight})
		}
		routes = append(routes, route)
	}
	return routes
}

// Chosen are the subsets that a document names: its primary, if its word holds, and its canaries in their order.
func (p *Plan) Chosen(doc int) (primary int, canaries []int) {
	primary = -1
	if doc == p.decider {
		primary = p.primary
	}
	return primary, p.canaries[doc]
}

// Finding is something that the owners of a document should know of it at this host.
type Finding struct {
	Class   Class
	Warning bool
	Text    string // with what to do
}

// Class tells findings apart.
type Class string

// The classes of findings.
const (
	Empty    Class = "empty"    // a canary or primary without a ready endpoint
	Overlap  Class = "overlap"  // endpoints in two subsets of one document
	Protocol Class = "protocol" // headers on a port that has none
	Retire   Class = "retire"   // the primary gets nothing any more
	Idle     Class = "idle"     // a canary without headers and weight
	Hidden   Class = "hidden"   // a canary whose requests go to that of another document
)

// Findings are what is to be said of one document at this host.
func (p *Plan) Findings(doc int) []Finding {
	d := p.docs[doc]
	var found []Finding
	add := func(class Class, warning bool, format string, args ...any) {
		found = append(found, Finding{Class: class, Warning: warning, Text: fmt.Sprintf(format, args...)})
	}
	name := func(i int) string { return d.Canaries[i].SubsetName() }
	weights := 0
	for i, c := range d.Canaries {
		if d.Responding[i] {
			continue
		}
		weights += c.Weight
		if p.instances(d, i) == 0 {
			goes := "its traffic goes to the primary"
			if d.Fallback == FallbackNone {
				goes = "its requests fail (fallback: none)"
			}
			add(Empty, true, "canary %q has no ready endpoint; %s", name(i), goes)
		}
		if len(c.Headers) > 0 && len(p.host.ports(layerHTTP)) < len(p.host.Ports) {
			add(Protocol, len(p.host.ports(layerHTTP)) == 0, "canary %q is chosen by headers, which ports of TCP and TLS do not have: there it gets its weight only", name(i))
		}
		if len(c.Headers) == 0 && c.Weight == 0 {
			add(Idle, true, "canary %q gets no requests: give it headers or a weight", name(i))
		}
		if other, by := p.hidden(doc, i); by != nil {
			add(Hidden, true, "canary %q gets no requests: canary %q of document %s, which comes first, takes all of them: choose other headers", name(i), by.SubsetName(), other)
		}
		if n := p.both(d, i); n > 0 {
			add(Overlap, true, "%d endpoints are in canary %q and in the primary or another canary: labels of canaries should exclude each other", n, name(i))
		}
	}
	if doc != p.decider {
		return found
	}
	if p.Endpoints(p.primary, "") == 0 && len(p.host.Endpoints) > 0 {
		if weights < 100 {
			add(Empty, true, "the primary has no ready endpoint: requests to it fail; name a version that there is")
		}
	}
	if weights == 100 && d.From == nil && len(d.Canaries) == 1 {
		add(Retire, false, "%s 100 %%, %s 0 %%: promote %s to retire %s", name(0), p.Subsets[p.primary].Name, name(0), p.Subsets[p.primary].Name)
	}
	return found
}

// hidden finds the canary of an earlier document that takes all requests of a canary: its headers are among those of the other.
func (p *Plan) hidden(doc, i int) (document string, by *Canary) {
	d := p.docs[doc]
	mine := d.Canaries[i].Headers
	if len(mine) == 0 {
		return "", nil
	}
	for _, other := range p.docs[:doc] {
		if other.From != nil && !sameFrom(other.From, d.From) {
			continue
		}
		for j := range other.Canaries {
			c := &other.Canaries[j]
			among := len(c.Headers) > 0
			for name, m := range c.Headers {
				has, ok := mine[name]
				among = among && ok && sameHeaders(map[string]Match{"": m}, map[string]Match{"": has})
			}
			if among {
				return other.Name, c
			}
		}
	}
	return "", nil
}

// both counts the endpoints of a canary that the primary or an earlier canary claims as well.
func (p *Plan) both(d Served, i int) int {
	selector := d.Canaries[i].Selector(p.rules.label(d.Document))
	others := []map[string]string{p.rules.primarySelector(d.Document)}
	for j := range i {
		others = append(others, d.Canaries[j].Selector(p.rules.label(d.Document)))
	}
	n := 0
	for _, e := range p.host.Endpoints {
		if !selects(selector, e.Labels) {
			continue
		}
		for _, other := range others {
			if selects(other, e.Labels) {
				n++
				break
			}
		}
	}
	return n
}
