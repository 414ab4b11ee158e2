package convert

import (
	"slices"
	"strings"
	"time"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

// SetCanaries replaces what the files say of canaries. What comes out equal is no change.
func (c *Converter) SetCanaries(entries []canary.Entry) {
	c.mu.Lock()
	c.canaries = &entries
	c.mu.Unlock()
	notify(c.wake)
}

// Canaries are the documents that the files have, by name and file.
func (c *Converter) Canaries() []CanaryView {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.canaries()
}

// Preview is what would come of the entries if they took the place of those of the same names. Entries with faults of their own
// change nothing.
func (c *Converter) Preview(entries []canary.Entry) CanaryPreview {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.preview(entries, c.opts.Now())
}

// canaries are the views of all documents.
func (e *engine) canaries() []CanaryView {
	at := map[string][]documentAt{}
	for _, doc := range e.documents.all {
		if doc.served == nil {
			continue
		}
		for _, host := range e.hostsOf(doc.served.Content.Services) {
			for _, d := range e.hosts.all[host].documents {
				if d.key == doc.key {
					at[doc.key] = append(at[doc.key], d)
				}
			}
		}
	}
	views := make([]CanaryView, 0, len(e.documents.all))
	for _, doc := range e.documents.all {
		views = append(views, doc.view(at[doc.key]))
	}
	slices.SortFunc(views, func(a, b CanaryView) int { return strings.Compare(a.Name+"\x00"+a.File, b.Name+"\x00"+b.File) })
	return views
}

// hostsOf are the hosts that services name, sorted.
func (e *engine) hostsOf(services []string) []string {
	var hosts []string
	for _, service := range services {
		g := newGlob(service)
		if g.literal() {
			if e.hosts.all[service] != nil {
				hosts = append(hosts, service)
			}
			continue
		}
		for host := range e.hosts.all {
			if g.match(host) {
				hosts = append(hosts, host)
			}
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func (d *document) view(at []documentAt) CanaryView {
	v := CanaryView{State: d.state(), Faults: slices.Clone(d.faults)}
	if d.served != nil {
		since := d.served.Since
		v.Name, v.Team, v.File, v.Served, v.Since = d.served.Content.Name, d.served.Team, d.served.File, d.served.Document.hash, &since
	}
	if d.entry != nil {
		v.Name, v.Team, v.File = d.entry.Name, d.entry.Team, d.entry.File
		v.Faults = append(slices.Clone(d.entry.Faults), v.Faults...)
	}
	for _, here := range at {
		v.Services = append(v.Services, here.service)
		v.Findings = append(v.Findings, here.findings...)
		for _, key := range here.objects {
			if !slices.Contains(v.Resources, key) {
				v.Resources = append(v.Resources, key)
			}
		}
	}
	v.Findings = append(v.Findings, d.unknown(at)...)
	return v
}

// unknown tells of services that a document names and nobody knows.
func (d *document) unknown(at []documentAt) []CanaryFinding {
	if d.content == nil {
		return nil
	}
	var found []CanaryFinding
	for _, service := range d.content.Services {
		known := slices.ContainsFunc(at, func(h documentAt) bool { return newGlob(service).match(h.service.Host) })
		for host := range d.verdicts {
			known = known || newGlob(service).match(host)
		}
		if !known {
			found = append(found, CanaryFinding{Class: FindingUnknown, Warning: true, Host: service,
				Text: "no service of this host is known: it may come later; see `meshbridge get services` for those that are"})
		}
	}
	return found
}

func (d *document) state() string {
	switch {
	case d.settled() && len(d.entry.Faults) == 0:
		return CanaryServing
	case d.served != nil && d.content != nil && d.served.Document.hash == d.content.hash && len(d.served.Answering) > 0:
		return CanaryResponding
	case d.served != nil:
		return CanaryLastGood
	case len(d.faults) > 0, d.entry != nil && len(d.entry.Faults) > 0:
		return CanaryHeld
	}
	return CanaryPending
}

// preview drafts every host that the entries touch twice, with and without them, and compares what comes out. Nothing is kept.
func (e *engine) preview(entries []canary.Entry, now time.Time) CanaryPreview {
	var hosts []string
	next := map[string]*document{}
	for i := range entries {
		entry := &entries[i]
		if len(entry.Faults) > 0 || entry.Document == nil {
			continue
		}
		doc := &document{key: entry.Name, entry: entry, content: newContent(entry.Document), verdicts: map[string]canary.Verdict{}}
		doc.served = &inForce{Document: doc.content, Content: entry.Document, File: entry.File}
		next[entry.Name] = doc
		hosts = append(hosts, e.hostsOf(doc.services())...)
		if old := e.documents.all[entry.Name]; old != nil {
			hosts = append(hosts, e.hostsOf(old.services())...)
		}
	}
	slices.Sort(hosts)
	p := CanaryPreview{Faults: map[string][]canary.Fault{}}
	for _, host := range slices.Compact(hosts) {
		as, then := e.drafted(host, e.documents.at(host), now), e.drafted(host, e.replaced(host, next), now)
		p.Changes = append(p.Changes, compareResources(as.resources, then.resources)...)
		for _, doc := range next {
			if then.draft != nil && doc.content.names(host) {
				doc.verdicts[host] = e.rules.canaries().Judge(doc.content.Document, then.draft.canaryHost(e.hosts.all[host].memory.Subsets))
			}
		}
	}
	for name, doc := range next {
		if len(doc.verdicts) == 0 {
			continue
		}
		if faults := append(canary.Faults(doc.content.Document, doc.verdicts), e.conflicts(doc)...); len(faults) > 0 {
			p.Faults[name] = faults
		}
	}
	slices.SortFunc(p.Changes, func(a, b CanaryChange) int { return compareStoreKeys(a.Key, b.Key) })
	return p
}

// replaced are the documents of a host, with others in the place of those of the same names.
func (e *engine) replaced(host string, next map[string]*document) []*document {
	var docs []*document
	for _, doc := range e.documents.at(host) {
		if next[doc.key] == nil {
			docs = append(docs, doc)
		}
	}
	for _, doc := range next {
		if doc.content.names(host) {
			docs = append(docs, doc)
		}
	}
	slices.SortFunc(docs, func(a, b *document) int { return strings.Compare(a.key, b.key) })
	return docs
}

// drafted is what a host would be served as.
type drafted struct {
	draft     *draft // nil: it is not served
	resources []*store.Resource
}

// drafted is what a host would be served as with some documents.
func (e *engine) drafted(host string, docs []*document, now time.Time) drafted {
	s := e.hosts.all[host]
	parts := e.parts(s, true)
	if len(parts) == 0 || len(s.addrs) == 0 {
		return drafted{}
	}
	d := e.rules.draft(host, parts, docs, s.memory, s.rollout, now, e.lookup)
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

// announce takes in the documents of the files, and touches the hosts that they change.
func (e *engine) announce() {
	if e.entries == nil {
		return
	}
	touched, gone := e.documents.adopt(*e.entries)
	for _, service := range touched {
		e.touchService(service)
	}
	for _, key := range gone {
		e.saves[canaryRecord+key] = ""
	}
	e.entries = nil
}
