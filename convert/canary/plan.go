package canary

import (
	"maps"
	"slices"
)

// Rules are what documents of all names have in common.
type Rules struct {
	Label   string  // of a document that names none
	Respond Respond // in place of a rule at fault
}

// Served is a document's active content.
type Served struct {
	*Document
	Team       string
	Responding map[int]bool // canaries whose requests are answered, since they are at fault
	Superseded map[int]bool // entries of expose that are not made, since another document has the paths or the delegate
}

// Plan is what the documents of one host ask for. Its subsets get their names from whoever knows those that are taken.
type Plan struct {
	rules    Rules
	host     Host
	docs     []Served // by name
	decider  int      // the document whose primary and weights hold
	primary  int      // index into Subsets
	canaries [][]int  // by document and canary, index into Subsets

	Subsets []Subset
}

// Plan applies documents, sorted by name, to a host. At least one document is needed.
func (r Rules) Plan(docs []Served, host Host) *Plan {
	p := &Plan{rules: r, host: host, docs: docs}
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
		p.primary = p.add(stamped(name, nil, unclaimed(p.claims())))
		return
	case d.Primary.Version != "":
		name = d.Primary.Version
	case len(selector) == 1:
		for _, value := range selector {
			name = value
		}
	}
	p.primary = p.add(Subset{Name: name, Labels: selector})
}

// claims are the selectors of the canaries of all documents.
func (p *Plan) claims() []map[string]string {
	var all []map[string]string
	for _, d := range p.docs {
		for i := range d.Canaries {
			if selector := d.Canaries[i].Selector(p.rules.label(d.Document)); len(selector) > 0 {
				all = append(all, selector)
			}
		}
	}
	return all
}

// choose is the subset of a canary. One that fails over has the primary's endpoints as well, after its own.
func (p *Plan) choose(d Served, c *Canary) int {
	selector := c.Selector(p.rules.label(d.Document))
	if d.Fallback != FallbackFailover {
		return p.add(Subset{Name: c.SubsetName(), Labels: selector})
	}
	var order []string
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		order = append(order, key+"="+selector[key])
	}
	rest := []Term{{Has: p.Subsets[p.primary].Labels}}
	if stamp := p.Subsets[p.primary].Stamp; stamp != nil {
		rest = stamp.Any
	}
	return p.add(stamped(c.SubsetName(), order, append([]Term{{Has: selector}}, rest...)...))
}

func (p *Plan) add(s Subset) int {
	if i := slices.IndexFunc(p.Subsets, func(o Subset) bool { return o.ID() == s.ID() }); i >= 0 {
		return i
	}
	p.Subsets = append(p.Subsets, s)
	return len(p.Subsets) - 1
}

// Endpoints counts those of a subset that serve a port; of all ports with "".
func (p *Plan) Endpoints(subset int, port string) int {
	return p.count(p.Subsets[subset].Selects, port)
}

func (p *Plan) count(chosen func(labels map[string]string) bool, port string) int {
	n := 0
	for _, e := range p.host.Endpoints {
		if (port == "" || slices.Contains(e.Ports, port)) && chosen(e.Labels) {
			n++
		}
	}
	return n
}

// instances counts the endpoints that a canary itself chooses, those to which it fails over apart.
func (p *Plan) instances(d Served, i int) int {
	selector := d.Canaries[i].Selector(p.rules.label(d.Document))
	return p.count(func(labels map[string]string) bool { return selects(selector, labels) }, "")
}

// routable reports whether requests may be sent to a canary: it has an endpoint, or its document wants it so in any case.
func (p *Plan) routable(doc, i int, port string) bool {
	return p.docs[doc].Fallback == FallbackNone || p.Endpoints(p.canaries[doc][i], port) > 0
}
