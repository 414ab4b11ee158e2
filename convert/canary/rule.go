package canary

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// rule is a route of a VirtualService in short: which requests, and where to.
type rule struct {
	name    string
	doc     int
	headers map[string]Match
	from    *From
	set     map[string]string // headers that the request gets
	shares  []share           // none: the request is answered
}

// share is a subset's part of a rule's requests, in percent.
type share struct{ subset, weight int }

// httpRules are the rules of an HTTP port, first those by headers, then what holds for the rest.
func (p *Plan) httpRules(port string) []rule {
	var rules []rule
	for doc := range p.docs {
		rules = append(rules, p.headerRules(doc, port)...)
	}
	return append(rules, p.defaults(port)...)
}

// headerRules are those of the canaries of one document.
func (p *Plan) headerRules(doc int, port string) []rule {
	d := p.docs[doc]
	var rules []rule
	for i, c := range d.Canaries {
		if len(c.Headers) == 0 {
			continue
		}
		r := rule{name: d.Name + "." + c.SubsetName(), doc: doc, headers: c.Headers, from: d.From}
		switch {
		case d.Responding[i]:
			rules = append(rules, r)
		case p.routable(doc, i, port):
			r.shares = []share{{p.canaries[doc][i], 100}}
			rules = append(rules, r)
		}
	}
	return rules
}

// defaults are the rules for requests that no header sends to a canary: by weight, if only for some clients.
func (p *Plan) defaults(port string) []rule {
	d := p.docs[p.decider]
	left := 100
	var canaries []share
	for i, c := range d.Canaries {
		if c.Weight > 0 && !d.Responding[i] && p.routable(p.decider, i, port) {
			canaries = append(canaries, share{p.canaries[p.decider][i], c.Weight})
			left -= c.Weight
		}
	}
	shares := canaries
	if left > 0 {
		shares = append([]share{{p.primary, left}}, canaries...)
	}
	primary := rule{name: d.Name + ".primary", doc: p.decider, shares: shares}
	if d.From == nil || len(canaries) == 0 {
		return []rule{primary}
	}
	primary.shares = []share{{p.primary, 100}}
	return []rule{{name: d.Name + ".split", doc: p.decider, from: d.From, shares: shares}, primary}
}

// exposed are the rules at a gateway.
func (p *Plan) exposed(doc int, e Expose, port string) []rule {
	var rules []rule
	for i, colour := range e.Colour {
		r := rule{name: fmt.Sprintf("%s.colour.%d", p.docs[doc].Name, i), doc: doc, headers: colour.When, set: colour.Set}
		r.shares = p.coloured(doc, colour.Set, port)
		rules = append(rules, r)
		if len(colour.When) == 0 {
			return rules
		}
	}
	rules = append(rules, p.headerRules(doc, port)...)
	return append(rules, p.defaults(port)...)
}

// coloured are the shares of requests that carry the given headers, as the document itself decides of them.
func (p *Plan) coloured(doc int, set map[string]string, port string) []share {
	d := p.docs[doc]
	for i, c := range d.Canaries {
		if len(c.Headers) == 0 || !c.decidedBy(set) {
			continue
		}
		switch {
		case d.Responding[i]:
			return nil
		case p.routable(doc, i, port):
			return []share{{p.canaries[doc][i], 100}}
		}
	}
	defaults := p.defaults(port)
	return defaults[len(defaults)-1].shares
}

// decidedBy reports whether headers of these values send a request to the canary.
func (c *Canary) decidedBy(set map[string]string) bool {
	for name, m := range c.Headers {
		value, ok := set[name]
		if !ok || !m.Fits(value) {
			return false
		}
	}
	return true
}

// words is a rule's match for people.
func (r rule) words() string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(r.headers)) {
		words = append(words, name+r.headers[name].words())
	}
	if r.from != nil {
		for _, key := range slices.Sorted(maps.Keys(r.from.Labels)) {
			words = append(words, "from "+key+"="+r.from.Labels[key])
		}
		if r.from.Namespace != "" {
			words = append(words, "from namespace "+r.from.Namespace)
		}
	}
	return strings.Join(words, " ")
}

func (m Match) words() string {
	switch {
	case m.Prefix != "":
		return "=" + m.Prefix + "*"
	case m.Regex != "":
		return "~" + m.Regex
	case m.Member != nil:
		for key, value := range m.Member {
			return ":" + key + "=" + value
		}
	}
	return "=" + m.Exact
}
