package convert

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"meshbridge/convert/canary"
)

// adopt takes in what the files say now, and returns the services whose hosts it touches. What nothing more is known of is
// forgotten. The work is in the entries that differ from those of before.
func (d *documents) adopt(entries []canary.Entry) (touched []string) {
	if d.sameKeys(entries) {
		for i, e := range entries {
			if doc := d.all[d.keys[i]]; doc != nil && !sameEntry(e, d.entries[i]) {
				touched = append(touched, d.take(doc, e)...)
			}
		}
		d.entries = entries
		return touched
	}
	d.entries, d.keys = entries, make([]string, len(entries))
	there := make(map[string]bool, len(entries))
	for i, e := range entries {
		key := keyOf(e.Team, e.Name)
		if e.Name == "" || there[key] {
			key = strings.Trim(key+" in "+e.File, " ")
		}
		if !there[key] { // told once per file is enough
			there[key], d.keys[i] = true, key
		}
	}
	former := d.former(there)
	for i, e := range entries {
		key := d.keys[i]
		if key == "" {
			continue
		}
		doc := d.all[key]
		if doc == nil {
			if doc = former[place{file: e.File, name: e.Name}]; doc == nil {
				doc = &document{key: key}
			} else {
				d.rename(doc, key)
			}
			d.add(doc)
		}
		touched = append(touched, d.take(doc, e)...)
	}
	return append(touched, d.leave(there)...)
}

// sameKeys reports whether entries are about the same documents and files as those that were adopted last, place by place.
func (d *documents) sameKeys(entries []canary.Entry) bool {
	return d.entries != nil && slices.EqualFunc(entries, d.entries, func(a, b canary.Entry) bool {
		return a.Name == b.Name && a.File == b.File && a.Team == b.Team && (a.Name != "" || sameEntry(a, b))
	})
}

func sameEntry(a, b canary.Entry) bool {
	return a.Document == b.Document && a.Name == b.Name && a.File == b.File && a.Team == b.Team && a.Unknown == b.Unknown && slices.Equal(a.Faults, b.Faults)
}

// place is where a document is written, and whose it is.
type place struct{ team, file, name string }

// former are the documents by the places of what is active of them, without those that are there under their keys: a file that
// has come to another team still has the same documents.
func (d *documents) former(there map[string]bool) map[place]*document {
	by := map[place]*document{}
	for _, key := range slices.Sorted(maps.Keys(d.all)) {
		if doc := d.all[key]; !there[key] && doc.served != nil {
			by[place{file: doc.served.File, name: doc.served.Content.Name}] = doc
		}
	}
	return by
}

// rename gives a document another key, and takes it out of all that knows it by its former one.
func (d *documents) rename(doc *document, key string) {
	d.remove(doc)
	d.unsaved[doc.key], d.unsaved[key] = true, true
	doc.key = key
}

// take makes an entry what the file says of a document.
func (d *documents) take(doc *document, e canary.Entry) (touched []string) {
	if doc.entry != nil && sameEntry(*doc.entry, e) {
		return nil
	}
	d.checks[doc.key] = true
	next := doc.content
	if doc.entry == nil || doc.entry.Document != e.Document {
		next = newContent(e.Document)
	}
	same := doc.entry != nil && doc.content != nil && next != nil && doc.content.hash == next.hash
	doc.entry = &e
	if same {
		return nil
	}
	touched = doc.services()
	doc.content, doc.faults, doc.verdicts = next, nil, map[string]canary.Verdict{}
	d.index(doc)
	return append(touched, doc.services()...)
}

// leave forgets the documents that are not there any more, but those whose files may still have them.
func (d *documents) leave(there map[string]bool) (touched []string) {
	var unread []canary.Entry
	for _, e := range d.entries {
		if e.Name == "" && e.Document == nil {
			unread = append(unread, e)
		}
	}
	for key, doc := range d.all {
		if there[key] {
			continue
		}
		i := slices.IndexFunc(unread, doc.mayBeIn)
		if i < 0 || doc.served == nil {
			touched = append(touched, doc.services()...)
			d.remove(doc)
			d.unsaved[key] = true
			continue
		}
		if doc.content != nil {
			touched = append(touched, doc.services()...)
		}
		doc.entry, doc.content, doc.faults, doc.verdicts = nil, nil, unread[i].Faults, map[string]canary.Verdict{}
		if unread[i].Unknown && len(doc.faults) == 0 {
			doc.faults = []canary.Fault{{Text: unread[i].File + ": the folder is missing or cannot be read, so what was active stays: put it back"}}
		}
		d.index(doc)
	}
	return touched
}

// mayBeIn reports whether a document may be in the file, or one of the files, of an entry that could not be read.
func (d *document) mayBeIn(e canary.Entry) bool {
	if d.served == nil {
		return false
	}
	if e.Unknown {
		ok, err := filepath.Match(filepath.Clean(e.File), filepath.Clean(d.served.File))
		return ok && err == nil
	}
	return e.File == d.served.File
}
