// Package canaryedit changes one canary document in its file's text. Its invariant: what it changes is what was asked for and
// nothing else: every comment and every other character stays, and a change that cannot be made so is refused.
package canaryedit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrByHand says that a document is written in a way that is not edited here.
var ErrByHand = errors.New("it is written in a way that must be edited by hand")

// ErrNoDocument says that a text holds no document of a name.
var ErrNoDocument = errors.New("no document of that name")

// Change is what is to become of a document.
type Change func(*document) error

// Edit changes the document of a name in the text of a file, which may hold several.
func Edit(text []byte, name string, change Change) ([]byte, error) {
	for _, c := range split(text) {
		d, err := read(text[c.start:c.end])
		if err != nil || d.name() != name {
			continue // what is wrong with another document is no matter here
		}
		if err := change(d); err != nil {
			return nil, err
		}
		edited, err := d.edited()
		if err != nil {
			return nil, err
		}
		return append(append(append([]byte{}, text[:c.start]...), edited...), text[c.end:]...), nil
	}
	return nil, ErrNoDocument
}

// Alone is the text of a file with the document of a name alone, on the lines that it has there: all others are empty. It is nil
// if there is no such document.
func Alone(text []byte, name string) []byte {
	for _, c := range split(text) {
		if d, err := read(text[c.start:c.end]); err == nil && d.name() == name {
			before := bytes.Count(text[:c.start], []byte("\n"))
			return append(bytes.Repeat([]byte("\n"), before), text[c.start:c.end]...)
		}
	}
	return nil
}

// Names lists the documents of a text that can be edited.
func Names(text []byte) []string {
	var names []string
	for _, c := range split(text) {
		if d, err := read(text[c.start:c.end]); err == nil && d.name() != "" {
			names = append(names, d.name())
		}
	}
	return names
}

// Weight gives a canary a weight in percent. The canary is named by its version or name; "" is the only one. Of several entries
// of it that which has a weight gets it, else the first without headers, else the first.
func Weight(canary string, percent int) Change {
	return func(d *document) error {
		all, err := d.canary(canary)
		if err != nil {
			return err
		}
		i := all[0]
		for _, key := range []string{"headers", "weight"} {
			if at := slices.IndexFunc(all, func(i int) bool { return d.has(i, key) == (key == "weight") }); at >= 0 {
				i = all[at]
			}
		}
		c := d.entries()[i]
		if c.Kind != yaml.MappingNode {
			return fmt.Errorf("canaries[%d]: %w", i, ErrByHand)
		}
		if err := d.set(c, "weight", strconv.Itoa(percent)); err != nil {
			return err
		}
		d.expect = append(d.expect, func(doc map[string]any) {
			if one := canaryIn(doc, i); one != nil {
				one["weight"] = percent
			}
		})
		return nil
	}
}

// Promote makes a canary the primary, and removes all canaries. The canary is named as in Weight.
func Promote(canary string) Change {
	return func(d *document) error {
		all, err := d.canary(canary)
		if err != nil {
			return err
		}
		i := all[0] // all of one name have one selector
		primary, err := d.selector(d.entries()[i])
		if err != nil {
			return fmt.Errorf("canaries[%d]: %w", i, err)
		}
		d.expect = append(d.expect, func(doc map[string]any) {
			one := canaryIn(doc, i)
			if version, ok := one["version"]; ok {
				doc["primary"] = version
			} else {
				doc["primary"] = map[string]any{"labels": one["labels"]}
			}
			delete(doc, "canaries")
		})
		if _, value := child(d.root, "primary"); value == nil {
			return d.replaceEntry(d.root, "canaries", "primary: "+primary)
		}
		if err := d.set(d.root, "primary", primary); err != nil {
			return err
		}
		return d.remove(d.root, "canaries")
	}
}

