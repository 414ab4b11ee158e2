package convert

import (
	"fmt"
	"slices"
	"strings"

	"meshbridge/convert/canary"
)

// gateway is who has which paths at one gateway, while that is decided: the documents are taken in by their order, and what
// conflicts with what is there already is left out.
type gateway struct {
	name     string
	patterns map[string]*pattern // by pattern of hosts, in lower case
	narrower map[string][]string // by pattern: those within it that are there, in the order in which they came
}

// pattern is a pattern of hosts at a gateway. Envoy makes a virtual host of each.
type pattern struct {
	all    []holder
	roots  []holder       // by prefix: those of which none begins with another, whatever document has them
	listed map[string]int // by narrower pattern: how many of the first of all have their paths there too
}

// holder is a document's prefix of paths.
type holder struct {
	doc    *document
	prefix string
	lists  lists
}

// lists are the prefixes that a document names at a gateway, by pattern of hosts. The paths of an entry live on at a host that a
// narrower pattern has a virtual host for if the document lists that too.
type lists map[string][]string

func listsOf(c *content, gateway string) lists {
	all := lists{}
	for _, e := range c.Expose {
		if e.Gateway != gateway {
			continue
		}
		for _, host := range e.Hosts {
			host = strings.ToLower(host)
			all[host] = append(all[host], e.Prefix)
		}
	}
	return all
}

func (l lists) has(host, prefix string) bool {
	return slices.ContainsFunc(l[host], func(p string) bool { return strings.HasPrefix(prefix, p) })
}

// decideGateway finds the entries at a gateway whose paths other documents have, or would hide. docs are sorted.
func (d *documents) decideGateway(name string, docs []*document) map[*document]map[int]loss {
	g := gateway{name: name, patterns: map[string]*pattern{}, narrower: map[string][]string{}}
	lost := map[*document]map[int]loss{}
	for _, doc := range docs {
		c := d.shown[doc].content
		own := listsOf(c, name)
		var made []canary.Expose
		for i, e := range c.Expose {
			if e.Gateway != name || !d.present[e.Target(c.Document)] {
				continue
			}
			text := g.conflict(i, e, own)
			if text == "" {
				made = append(made, e)
				continue
			}
			if lost[doc] == nil {
				lost[doc] = map[int]loss{}
			}
			lost[doc][i] = loss{doc: doc, at: i, host: e.Target(c.Document), text: text}
		}
		for _, e := range made {
			for _, host := range e.Hosts {
				g.add(strings.ToLower(host), holder{doc: doc, prefix: e.Prefix, lists: own})
			}
		}
	}
	return lost
}

// conflict tells how an entry of a document conflicts with what others have at the gateway, "" if it does not.
func (g *gateway) conflict(i int, e canary.Expose, own lists) string {
	for _, host := range e.Hosts {
		host = strings.ToLower(host)
		if p := g.patterns[host]; p != nil {
			if h := p.overlap(e.Prefix); h != nil {
				return fmt.Sprintf("expose[%d]: %s has prefix %s of host %s at gateway %s, and %s overlaps with it: choose prefixes of which none begins with another",
					i, h.doc.who(), h.prefix, host, g.name, e.Prefix)
			}
		}
		for _, wide := range canary.Wider(host) {
			if h := g.patterns[wide].hidden(host); h != nil {
				return fmt.Sprintf("expose[%d]: host %s at gateway %s would hide the paths %s that %s has at %s: name %s, or have that document list %s too",
					i, host, g.name, h.prefix, h.doc.who(), wide, wide, host)
			}
		}
		for _, narrow := range g.narrower[host] {
			if !own.has(narrow, e.Prefix) {
				return fmt.Sprintf("expose[%d]: %s has host %s at gateway %s, which would hide the paths %s of %s: list %s too",
					i, g.patterns[narrow].all[0].doc.who(), narrow, g.name, e.Prefix, host, narrow)
			}
		}
	}
	return ""
}

// add takes in a prefix of a document that conflicts with those of no other.
func (g *gateway) add(host string, h holder) {
	p := g.patterns[host]
	if p == nil {
		p = &pattern{listed: map[string]int{}}
		g.patterns[host] = p
		for _, wide := range canary.Wider(host) {
			g.narrower[wide] = append(g.narrower[wide], host)
		}
	}
	p.all = append(p.all, h)
	at := p.place(h.prefix)
	if at > 0 && strings.HasPrefix(h.prefix, p.roots[at-1].prefix) {
		return // of one document
	}
	end := at
	for end < len(p.roots) && strings.HasPrefix(p.roots[end].prefix, h.prefix) {
		end++
	}
	p.roots = slices.Replace(p.roots, at, end, h)
}

func (p *pattern) place(prefix string) int {
	at, _ := slices.BinarySearchFunc(p.roots, prefix, func(h holder, prefix string) int { return strings.Compare(h.prefix, prefix) })
	return at
}

// overlap finds a prefix that begins with another one or that begins it. Envoy takes prefixes as texts, and which of two is tried
// first is decided by the names of objects.
func (p *pattern) overlap(prefix string) *holder {
	at := p.place(prefix)
	if at < len(p.roots) && strings.HasPrefix(p.roots[at].prefix, prefix) {
		return &p.roots[at]
	}
	if at > 0 && strings.HasPrefix(prefix, p.roots[at-1].prefix) {
		return &p.roots[at-1]
	}
	return nil
}

// hidden finds paths that live no more at a host that gets a virtual host of its own.
func (p *pattern) hidden(narrow string) *holder {
	if p == nil {
		return nil
	}
	for ; p.listed[narrow] < len(p.all); p.listed[narrow]++ {
		if h := &p.all[p.listed[narrow]]; !h.lists.has(narrow, h.prefix) {
			return h
		}
	}
	return nil
}
