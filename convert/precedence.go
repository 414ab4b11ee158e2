package convert

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"meshbridge/convert/canary"
)

// loss is something of a document that is not served because of another document.
type loss struct {
	doc  *document
	at   int    // the entry of expose that is not made; -1: none of the document's rules is there
	host string // at which it is lost, or which the entry leads to
	text string // with the other document, and what to do
}

// participant is an active document that takes part at a host.
type participant struct {
	*document
	superseded map[int]bool // entries of expose that other documents keep out
}

// compare orders active documents wherever it does not matter what they say of a host: by the order of teams, by name, by file.
func (d *documents) compare(a, b *document) int {
	return cmp.Or(
		cmp.Compare(d.order(a), d.order(b)),
		strings.Compare(a.served.Content.Name, b.served.Content.Name),
		strings.Compare(a.served.File, b.served.File),
		strings.Compare(a.key, b.key),
	)
}

// order is that of a document's team, behind all others if the configuration no longer has it.
func (d *documents) order(doc *document) int {
	if doc.served.Team == "" {
		return -1
	}
	if i, ok := d.teams[doc.served.Team]; ok {
		return i
	}
	return len(d.teams)
}

// who is an active document in words.
func (d *document) who() string {
	if d.served.Team == "" {
		return "document " + d.served.Content.Name
	}
	return "document " + d.served.Content.Name + " of team " + d.served.Team
}

// closeness is how closely a content names a host: the length of the longest pattern, and more for the host itself.
func (c *content) closeness(host string) int {
	if c.literals[host] {
		return len(host) + 1<<16
	}
	longest := 0
	for _, g := range c.globs {
		if len(g) > longest && g.match(host) {
			longest = len(g)
		}
	}
	return longest
}

// byPrecedence sorts active documents that name a host: the one that names it most closely comes first.
func (d *documents) byPrecedence(docs []*document, host string) {
	close := make(map[*document]int, len(docs))
	for _, doc := range docs {
		close[doc] = doc.served.Document.closeness(host)
	}
	slices.SortFunc(docs, func(a, b *document) int { return cmp.Or(cmp.Compare(close[b], close[a]), d.compare(a, b)) })
}

// active are the documents that take part at the draft's host, by precedence, and what others take from them. It depends on what
// is active, on the host as it is, and on what the host keeps on disk; not on when which of them came.
func (d *draft) active(docs candidates, before memory) (taken []participant, lost []loss) {
	var naming []*document
	for _, doc := range docs.all {
		if doc.served != nil && doc.served.Document.names(d.host) && d.takesIn(doc, before.Lanes) {
			naming = append(naming, doc)
		}
	}
	if len(naming) > 1 {
		docs.of.byPrecedence(naming, d.host)
	}
	claims := map[string]claimed{}
	for _, doc := range naming {
		if text := doc.conflict(claims, d.rules.canaries(), d.host); text != "" {
			lost = append(lost, loss{doc: doc, at: -1, host: d.host, text: text})
			continue
		}
		p := participant{document: doc, superseded: map[int]bool{}}
		for _, l := range docs.of.lostExposures(doc, d.host, d.memory.Namespace) {
			p.superseded[l.at] = true
			if doc.served.Content.Expose[l.at].Gateway == "" {
				lost = append(lost, l) // those at gateways are known without the host
			}
		}
		taken = append(taken, p)
	}
	return taken, lost
}

// claimed is what the documents of a host that take part say of it so far.
type claimed struct {
	meaning string
	by      *document
}

// conflict tells how a document conflicts with those that come before it at a host, and adds what it says to theirs if it does
// not.
func (d *document) conflict(all map[string]claimed, rules canary.Rules, host string) string {
	mine := d.served.Document.claimsBy(rules)
	for _, c := range mine {
		if other, ok := all[c.Key]; ok && (c.Meaning == "" || c.Meaning != other.meaning) {
			return c.Against(other.by.who(), host)
		}
	}
	for _, c := range mine {
		if _, ok := all[c.Key]; !ok {
			all[c.Key] = claimed{meaning: c.Meaning, by: d}
		}
	}
	return ""
}

func (c *content) claimsBy(rules canary.Rules) []canary.Claim {
	if c.claims == nil || c.labeled != rules.Label {
		c.claims, c.labeled = rules.Claims(c.Document), rules.Label
	}
	return c.claims
}

// takesIn reports whether an active document is for the host. One that names it by a glob is not where other requests would fail:
// the host has endpoints, but none of the primary. When its last one goes, the document stays: lanes are the primaries that
// documents had here.
func (d *draft) takesIn(doc *document, lanes map[string]string) bool {
	c := doc.served.Document
	if c.literals[d.host] {
		return true
	}
	id := d.rules.canaries().PrimaryID(c.Document)
	was, ok := lanes[doc.key]
	kept := ok && was == id
	has, lacks := d.rules.canaries().Primary(c.Document, d.world)
	if kept || has {
		if d.memory.Lanes == nil {
			d.memory.Lanes = map[string]string{}
		}
		d.memory.Lanes[doc.key] = id
	}
	return kept || !lacks
}

// settleLosses notes what others take from the documents of a host, for views and the log.
func (d *documents) settleLosses(docs candidates, host string, lost []loss) {
	of := map[*document][]loss{}
	for _, l := range lost {
		of[l.doc] = append(of[l.doc], l)
	}
	for _, doc := range docs.all {
		d.lose(doc, host, of[doc])
	}
}

func (d *documents) lose(doc *document, host string, lost []loss) {
	if slices.Equal(doc.lost[host], lost) {
		return
	}
	d.disputed[doc.key] = true
	if len(lost) == 0 {
		delete(doc.lost, host)
		return
	}
	if doc.lost == nil {
		doc.lost = map[string][]loss{}
	}
	doc.lost[host] = lost
}

// losses are all that others take from a document.
func (d *documents) losses(doc *document) []loss {
	var all []loss
	for _, host := range slices.Sorted(maps.Keys(doc.lost)) {
		all = append(all, doc.lost[host]...)
	}
	for _, at := range slices.Sorted(maps.Keys(d.exposures.lost[doc])) {
		all = append(all, d.exposures.lost[doc][at])
	}
	return all
}
