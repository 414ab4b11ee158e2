package convert

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"meshbridge/convert/canary"
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

// ForgetCanary takes away what is active of a document whose file cannot be read, also from disk. Of one that a file still has it
// is an error.
func (c *Converter) ForgetCanary(team, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.engine.forget(keyOf(team, name)); err != nil {
		return err
	}
	notify(c.wake)
	return nil
}

func (e *engine) forget(key string) error {
	doc := e.documents.all[key]
	if doc == nil {
		return fmt.Errorf("forget document %s: there is none of this name; `meshbridge get canaries` lists those that there are", key)
	}
	if doc.entry != nil {
		return fmt.Errorf("forget document %s: %s still has it; take it out there", key, doc.entry.File)
	}
	for _, service := range doc.services() {
		e.touchService(service)
	}
	e.documents.remove(doc)
	e.documents.unsaved[key] = true
	return nil
}

// canaries are the views of all documents.
func (e *engine) canaries() []CanaryView {
	at := map[string][]documentAt{}
	for _, s := range e.hosts.all {
		for _, d := range s.documents {
			at[d.key] = append(at[d.key], d)
		}
	}
	views := make([]CanaryView, 0, len(e.documents.all))
	for key, doc := range e.documents.all {
		slices.SortFunc(at[key], func(a, b documentAt) int { return strings.Compare(a.service.Host, b.service.Host) })
		v := doc.view(at[key], e.documents.losses(doc))
		v.Findings = append(v.Findings, e.unknown(doc)...)
		views = append(views, v)
	}
	slices.SortFunc(views, func(a, b CanaryView) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Team, b.Team), strings.Compare(a.File, b.File))
	})
	return views
}

// view is what is shown of a document at the hosts where it takes part, and of what others take from it.
func (d *document) view(at []documentAt, lost []loss) CanaryView {
	v := CanaryView{State: d.state(), Faults: slices.Clone(d.faults)}
	if v.State == CanaryServing && len(at) == 0 && slices.ContainsFunc(lost, func(l loss) bool { return l.at < 0 }) {
		v.State = CanarySuperseded
	}
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
	for _, l := range lost {
		v.Findings = append(v.Findings, l.finding())
	}
	return v
}

func (l loss) finding() CanaryFinding {
	return CanaryFinding{Class: FindingSuperseded, Warning: true, Host: l.host, Text: l.text}
}

// unknown tells of services that a document names and nobody knows.
func (e *engine) unknown(d *document) []CanaryFinding {
	if d.content == nil {
		return nil
	}
	var found []CanaryFinding
	for _, service := range d.content.Services {
		if !e.serves(newGlob(service)) {
			found = append(found, CanaryFinding{Class: FindingUnknown, Warning: true, Host: service,
				Text: "no service of this host is known: it may come later; see `meshbridge get services` for those that are"})
		}
	}
	return found
}

// serves reports whether a host that a glob names is served.
func (e *engine) serves(g glob) bool {
	if g.literal() {
		return e.namespaceOf(string(g)) != ""
	}
	for host := range e.hosts.all {
		if g.match(host) && e.namespaceOf(host) != "" {
			return true
		}
	}
	return false
}

// state is that of a document without regard to others.
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

// announce takes in the documents of the files, and touches the hosts that they change.
func (e *engine) announce() {
	if e.entries != nil {
		touched := e.documents.adopt(*e.entries)
		slices.Sort(touched)
		for _, service := range slices.Compact(touched) {
			e.touchService(service)
		}
		e.entries = nil
	}
	for key := range e.documents.unsaved {
		if doc := e.documents.all[key]; doc != nil && doc.served != nil {
			e.keep(doc)
		} else {
			e.saves[canaryRecord+key] = ""
		}
	}
	clear(e.documents.unsaved)
}

// dispute is a document that others supersede somewhere since lately, or no longer.
type dispute struct {
	key, file string
	lost      []loss // none: no longer
}

// disputes are what is to be told of documents that lose to others, or have ceased to.
func (e *engine) disputes() []dispute {
	var all []dispute
	for _, key := range slices.Sorted(maps.Keys(e.documents.disputed)) {
		doc := e.documents.all[key]
		if doc == nil || doc.served == nil {
			continue
		}
		lost := e.documents.losses(doc)
		if (len(lost) > 0) != doc.told {
			doc.told = !doc.told
			all = append(all, dispute{key: key, file: doc.served.File, lost: lost})
		}
	}
	clear(e.documents.disputed)
	return all
}
