package strict

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document is what a file said, kept to find the lines of faults that are noticed after decoding.
type Document struct {
	name   string
	shape  reflect.Type
	root   *yaml.Node // nil if the file is no YAML
	faults Faults
	hidden []replacement
	cut    bool // decoding ended at a limit

	// Made when they are needed, by index and child.
	found  map[string]bool               // paths of faults
	within map[string]bool               // paths next above them
	keys   map[*yaml.Node]map[string]int // by mapping: where each key is in its Content
}

// replacement is a value that came from outside the file and what stands for it in messages.
type replacement struct{ value, shown string }

// minConcealed is the length from which values are replaced in messages: shorter ones would garble ordinary words.
const minConcealed = 4

// Whole reports whether decoding came to the document's end: what follows the value that met a limit is unknown.
func (doc *Document) Whole() bool { return doc.root != nil && !doc.cut }

func (doc *Document) conceal(value, shown string) {
	if len(value) >= minConcealed {
		doc.hidden = append(doc.hidden, replacement{value, shown})
	}
}

// hide replaces what came from variables and secrets in a message.
func (doc *Document) hide(message string) string {
	longest := slices.Clone(doc.hidden)
	slices.SortStableFunc(longest, func(a, b replacement) int { return cmp.Compare(len(b.value), len(a.value)) })
	for _, r := range longest {
		message = strings.ReplaceAll(message, r.value, r.shown)
	}
	return message
}

// Faults is all that is wrong: what decoding found, and the joined errors of a validation, each led by its path and placed
// on the line of the nearest key. An error about something that could not even be decoded is left out.
func (doc *Document) Faults(validation error) Faults {
	faults := slices.Clone(doc.faults)
	if doc.root == nil {
		return faults
	}
	for _, err := range Flatten(validation) {
		at, rest := lead(err.Error())
		list, foreign := reach(doc.shape, at)
		if foreign != "" {
			rest = foreign + ": " + rest
		}
		if doc.follows(list) {
			continue
		}
		path := ""
		for _, s := range list {
			path = s.below(path)
		}
		faults = append(faults, Fault{File: doc.name, Line: doc.line(list), Path: path, Wrong: doc.hide(rest)})
	}
	return faults.sorted()
}

// follows reports whether a fault at a path may only follow from one that decoding found: at it, in it, or next around it.
func (doc *Document) follows(at []step) bool {
	if doc.found == nil {
		doc.index()
	}
	path := ""
	if doc.found[path] {
		return true
	}
	for _, s := range at {
		if path = s.below(path); doc.found[path] {
			return true
		}
	}
	return doc.within[path]
}

// index remembers where decoding found faults: a document may have as many of them as validation has errors.
func (doc *Document) index() {
	doc.found, doc.within = map[string]bool{}, map[string]bool{}
	for _, f := range doc.faults {
		list, _ := steps(f.Path)
		above, path := "", ""
		for _, s := range list {
			above, path = path, s.below(path)
		}
		doc.found[path] = true
		if above != "" {
			doc.within[above] = true
		}
	}
}

// Line is where the key of a path stands, or the nearest key around it; 0 if the file is no YAML.
func (doc *Document) Line(path string) int {
	if doc.root == nil {
		return 0
	}
	list, _ := reach(doc.shape, path)
	return doc.line(list)
}

// line is where a path's key stands, or the nearest key around it.
func (doc *Document) line(path []step) int {
	n, line := doc.root, doc.root.Line
	for _, s := range path {
		key, value := doc.child(n, s)
		if value == nil {
			break
		}
		n, line = value, key.Line
	}
	return line
}

// child is the key and the value of a step into a node, nil if there is none.
func (doc *Document) child(n *yaml.Node, s step) (key, value *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.SequenceNode && s.index >= 0 && s.index < len(n.Content) {
		return n.Content[s.index], n.Content[s.index]
	}
	if n.Kind != yaml.MappingNode || s.index >= 0 {
		return nil, nil
	}
	if i, ok := doc.keysOf(n)[s.key]; ok {
		return n.Content[i], n.Content[i+1]
	}
	return nil, nil
}

// keysOf says where in a mapping's Content each key is, the first if it stands there twice. It looks through a mapping once,
// as each of many keys may have a fault.
func (doc *Document) keysOf(n *yaml.Node) map[string]int {
	if keys, ok := doc.keys[n]; ok {
		return keys
	}
	keys := make(map[string]int, len(n.Content)/2)
	for i := len(n.Content) - 2; i >= 0; i -= 2 {
		keys[n.Content[i].Value] = i
	}
	if doc.keys == nil {
		doc.keys = map[*yaml.Node]map[string]int{}
	}
	doc.keys[n] = keys
	return keys
}

// Prefix leads each joined error with the path of the part that it is about, unless the error names it already.
func Prefix(path string, err error) error {
	var errs []error
	own := path[strings.LastIndexByte(path, '.')+1:]
	for _, e := range Flatten(err) {
		at, rest := lead(e.Error())
		if after, found := strings.CutPrefix(at, own); found && own != "" && (after == "" || after[0] == '.' || after[0] == '[') {
			at = strings.TrimPrefix(after, ".")
		}
		if at != "" && at[0] != '[' && path != "" {
			at = "." + at
		}
		if at = path + at; at != "" {
			rest = at + ": " + rest
		}
		errs = append(errs, prefixed{text: rest, err: e})
	}
	return errors.Join(errs...)
}

// prefixed is an error with its path made whole.
type prefixed struct {
	text string
	err  error
}

func (p prefixed) Error() string { return p.text }
func (p prefixed) Unwrap() error { return p.err }
