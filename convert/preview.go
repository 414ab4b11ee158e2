package convert

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

// previewSlice is the most hosts that a preview drafts before it lets conversion go on.
const previewSlice = 4

// Preview is what would come of the entries if all of them took the place of those of their keys. Entries with faults of their own
// change nothing. Conversion goes on meanwhile; it is an error only if ctx ends.
func (c *Converter) Preview(ctx context.Context, entries []canary.Entry) (CanaryPreview, error) {
	c.mu.Lock()
	p := c.engine.newPreview(entries)
	names := slices.Collect(maps.Keys(c.engine.hosts.all))
	c.mu.Unlock()
	p.choose(names)
	for hosts := range slices.Chunk(p.hosts, previewSlice) {
		if err := ctx.Err(); err != nil {
			return CanaryPreview{}, err
		}
		c.mu.Lock()
		for _, host := range hosts {
			p.look(c.engine, host, c.opts.Now())
		}
		c.mu.Unlock()
	}
	return p.result(), nil
}

// preview is a look at documents that are not in place yet. What it has of the engine is its own, but for the documents that stay.
type preview struct {
	documents documents
	next      []*document // by place in the request
	services  []string    // of next and of those that they replace
	moved     []string    // hosts at which other documents win or lose exposures
	hosts     []string

	changes []CanaryChange
	lost    map[string][]loss // by key
	parts   map[*document]int // at how many hosts they take part
	before  map[string][]loss
}

// newPreview puts documents in the place of others, in copies.
func (e *engine) newPreview(entries []canary.Entry) *preview {
	p := &preview{documents: e.documents.copy(), lost: map[string][]loss{}, parts: map[*document]int{}, before: map[string][]loss{}}
	for _, entry := range entries {
		if len(entry.Faults) > 0 || entry.Document == nil {
			continue
		}
		if old := e.documents.namesake(entry); old != nil && entry.File == "" {
			entry.File, entry.Team = old.file(), old.team()
		}
		doc := &document{key: keyOf(entry.Team, entry.Name), entry: &entry, content: newContent(entry.Document), verdicts: map[string]canary.Verdict{}}
		doc.served = &activeContent{Document: doc.content, Content: entry.Document, File: entry.File, Team: entry.Team}
		if former := p.documents.all[doc.key]; former != nil {
			p.services = append(p.services, former.services()...)
			p.documents.remove(former)
		}
		p.services = append(p.services, doc.services()...)
		p.documents.add(doc)
		p.next = append(p.next, doc)
	}
	p.moved = p.documents.settleExposures()
	for _, doc := range p.documents.all {
		if lost := e.documents.losses(doc); len(lost) > 0 {
			p.before[doc.key] = lost
		}
		for _, l := range p.documents.exposures.lost[doc] {
			p.lost[doc.key] = append(p.lost[doc.key], l)
		}
	}
	for _, doc := range p.next {
		if former := e.documents.all[doc.key]; former != nil {
			p.before[doc.key] = e.documents.losses(former)
		}
	}
	return p
}

// namesake is the document that an entry takes the place of. An entry without a file is nobody's, so it is the only one of its
// name that is meant, if there is only one.
func (d *documents) namesake(entry canary.Entry) *document {
	if doc := d.all[keyOf(entry.Team, entry.Name)]; doc != nil || entry.File != "" {
		return doc
	}
	var only *document
	for _, doc := range d.all {
		if doc.name() != entry.Name {
			continue
		}
		if only != nil {
			return nil
		}
		only = doc
	}
	return only
}

// copy is the same documents in an index that may be changed alone.
func (d *documents) copy() documents {
	next := *d
	next.all, next.exact, next.globs = maps.Clone(d.all), maps.Clone(d.exact), maps.Clone(d.globs)
	next.checks, next.unsaved, next.disputed = map[string]bool{}, map[string]bool{}, map[string]bool{}
	next.listed, next.exposures = maps.Clone(d.listed), newExposures()
	sets := func(to, from map[string]map[*document]bool) {
		for key, set := range from {
			to[key] = maps.Clone(set)
		}
	}
	sets(next.gateways, d.gateways)
	sets(next.delegates, d.delegates)
	sets(next.targets, d.targets)
	maps.Copy(next.shown, d.shown)
	maps.Copy(next.present, d.present)
	for doc, lost := range d.exposures.lost {
		next.exposures.lost[doc] = maps.Clone(lost)
	}
	return next
}

