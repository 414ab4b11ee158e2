package canary

import (
	"maps"
	"slices"
)

// Labels that are stamped on endpoints, for what a selector of labels cannot say.
const (
	PrimaryLabel = "meshbridge.subset" // its value primary: no canary claims the endpoint
	poolLabel    = "meshbridge.pool."  // followed by a canary's name: the canary's endpoints and those to fail over to
)

// Rules are what documents of all names have in common.
type Rules struct {
	Label   string  // of a document that names none
	Respond Respond // in place of a rule at fault
}

// Served is a document's content in force.
type Served struct {
	*Document
	Responding map[int]bool // canaries whose requests are answered, since they are at fault
}

// Plan is what the documents of one host ask for. Its subsets get their names from whoever knows those that are taken.
type Plan struct {
	rules    Rules
	host     Host
	docs     []Served // by name
	decider  int      // the document whose primary and weights hold
	primary  int      // index into Subsets
	canaries [][]int  // by document and canary, index into Subsets
	stamps   map[int]map[string]string

	Subsets []Subset
}

// Plan applies documents, sorted by name, to a host. At least one document is needed.
func (r Rules) Plan(docs []Served, host Host) *Plan {
	p := &Plan{rules: r, host: host, docs: docs, stamps: map[int]map[string]string{}}
	p.decider = max(0, slices.IndexFunc(docs, func(d Served) bool { return d.decides() }))
	p.choosePrimary()
	for _, d := range docs {
		var subsets []int
		for i := range d.Canaries {
			if d.Responding[i] {
				subsets = append(subsets, p.primary) // nothing is routed to it, and its labels may be at fault
			} else {
				subsets = append(subsets, p.choose(d, &d.Canaries[i]))
			}
		}
		p.canaries = append(p.canaries, subsets)
	}
	return p
}

// decides reports whether a document says what becomes of requests that no header sends to a canary.
func (d *Document) decides() bool {
	return d.Primary != nil || slices.ContainsFunc(d.Canaries, func(c Canary) bool { return c.Weight > 0 })
}

// Decides reports whether a document says what becomes of requests that no header sends to a canary; one of a host may.
func Decides(d *Document) bool { return d.decides() }

func (r Rules) label(d *Document) string {
	if d.Label != "" {
		return d.Label
	}
	return r.Label
}

// primarySelector is the labels of a document's primary, or nil for the endpoints that no canary claims.
func (r Rules) primarySelector(d *Document) map[string]string {
	switch {
	case d.Primary == nil:
		return nil
	case d.Primary.Version != "":
		return map[string]string{r.label(d): d.Primary.Version}
	}
	return d.Primary.Labels
}

func (p *Plan) choosePrimary() {
	d := p.docs[p.decider]
	selector, name := p.rules.primarySelector(d.Document), "primary"
	switch {
	case selector == nil:
		selector = map[string]string{PrimaryLabel: "primary"}
		for i, e := range p.host.Endpoints {
			if !p.claimed(e) {
				p.stamp(i, PrimaryLabel, "primary")
			}
		}
	case d.Primary.Version != "":
		name = d.Primary.Version
	case len(selector) == 1:
		for _, value := range selector {
			name = value
		}
	}
	p.primary = p.add(Subset{Name: name, Labels: selector})
}

// claimed reports whether a canary of any document claims an endpoint.
func (p *Plan) claimed(e Endpoint) bool {
	for _, d := range p.docs {
		for i := range d.Canaries {
			if selects(d.Canaries[i].Selector(p.rules.label(d.Document)), e.Labels) {
				return true
			}
		}
	}
	return false
}

// choose is the subset of a canary. One that fails over has the primary's endpoints as well, after its own.
func (p *Plan) choose(d Served, c *Canary) int {
	selector := c.Selector(p.rules.label(d.Document))
	if d.Fallback != FallbackFailover {
		return p.add(Subset{Name: c.SubsetName(), Labels: selector})
	}
	pool := poolLabel + c.SubsetName()
	for i := range p.host.Endpoints {
		if labels := p.labels(i); selects(selector, labels) || selects(p.Subsets[p.primary].Labels, labels) {
			p.stamp(i, pool, "1")
		}
	}
	var order []string
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		order = append(order, key+"="+selector[key])
	}
	return p.add(Subset{Name: c.SubsetName(), Labels: map[string]string{pool: "1"}, Failover: order})
}

func (p *Plan) add(s Subset) int {
	if i := slices.IndexFunc(p.Subsets, func(o Subset) bool { return o.ID() == s.ID() }); i >= 0 {
		return i
	}
	p.Subsets = append(p.Subsets, s)
	return len(p.Subsets) - 1
}

func (p *Plan) stamp(endpoint int, key, value string) {
	if p.stamps[endpoint] == nil {
		p.stamps[endpoint] = map[string]string{}
	}
	p.stamps[endpoint][key] = value
}

// Stamps are the labels that an endpoint gets beside its own, or nil.
func (p *Plan) Stamps(endpoint int) map[string]string { return p.stamps[endpoint] }

// labels are an endpoint's, with its stamps.
func (p *Plan) labels(endpoint int) map[string]string {
	own, stamps := p.host.Endpoints[endpoint].Labels, p.stamps[endpoint]
	if len(stamps) == 0 {
		return own
	}
	joined := make(map[string]string, len(own)+len(stamps))
	maps.Copy(joined, own)
	maps.Copy(joined, stamps)
	return joined
}

// Endpoints counts those of a subset that serve a port; of all ports with "".
func (p *Plan) Endpoints(subset int, port string) int { return p.count(p.Subsets[subset].Labels, port) }

func (p *Plan) count(selector map[string]string, port string) int {
	n := 0
	for i, e := range p.host.Endpoints {
		if (port == "" || slices.Contains(e.Ports, port)) && selects(selector, p.labels(i)) {
			n++
		}
	}
	return n
}

// routable reports whether requests may be sent to a canary: it has an endpoint, or its document wants it so in any case.
func (p *Plan) routable(doc, i int, port string) bool {
	return p.docs[doc].Fallback == FallbackNone || p.Endpoints(p.canaries[doc][i], port) > 0
}
