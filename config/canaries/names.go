package canaries

import (
	"fmt"
	"slices"
	"strings"

	"meshbridge/config/strict"
	"meshbridge/convert/canary"
)

// key is the name of a document, which is its team's alone.
type key struct{ team, name string }

func (p *parsed) key() key { return key{p.Team, p.Name} }

// names knows the files that have documents of a name, each once for each of them. Documents that have disappeared have none.
type names map[key][]*file

func (n names) add(f *file) {
	for _, k := range f.keys() {
		n[k] = append(n[k], f)
	}
}

func (n names) remove(f *file) {
	for _, k := range f.keys() {
		if n[k] = slices.DeleteFunc(n[k], func(o *file) bool { return o == f }); len(n[k]) == 0 {
			delete(n, k)
		}
	}
}

// keys are the names of a file's documents that are there.
func (f *file) keys() []key {
	keys := make([]key, 0, len(f.docs))
	for i := range f.docs {
		if p := &f.docs[i]; p.Name != "" && p.until.IsZero() {
			keys = append(keys, p.key())
		}
	}
	return keys
}

// entriesOf are the entries of a file, those apart whose name is another document's. A name belongs to the first document of
// its team, by file and place, that has it and no fault.
func (n names) entriesOf(f *file) (entries, losers []canary.Entry) {
	owners := map[key]*parsed{}
	entries = make([]canary.Entry, 0, len(f.docs))
	for i := range f.docs {
		p := &f.docs[i]
		if p.Name == "" || !p.until.IsZero() || len(n[p.key()]) < 2 {
			entries = append(entries, p.Entry)
			continue
		}
		owner := owners[p.key()]
		if owner == nil {
			owner = n.owner(p.key())
			owners[p.key()] = owner
		}
		if p == owner {
			entries = append(entries, p.Entry)
			continue
		}
		losers = append(losers, p.lostTo(owner))
	}
	return entries, losers
}

// owner is the document that has a name.
func (n names) owner(k key) *parsed {
	files := slices.Clone(n[k])
	slices.SortFunc(files, func(a, b *file) int { return strings.Compare(a.path, b.path) })
	var first *parsed
	for _, f := range slices.Compact(files) {
		for i := range f.docs {
			p := &f.docs[i]
			if p.key() != k || !p.until.IsZero() {
				continue
			}
			if len(p.Faults) == 0 {
				return p
			}
			if first == nil {
				first = p
			}
		}
	}
	return first
}

// lostTo is the entry of a document whose name is another's.
func (p *parsed) lostTo(owner *parsed) canary.Entry {
	e := p.Entry
	if p.line > 0 || len(e.Faults) == 0 {
		fault := strict.Fault{File: p.File, Line: p.before + p.line, Path: "name", Wrong: fmt.Sprintf("%q is that of a document in %s already", p.Name, owner.File), Right: "a name of its own"}
		e.Faults = append(slices.Clone(e.Faults), canary.Fault{Path: fault.Path, Text: short(fault.Error(), maxText)})
	}
	return e
}
