package canaryedit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// document is the text of one document and what is to change in it.
type document struct {
	text  string
	lines []int // where each line begins
	root  *yaml.Node

	cuts   []cut
	expect []func(map[string]any) // what the changes come to
}

// cut puts a text in the place of what stands from start to end.
type cut struct {
	start, end int
	text       string
}

// read takes the text of a document apart.
func read(text []byte) (*document, error) {
	d := &document{text: string(text), lines: []int{0}}
	for i := range text {
		if text[i] == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("no mapping")
	}
	d.root = doc.Content[0]
	return d, nil
}

func (d *document) name() string {
	if _, v := child(d.root, "name"); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// child is a key of a mapping and its value, nil if it has none.
func child(n *yaml.Node, key string) (at, value *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// edited is the text with its changes, if they come to what is expected.
func (d *document) edited() ([]byte, error) {
	slices.SortFunc(d.cuts, func(a, b cut) int { return cmp.Compare(a.start, b.start) })
	var out strings.Builder
	at := 0
	for _, c := range d.cuts {
		if c.start < at {
			return nil, ErrByHand
		}
		out.WriteString(d.text[at:c.start] + c.text)
		at = c.end
	}
	out.WriteString(d.text[at:])
	return []byte(out.String()), d.verify(out.String())
}

// verify reads the edited text again: it must say what the text said before, but for the change.
func (d *document) verify(edited string) error {
	var want, got map[string]any
	if err := yaml.Unmarshal([]byte(d.text), &want); err != nil {
		return err
	}
	for _, change := range d.expect {
		change(want)
	}
	if err := yaml.Unmarshal([]byte(edited), &got); err != nil || !reflect.DeepEqual(want, got) {
		return ErrByHand
	}
	return nil
}

// offset is where a node begins in the text.
func (d *document) offset(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(d.lines) {
		return 0, ErrByHand
	}
	at := d.lines[n.Line-1]
	for range n.Column - 1 { // columns count characters
		_, size := utf8.DecodeRuneInString(d.text[at:])
		at += size
	}
	return at, nil
}

// part is a piece of a file that may hold one document.
type part struct{ start, end int }

// split takes the documents of a file apart, as YAML does: at lines that begin with --- or ...
func split(text []byte) []part {
	var parts []part
	start := 0
	for at := 0; at < len(text); {
		next := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			next = at + i + 1
		}
		line := strings.TrimRight(string(text[at:next]), "\r\n")
		mark, rest := line[:min(3, len(line))], line[min(3, len(line)):]
		if (mark == "---" || mark == "...") && (rest == "" || rest[0] == ' ' || rest[0] == '\t') {
			parts = append(parts, part{start, at})
			if start = at; mark == "..." {
				start = next
			}
		}
		at = next
	}
	return append(parts, part{start, len(text)})
}

// set gives a key of a mapping a value of one line, in the place of the one it has or as another entry.
func (d *document) set(mapping *yaml.Node, key, value string) error {
	at, old := child(mapping, key)
	if old == nil {
		return d.insert(mapping, key+": "+value)
	}
	_, after, err := d.span(at)
	if err != nil {
		return err
	}
	start, end, err := d.span(old)
	if err != nil {
		return err
	}
	if !strings.Contains(d.text[after:start], "\n") {
		d.cuts = append(d.cuts, cut{start, end, value})
		return nil
	}
	// A block below its key: the value goes behind the colon, and the lines of the block go.
	colon := after + strings.IndexByte(d.text[after:start], ':') + 1
	d.cuts = append(d.cuts, cut{colon, colon, " " + value}, cut{d.lineStart(start), d.lineEnd(end), ""})
	return nil
}

// insert adds an entry to a mapping.
func (d *document) insert(mapping *yaml.Node, entry string) error {
	if len(mapping.Content) == 0 {
		return unfit(mapping)
	}
	if flow(mapping) {
		last := mapping.Content[len(mapping.Content)-1]
		_, end, err := d.span(last)
		d.cuts = append(d.cuts, cut{end, end, ", " + entry})
		return err
	}
	// Behind the last value that ends with its line.
	for i := len(mapping.Content) - 2; i >= 0; i -= 2 {
		start, _, err := d.span(mapping.Content[i])
		if err != nil {
			return err
		}
		_, end, err := d.span(mapping.Content[i+1])
		if err != nil {
			continue
		}
		at := d.lineEnd(end)
		if rest := strings.TrimSpace(d.text[end:at]); rest != "" && rest[0] != '#' {
			continue
		}
		indent := strings.Repeat(" ", d.width(d.lineStart(start), start))
		line := indent + entry
		if d.text[at-1] == '\n' {
			d.cuts = append(d.cuts, cut{at, at, line + d.newline()})
		} else {
			d.cuts = append(d.cuts, cut{at, at, d.newline() + line})
		}
		return nil
	}
	return ErrByHand
}

// remove takes an entry out of a mapping, with the lines that it stands on.
func (d *document) remove(mapping *yaml.Node, key string) error {
	i := d.index(mapping, key)
	start, end, err := d.entry(mapping, i)
	if err != nil {
		return err
	}
	if !flow(mapping) {
		d.cuts = append(d.cuts, cut{d.lineStart(start), d.lineEnd(end), ""})
		return nil
	}
	switch {
	case i+2 < len(mapping.Content):
		if end, _, err = d.span(mapping.Content[i+2]); err != nil {
			return err
		}
	case i > 0:
		if _, start, err = d.span(mapping.Content[i-1]); err != nil {
			return err
		}
	}
	d.cuts = append(d.cuts, cut{start, end, ""})
	return nil
}

// removeItems takes items out of a list, of which others are left.
func (d *document) removeItems(list *yaml.Node, items []int) error {
	for _, i := range items {
		start, end, err := d.span(list.Content[i])
		if err != nil {
			return err
		}
		switch {
		case !flow(list):
			if start = d.lineStart(start); strings.TrimSpace(d.text[start:end])[0] != '-' {
				return unfit(list.Content[i])
			}
			end = d.lineEnd(end)
		case i+1 < len(list.Content):
			if end, err = d.offset(list.Content[i+1]); err != nil {
				return err
			}
		default: // with what stands behind the last one that is left
			last := i - 1
			for slices.Contains(items, last) {
				last--
			}
			if _, start, err = d.span(list.Content[last]); err != nil {
				return err
			}
			d.cuts = slices.DeleteFunc(d.cuts, func(c cut) bool { return c.start >= start }) // they are within this one
		}
		d.cuts = append(d.cuts, cut{start, end, ""})
	}
	return nil
}

// replaceEntry puts an entry in the place of another one.
func (d *document) replaceEntry(mapping *yaml.Node, key, entry string) error {
	start, end, err := d.entry(mapping, d.index(mapping, key))
	if err != nil {
		return err
	}
	if !flow(mapping) && strings.Contains(d.text[start:end], "\n") {
		end = d.lineEnd(end) // with what is said of its last line
		entry += d.text[len(strings.TrimRight(d.text[:end], "\r\n")):end]
	}
	d.cuts = append(d.cuts, cut{start, end, entry})
	return nil
}

func (d *document) index(mapping *yaml.Node, key string) int {
	return slices.IndexFunc(mapping.Content, func(n *yaml.Node) bool { return n.Value == key })
}

// entry is where an entry of a mapping begins and ends.
func (d *document) entry(mapping *yaml.Node, i int) (start, end int, err error) {
	if start, _, err = d.span(mapping.Content[i]); err != nil {
		return 0, 0, err
	}
	_, end, err = d.span(mapping.Content[i+1])
	return start, end, err
}

func flow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

func (d *document) lineStart(at int) int { return strings.LastIndexByte(d.text[:at], '\n') + 1 }

// lineEnd is behind the end of the line that at is on.
func (d *document) lineEnd(at int) int {
	if i := strings.IndexByte(d.text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(d.text)
}

// width is the number of columns between two places of a line.
func (d *document) width(from, to int) int { return utf8.RuneCountInString(d.text[from:to]) }

// newline is how the text ends its lines.
func (d *document) newline() string {
	if i := strings.IndexByte(d.text, '\n'); i > 0 && d.text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// unfit is ErrByHand with the place.
func unfit(n *yaml.Node) error { return fmt.Errorf("line %d: %w", n.Line, ErrByHand) }
