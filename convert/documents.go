package convert

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/convert/canary"
)

// document is what is known of one canary document: what its file says, and what is active.
type document struct {
	key      string         // see keyOf
	entry    *canary.Entry  // nil: only the former content is known, since its file cannot be read
	content  *content       // of entry, nil if it could not be read
	served   *activeContent // what is active, nil: nothing of it is
	verdicts map[string]canary.Verdict
	faults   []canary.Fault // why entry is not active, beside its own faults

	lost map[string][]loss // by host: what of it others supersede there
	told bool              // that it is superseded somewhere
}

// content is a document with what it is asked for often.
type content struct {
	*canary.Document
	hash     string
	literals map[string]bool // of services
	globs    globs           // of services, those that are no literals
	exposed  string          // tells contents apart that expose something else

	claims  []canary.Claim // nil: not yet asked for
	labeled string         // the label of versions that claims were made with
}

func newContent(d *canary.Document) *content {
	if d == nil {
		return nil
	}
	c := &content{Document: d, hash: d.Hash(), literals: map[string]bool{}, exposed: exposedText(d)}
	for _, service := range d.Services {
		if g := newGlob(service); g.literal() {
			c.literals[string(g)] = true
		} else {
			c.globs = append(c.globs, g)
		}
	}
	return c
}

// names reports whether the content is for a host.
func (c *content) names(host string) bool {
	return c != nil && (c.literals[host] || c.globs.match(host))
}

// activeContent is a content that is active, as it is kept on disk.
type activeContent struct {
	Document  *content         `json:"-"`
	Content   *canary.Document `json:"document"`
	File      string           `json:"file"`
	Team      string           `json:"team,omitempty"`
	Since     time.Time        `json:"since"`
	Answering []int            `json:"responding,omitempty"`
}

// responding are the canaries whose rules answer.
func (f *activeContent) responding() map[int]bool {
	all := map[int]bool{}
	for _, i := range f.Answering {
		all[i] = true
	}
	return all
}

// settled reports whether what the file says is active.
func (d *document) settled() bool {
	return d.served != nil && d.content != nil && d.served.Document.hash == d.content.hash && len(d.served.Answering) == 0
}

// name, team and file are what the file says of the document, or, if it says nothing, what is active.
func (d *document) name() string {
	if d.entry != nil {
		return d.entry.Name
	}
	return d.served.Content.Name
}

func (d *document) team() string {
	if d.entry != nil {
		return d.entry.Team
	}
	return d.served.Team
}

func (d *document) file() string {
	if d.entry != nil {
		return d.entry.File
	}
	return d.served.File
}

// keyOf is the key of a team's document. Names are a team's own, and have no slash.
func keyOf(team, name string) string {
	if team == "" {
		return name
	}
	return team + "/" + name
}

// documents are all canary documents. They are owned by the loop.
type documents struct {
	all    map[string]*document
	checks map[string]bool        // keys of those of which is to be decided whether their entry may become active
	exact  map[string][]*document // by host, those that name it
	globs  map[string]*document   // by key, those with a glob
	listed map[*document][]string // the services by which exact and globs have it
	teams  map[string]int         // by name, their places in the configuration
	exposures

	entries  []canary.Entry  // that were adopted last
	keys     []string        // of entries, "" of one that says nothing of its own
	unsaved  map[string]bool // keys of which the disk says something else
	disputed map[string]bool // keys of documents that are superseded somewhere since lately, or no longer

	namespace func(host string) string // of a host that is served, else ""
	known     func(host string) bool   // whether a service wants a host
}

func newDocuments(rules *Rules, namespace func(string) string, known func(string) bool) documents {
	d := documents{all: map[string]*document{}, checks: map[string]bool{}, exact: map[string][]*document{}, globs: map[string]*document{},
		listed: map[*document][]string{}, exposures: newExposures(), unsaved: map[string]bool{}, disputed: map[string]bool{}, namespace: namespace, known: known}
	d.rank(rules)
	return d
}

// rank takes in the order of teams, and has all decided again that depends on it.
func (d *documents) rank(rules *Rules) {
	d.teams = map[string]int{}
	for i, team := range rules.config.Canary.Teams {
		d.teams[team.Name] = i
	}
	for gateway := range d.gateways {
		d.open[gateway] = true
	}
}

// index makes it cheap to find the documents of a host. It is called whenever the services of a document change.
func (d *documents) index(doc *document) {
	services := doc.services()
	if slices.Equal(services, d.listed[doc]) {
		return
	}
	d.unindex(doc)
	for _, service := range services {
		if newGlob(service).literal() {
			d.exact[service] = append(slices.Clip(d.exact[service]), doc) // others share the list
		} else {
			d.globs[doc.key] = doc
		}
	}
	d.listed[doc] = services
}

func (d *documents) unindex(doc *document) {
	for _, service := range d.listed[doc] {
		if !newGlob(service).literal() {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(d.exact[service]), func(o *document) bool { return o == doc })
		if d.exact[service] = rest; len(rest) == 0 {
			delete(d.exact, service)
		}
	}
	delete(d.globs, doc.key)
	delete(d.listed, doc)
}

// services are the hosts and globs of what the file says and of what is active, sorted.
func (d *document) services() []string {
	var all []string
	if d.content != nil {
		all = append(all, d.content.Services...)
	}
	if d.served != nil {
		all = append(all, d.served.Content.Services...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// candidates are the documents that name a host, whether they are active or not, by key.
type candidates struct {
	all []*document
	of  *documents
}

func (d *documents) at(host string) candidates {
	all := slices.Clone(d.exact[host])
	for _, doc := range d.globs {
		if slices.Contains(all, doc) {
			continue
		}
		if doc.content.names(host) || doc.served != nil && doc.served.Document.names(host) {
			all = append(all, doc)
		}
	}
	slices.SortFunc(all, func(a, b *document) int { return strings.Compare(a.key, b.key) })
	return candidates{all: all, of: d}
}

// add makes a document known under its key.
func (d *documents) add(doc *document) {
	d.all[doc.key] = doc
	d.index(doc)
	d.expose(doc)
}

// remove forgets a document.
func (d *documents) remove(doc *document) {
	d.unindex(doc)
	d.conceal(doc)
	delete(d.all, doc.key)
	delete(d.checks, doc.key)
}

// load takes in what a former process had active. Names were those of all teams together once, and records were kept by them.
func (d *documents) load(raw map[string]string) (damaged []string) {
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		f := new(activeContent)
		if err := json.Unmarshal([]byte(raw[name]), f); err != nil || f.Content == nil {
			damaged = append(damaged, name)
			continue
		}
		key := keyOf(f.Team, f.Content.Name)
		if key != name {
			if d.unsaved[name] = true; raw[key] != "" {
				continue
			}
			d.unsaved[key] = true
		}
		f.Document = newContent(f.Content)
		d.add(&document{key: key, served: f, verdicts: map[string]canary.Verdict{}})
	}
	return damaged
}