// Rollback removes a canary, named as in Weight, or all canaries where none is named. It is ErrNothing if there are none.
func Rollback(canary string) Change {
	return func(d *document) error {
		_, list := child(d.root, "canaries")
		if list == nil {
			return ErrNothing
		}
		if canary == "" {
			d.expect = append(d.expect, func(doc map[string]any) { delete(doc, "canaries") })
			return d.remove(d.root, "canaries")
		}
		all, err := d.canary(canary)
		if err != nil {
			return err
		}
		if len(all) == len(list.Content) {
			return Rollback("")(d)
		}
		d.expect = append(d.expect, func(doc map[string]any) {
			var left []any
			entries, _ := doc["canaries"].([]any)
			for i, entry := range entries {
				if !slices.Contains(all, i) {
					left = append(left, entry)
				}
			}
			doc["canaries"] = left
		})
		return d.removeItems(list, all)
	}
}

// canaryIn is a canary of a decoded document, nil if one of its keys is no text.
func canaryIn(doc map[string]any, i int) map[string]any {
	list, _ := doc["canaries"].([]any)
	if i >= len(list) {
		return nil
	}
	one, _ := list[i].(map[string]any)
	return one
}

// ErrNothing says that a document is already as it would become.
var ErrNothing = errors.New("the document has no canaries")

// entries are those of canaries.
func (d *document) entries() []*yaml.Node {
	_, list := child(d.root, "canaries")
	return list.Content
}

// has reports whether an entry of canaries has a key.
func (d *document) has(i int, key string) bool {
	_, value := child(d.entries()[i], key)
	return value != nil
}

// canary finds the entries of a canary by its name or version; "" is the only canary. A canary may have several, such as one
// for each header and one with a weight.
func (d *document) canary(name string) ([]int, error) {
	_, list := child(d.root, "canaries")
	if list == nil || list.Kind == yaml.SequenceNode && len(list.Content) == 0 {
		return nil, ErrNothing
	}
	if list.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("canaries: %w", ErrByHand)
	}
	var known []string
	byName, byVersion := map[string][]int{}, map[string][]int{}
	for i, c := range list.Content {
		is, version := called(c)
		byName[is] = append(byName[is], i)
		if version != is {
			byVersion[version] = append(byVersion[version], i)
		}
		if !slices.Contains(known, is) {
			known = append(known, is)
		}
	}
	all := byVersion[name]
	switch {
	case name == "" && len(known) == 1:
		return byName[known[0]], nil
	case name == "":
		return nil, fmt.Errorf("it has %d canaries; name one: %s/%s", len(known), d.name(), strings.Join(known, " or "+d.name()+"/"))
	case len(byName[name]) > 0:
		return byName[name], nil
	case len(all) == 0:
		return nil, fmt.Errorf("it has no canary %q, but %s", name, strings.Join(known, ", "))
	}
	for _, i := range all {
		is, _ := called(list.Content[i])
		if first, _ := called(list.Content[all[0]]); is != first {
			return nil, fmt.Errorf("it has canaries %s and %s of version %s; name one: %s/%s or %s/%s", first, is, name, d.name(), first, d.name(), is)
		}
	}
	return all, nil
}

// called is the name by which a canary is told from others, as the bridge has it, and its version.
func called(c *yaml.Node) (name, version string) {
	name = "one without a name"
	if _, v := child(c, "version"); v != nil {
		name, version = v.Value, v.Value
	}
	if _, v := child(c, "name"); v != nil {
		name = v.Value
	}
	return name, version
}

// selector is what a canary chooses its endpoints by, as the value of primary on one line.
func (d *document) selector(c *yaml.Node) (string, error) {
	if _, version := child(c, "version"); version != nil {
		start, end, err := d.span(version)
		if err != nil {
			return "", err
		}
		return d.text[start:end], nil
	}
	_, labels := child(c, "labels")
	if labels == nil || labels.Kind != yaml.MappingNode {
		return "", ErrByHand
	}
	var pairs []string
	for i := 0; i < len(labels.Content); i += 2 {
		pair := ""
		for j, n := range labels.Content[i : i+2] {
			start, end, err := d.span(n)
			if err != nil || n.Kind != yaml.ScalarNode {
				return "", ErrByHand
			}
			pair += []string{"", ": "}[j] + d.text[start:end]
		}
		pairs = append(pairs, pair)
	}
	return "{labels: {" + strings.Join(pairs, ", ") + "}}", nil
}
