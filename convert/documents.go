package convert

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/convert/canary"
)

// document is what is known of one canary document: what its file says, and what is in force.
type document struct {
	key      string        // its name; of a file that could not be read, the file's
	entry    *canary.Entry // nil: only the former content is known, since its file cannot be read
	content  *content      // of entry, nil if it could not be read
	served   *inForce      // nil: nothing of it is
	verdicts map[string]canary.Verdict
	faults   []canary.Fault // why entry is not in force, beside its own faults
}

// content is a document with what it is asked for often.
type content struct {
	*canary.Document
	hash  string
	globs globs // of services
}

func newContent(d *canary.Document) *content {
	if d == nil {
		return nil
	}
	return &content{Document: d, hash: d.Hash(), globs: newGlobs(d.Services)}
}

// names reports whether the content is for a host.
func (c *content) names(host string) bool { return c != nil && c.globs.match(host) }

// inForce is a content that is served, as it is kept on disk.
type inForce struct {
	Document  *content         `json:"-"`
	Content   *canary.Document `json:"document"`
	File      string           `json:"file"`
	Team      string           `json:"team,omitempty"`
	Since     time.Time        `json:"since"`
	Answering []int            `json:"responding,omitempty"`
}

// responding are the canaries whose rules answer.
func (f *inForce) responding() map[int]bool {
	all := map[int]bool{}
	for _, i := range f.Answering {
		all[i] = true
	}
	return all
}

// settled reports whether what the file says is in force.
func (d *document) settled() bool {
	return d.served != nil && d.content != nil && d.served.Document.hash == d.content.hash && len(d.served.Answering) == 0
}

// documents are all canary documents. They are owned by the loop.
type documents struct {
	all    map[string]*document
	checks map[string]bool        // keys of those of which is to be decided whether their entry may come into force
	exact  map[string][]*document // by host, those that name it
	globs  []*document            // those with a glob
}

// index makes it cheap to find the documents of a host.
func (d *documents) index() {
	d.exact, d.globs = map[string][]*document{}, nil
	for _, key := range slices.Sorted(maps.Keys(d.all)) {
		doc := d.all[key]
		glob := false
		for _, host := range doc.services() {
			if newGlob(host).literal() {
				if list := d.exact[host]; !slices.Contains(list, doc) {
					d.exact[host] = append(list, doc)
				}
			} else {
				glob = true
			}
		}
		if glob {
			d.globs = append(d.globs, doc)
		}
	}
}

// services are the hosts and globs of what the file says and of what is in force.
func (d *document) services() []string {
	var all []string
	if d.content != nil {
		all = append(all, d.content.Services...)
	}
	if d.served != nil {
		all = append(all, d.served.Content.Services...)
	}
	return all
}

// at are the documents that name a host, by key.
func (d *documents) at(host string) []*document {
	exact := d.exact[host]
	if len(d.globs) == 0 {
		return exact
	}
	all := slices.Clone(exact)
	for _, doc := range d.globs {
		if slices.Contains(exact, doc) {
			continue
		}
		if doc.content.names(host) || doc.served != nil && doc.served.Document.names(host) {
			all = append(all, doc)
		}
	}
	slices.SortFunc(all, func(a, b *document) int { return strings.Compare(a.key, b.key) })
	return all
}

// load takes in what a former process had in force.
func (d *documents) load(raw map[string]string) (damaged []string) {
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		f := new(inForce)
		if err := json.Unmarshal([]byte(raw[name]), f); err != nil || f.Content == nil {
			damaged = append(damaged, name)
			continue
		}
		f.Document = newContent(f.Content)
		d.all[name] = &document{key: name, served: f, verdicts: map[string]canary.Verdict{}}
	}
	d.index()
	return damaged
}

// adopt takes in what the files say now, and returns the services whose hosts it touches, and the documents that nothing more is
// known of.
func (d *documents) adopt(entries []canary.Entry) (touched, gone []string) {
	before := d.all
	d.all = make(map[string]*document, len(entries))
	for i := range entries {
		e := &entries[i]
		key := e.Name
		if key == "" || d.all[key] != nil {
			key = strings.Trim(key+" in "+e.File, " ")
		}
		if d.all[key] != nil {
			continue // told once per file is enough
		}
		doc := before[key]
		if doc == nil {
			doc = &document{key: key}
		}
		touched = append(touched, doc.take(e)...)
		d.all[key], d.checks[key] = doc, true
	}
	for key, doc := range before {
		if d.all[key] != nil {
			continue
		}
		if file := unreadable(entries, doc); file != nil && doc.served != nil {
			doc.entry, doc.content, doc.faults = nil, nil, file.Faults
			d.all[key] = doc
			continue
		}
		touched = append(touched, doc.services()...)
		gone = append(gone, key)
	}
	d.index()
	return touched, gone
}

// take makes an entry what the file says of a document.
func (d *document) take(e *canary.Entry) (touched []string) {
	next := newContent(e.Document)
	same := d.entry != nil && d.content != nil && next != nil && d.content.hash == next.hash
	d.entry = e
	if same {
		return nil
	}
	touched = d.services()
	d.content, d.faults, d.verdicts = next, nil, map[string]canary.Verdict{}
	return append(touched, d.services()...)
}

// unreadable is the entry of a document's file if that cannot be read, so that nobody knows whether the document is still there.
func unreadable(entries []canary.Entry, d *document) *canary.Entry {
	if d.served == nil {
		return nil
	}
	i := slices.IndexFunc(entries, func(e canary.Entry) bool { return e.Name == "" && e.Document == nil && e.File == d.served.File })
	if i < 0 {
		return nil
	}
	return &entries[i]
}
