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
}

// replacement is a value that came from outside the file and what stands for it in messages.
type replacement struct{ value, shown string }

// minConcealed is the length from which values are replaced in messages: shorter ones would garble ordinary words.
const minConcealed = 4

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
	for _, f := range doc.faults {
		root, _ := steps(f.Path)
		n := min(len(at), len(root))
		around := len(at) > 0 && len(root) == len(at)+1
		if (around || len(root) <= len(at)) && slices.Equal(at[:n], root[:n]) {
			return true
		}
	}
	return false
}

// line is where a path's key stands, or the nearest key around it.
func (doc *Document) line(path []step) int {
	n, line := doc.root, doc.root.Line
	for _, s := range path {
		key, value := child(n, s)
		if value == nil {
			break
		}
		n, line = value, key.Line
	}
	return line
}

// child is the key and the value of a step into a node, nil if there is none.
func child(n *yaml.Node, s step) (key, value *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.SequenceNode && s.index >= 0 && s.index < len(n.Content) {
		return n.Content[s.index], n.Content[s.index]
	}
	if n.Kind != yaml.MappingNode || s.index >= 0 {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == s.key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
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
