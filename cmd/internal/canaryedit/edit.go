// Package canaryedit changes one canary document in its file's text. Its invariant: what it changes is what was asked for and
// nothing else: every comment and every other character stays, and a change that cannot be made so is refused.
package canaryedit

import (
	"errors"
	"fmt"
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

// Weight gives a canary a weight in percent. The canary is named by its version or name; "" is the only one.
func Weight(canary string, percent int) Change {
	return func(d *document) error {
		i, c, err := d.canary(canary)
		if err != nil {
			return err
		}
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
		i, c, err := d.canary(canary)
		if err != nil {
			return err
		}
		primary, err := d.selector(c)
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

// Rollback removes all canaries. It is ErrNothing if there are none.
func Rollback() Change {
	return func(d *document) error {
		if _, value := child(d.root, "canaries"); value == nil {
			return ErrNothing
		}
		d.expect = append(d.expect, func(doc map[string]any) { delete(doc, "canaries") })
		return d.remove(d.root, "canaries")
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

// canary finds a canary by its version or name; "" is the only one.
func (d *document) canary(name string) (int, *yaml.Node, error) {
	_, list := child(d.root, "canaries")
	if list == nil || list.Kind == yaml.SequenceNode && len(list.Content) == 0 {
		return 0, nil, ErrNothing
	}
	if list.Kind != yaml.SequenceNode {
		return 0, nil, fmt.Errorf("canaries: %w", ErrByHand)
	}
	if name == "" && len(list.Content) == 1 {
		return 0, list.Content[0], nil
	}
	var known []string
	for i, c := range list.Content {
		for _, key := range []string{"name", "version"} {
			if _, v := child(c, key); v != nil && v.Value == name && name != "" {
				return i, c, nil
			}
		}
		known = append(known, called(c))
	}
	if name == "" {
		return 0, nil, fmt.Errorf("it has %d canaries; name one: %s/%s", len(known), d.name(), strings.Join(known, " or "+d.name()+"/"))
	}
	return 0, nil, fmt.Errorf("it has no canary %q, but %s", name, strings.Join(known, ", "))
}

// called is the name by which a canary may be told from others.
func called(c *yaml.Node) string {
	for _, key := range []string{"version", "name"} {
		if _, v := child(c, key); v != nil {
			return v.Value
		}
	}
	return "one without a name"
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
