package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"meshbridge/convert/canary"
)

// exposures are what active documents expose, and who has the paths at each gateway. An entry counts once a service wants the
// host that it leads to.
type exposures struct {
	gateways  map[string]map[*document]bool // those with an entry there
	delegates map[string]map[*document]bool // by the delegate's name
	targets   map[string]map[*document]bool // by the host that an entry leads to
	shown     map[*document]shown           // what the three have of each document
	present   map[string]bool               // of targets, those that a service wants
	open      map[string]bool               // gateways of which is to be decided again
	lost      map[*document]map[int]loss    // entries at gateways whose paths other documents have
	moved     map[string]bool               // hosts that must be converted because of it
}

// shown is what a document exposes, and the place that decides its precedence.
type shown struct {
	*content
	as place
}

func newExposures() exposures {
	return exposures{gateways: map[string]map[*document]bool{}, delegates: map[string]map[*document]bool{}, targets: map[string]map[*document]bool{},
		shown: map[*document]shown{}, present: map[string]bool{}, open: map[string]bool{}, lost: map[*document]map[int]loss{}, moved: map[string]bool{}}
}

// exposedText tells what a document exposes from what others do.
func exposedText(d *canary.Document) string {
	var b strings.Builder
	for _, e := range d.Expose {
		fmt.Fprintf(&b, "%q %q %q %q %q\n", e.Gateway, e.Hosts, e.Prefix, e.Delegate, e.Target(d))
	}
	return b.String()
}

// expose takes in what a document exposes now that it, its file or its team changed.
func (d *documents) expose(doc *document) {
	was, has := d.shown[doc]
	if doc.served == nil || len(doc.served.Content.Expose) == 0 {
		d.conceal(doc)
		return
	}
	now := shown{content: doc.served.Document, as: place{team: doc.served.Team, file: doc.served.File, name: doc.served.Content.Name}}
	if has && was.exposed == now.exposed && was.as == now.as {
		d.shown[doc] = now
		return // as in nearly all edits
	}
	d.conceal(doc)
	d.shown[doc] = now
	d.each(now, func(in map[string]map[*document]bool, key string) {
		if in[key] == nil {
			in[key] = map[*document]bool{}
		}
		in[key][doc] = true
	})
	d.reopen(doc)
}

// conceal forgets what a document exposes.
func (d *documents) conceal(doc *document) {
	was, has := d.shown[doc]
	if !has {
		return
	}
	d.reopen(doc)
	d.each(was, func(in map[string]map[*document]bool, key string) {
		if delete(in[key], doc); len(in[key]) == 0 {
			delete(in, key)
		}
	})
	for _, e := range was.Expose {
		if target := e.Target(was.Document); d.targets[target] == nil {
			delete(d.present, target)
		}
	}
	delete(d.exposures.lost, doc)
	delete(d.shown, doc)
}

// each visits the places at which a content's exposures are found.
func (d *documents) each(c shown, visit func(in map[string]map[*document]bool, key string)) {
	for _, e := range c.Expose {
		target := e.Target(c.Document)
		if target == "" {
			continue
		}
		if e.Gateway != "" {
			visit(d.gateways, e.Gateway)
		} else {
			visit(d.delegates, e.Delegate)
		}
		visit(d.targets, target)
		d.present[target] = d.known(target)
	}
}

// reopen has all decided again that a document has a part in.
func (d *documents) reopen(doc *document) {
	d.disputed[doc.key] = true
	for _, e := range d.shown[doc].Expose {
		if e.Gateway != "" {
			d.open[e.Gateway] = true
		} else {
			d.contest(e.Delegate)
		}
	}
}

// contest has the hosts converted anew whose documents have a delegate of a name.
func (d *documents) contest(delegate string) {
	for doc := range d.delegates[delegate] {
		for _, e := range d.shown[doc].Expose {
			if e.Gateway == "" && e.Delegate == delegate {
				d.moved[e.Target(d.shown[doc].Document)] = true
			}
		}
	}
}

// came notes that a service may want a host by now, or none may any more.
func (d *documents) came(host string) {
	docs := d.targets[host]
	if len(docs) == 0 {
		return
	}
	now := d.known(host)
	if d.present[host] == now {
		return
	}
	d.present[host] = now
	for doc := range docs {
		d.reopen(doc)
	}
}

// settleExposures decides about the gateways that are open, and returns the hosts that must be converted because of it.
func (d *documents) settleExposures() []string {
	for gateway := range d.open {
		d.settleGateway(gateway)
	}
	clear(d.open)
	hosts := slices.Collect(maps.Keys(d.moved))
	clear(d.moved)
	return hosts
}

func (d *documents) settleGateway(gateway string) {
	docs := slices.SortedFunc(maps.Keys(d.gateways[gateway]), d.compare)
	lost := d.decideGateway(gateway, docs)
	for _, doc := range docs {
		before := d.exposures.lost[doc]
		for i, e := range d.shown[doc].Expose {
			if e.Gateway != gateway {
				continue
			}
			old, had := before[i]
			now, has := lost[doc][i]
			if had != has {
				d.moved[e.Target(d.shown[doc].Document)] = true
			}
			if old == now {
				continue
			}
			d.disputed[doc.key] = true
			if !has {
				delete(before, i)
				continue
			}
			if before == nil {
				before = map[int]loss{}
				d.exposures.lost[doc] = before
			}
			before[i] = now
		}
	}
}

// lostExposures are the entries of a document that lead to a host and that other documents keep out. A delegate is an object of
// the host's namespace, so what decides there is the namespace that the host has in the draft.
func (d *documents) lostExposures(doc *document, host, namespace string) []loss {
	var all []loss
	c := doc.served.Document
	for i, e := range c.Expose {
		if !e.Reaches(c.Document, host) {
			continue
		}
		if e.Gateway != "" {
			if l, ok := d.exposures.lost[doc][i]; ok {
				all = append(all, l)
			}
			continue
		}
		if other := d.delegateOf(doc, e.Delegate, namespace); other != nil {
			all = append(all, loss{doc: doc, at: i, host: host,
				text: fmt.Sprintf("expose[%d]: delegate %s in namespace %s is that of %s already: a name of its own", i, e.Delegate, namespace, other.who())})
		}
	}
	return all
}

// delegateOf is the first document before another one that has a delegate of a name in a namespace, nil if none has.
func (d *documents) delegateOf(doc *document, delegate, namespace string) *document {
	var first *document
	for other := range d.delegates[delegate] {
		if other == doc || d.compare(other, doc) > 0 || first != nil && d.compare(other, first) > 0 {
			continue
		}
		if slices.ContainsFunc(d.shown[other].Expose, func(e canary.Expose) bool {
			return e.Gateway == "" && e.Delegate == delegate && d.namespace(e.Target(d.shown[other].Document)) == namespace
		}) {
			first = other
		}
	}
	return first
}

// relocated notes that a host that is served has another namespace, or that it is served no more.
func (d *documents) relocated(host string) {
	for doc := range d.targets[host] {
		for _, e := range d.shown[doc].Expose {
			if e.Gateway == "" && e.Reaches(d.shown[doc].Document, host) {
				d.contest(e.Delegate)
			}
		}
	}
}