// choose finds the hosts that are to be looked at among all names.
func (p *preview) choose(names []string) {
	all := newGlobs(p.services)
	literals, patterns := map[string]bool{}, globs(nil)
	for _, g := range all {
		if g.literal() {
			literals[string(g)] = true
		} else {
			patterns = append(patterns, g)
		}
	}
	for _, host := range p.moved {
		literals[host] = true
	}
	for _, host := range names {
		if literals[host] || patterns.match(host) {
			p.hosts = append(p.hosts, host)
		}
	}
	slices.Sort(p.hosts)
}

// look drafts a host with and without the documents, and notes what differs. Nothing is kept of it.
func (p *preview) look(e *engine, host string, now time.Time) {
	s := e.hosts.all[host]
	if s == nil {
		return // it went meanwhile
	}
	as, then := e.drafted(s, e.documents.at(host), now), e.drafted(s, p.documents.at(host), now)
	p.changes = append(p.changes, compareResources(as.resources, then.resources)...)
	if then.draft == nil {
		return
	}
	for _, doc := range p.next {
		if doc.content.names(host) {
			doc.verdicts[host] = e.rules.canaries().Judge(doc.content.Document, then.draft.world)
		}
	}
	for _, doc := range then.draft.docs {
		p.parts[doc]++
	}
	for _, l := range then.draft.lost {
		p.lost[l.doc.key] = append(p.lost[l.doc.key], l)
	}
}

// result is what was found.
func (p *preview) result() CanaryPreview {
	all := CanaryPreview{Changes: p.changes, Faults: map[string][]canary.Fault{}, Findings: map[string][]CanaryFinding{}}
	for _, doc := range p.next {
		if len(doc.verdicts) == 0 {
			continue
		}
		faults := canary.Faults(doc.content.Document, doc.verdicts)
		if p.parts[doc] == 0 {
			for _, l := range p.lost[doc.key] {
				if l.at < 0 {
					path, _, _ := strings.Cut(l.text, ": ")
					faults = append(faults, canary.Fault{Path: path, Text: l.text})
				}
			}
		}
		if len(faults) > 0 {
			all.Faults[doc.entry.Name] = faults
		}
	}
	for key, lost := range p.lost {
		for _, l := range lost {
			if !slices.ContainsFunc(p.before[key], func(o loss) bool { return o.at == l.at && o.host == l.host && o.text == l.text }) {
				all.Findings[key] = append(all.Findings[key], l.finding())
			}
		}
		slices.SortFunc(all.Findings[key], func(a, b CanaryFinding) int { return strings.Compare(a.Host+"\x00"+a.Text, b.Host+"\x00"+b.Text) })
	}
	slices.SortFunc(all.Changes, func(a, b CanaryChange) int { return compareStoreKeys(a.Key, b.Key) })
	return all
}

// drafted is what a host would be served as.
type drafted struct {
	draft     *draft // nil: it is not served
	resources []*store.Resource
}

// drafted is what a host would be served as with some documents.
func (e *engine) drafted(s *hostState, docs candidates, now time.Time) drafted {
	parts := e.parts(s, true)
	if len(parts) == 0 || len(s.addrs) == 0 {
		return drafted{}
	}
	d := e.rules.draft(s.name, parts, docs, s.memory, s.passage, e.moment(now))
	if len(d.ports) == 0 {
		return drafted{}
	}
	return drafted{draft: d, resources: d.resources(s.addrs, now)}
}

func compareResources(before, after []*store.Resource) []CanaryChange {
	var changes []CanaryChange
	find := func(in []*store.Resource, key store.Key) *store.Resource {
		if i := slices.IndexFunc(in, func(r *store.Resource) bool { return r.Key == key }); i >= 0 {
			return in[i]
		}
		return nil
	}
	for _, old := range before {
		if now := find(after, old.Key); now == nil || now.Version != old.Version {
			changes = append(changes, CanaryChange{Key: old.Key, Before: old, After: now})
		}
	}
	for _, now := range after {
		if find(before, now.Key) == nil {
			changes = append(changes, CanaryChange{Key: now.Key, After: now})
		}
	}
	return changes
}
