package schema

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// section is a part of a page: a mapping of the file with a table of its keys.
type section struct {
	path    string // generic
	title   string
	example string // the name of a file in examples
}

// markdown is the page of the documentation.
func markdown(top *key) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(top.of.intro)
	for _, s := range top.of.sections {
		k := top.find(s.path)
		if k == nil {
			return nil, fmt.Errorf("section %s: no such key", s.path)
		}
		example, err := examples.ReadFile("examples/" + s.example + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", s.path, err)
		}
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		if k.what != "" {
			fmt.Fprintf(&b, "%s\n\n", k.what)
		}
		fmt.Fprintf(&b, "```yaml\n%s```\n\n| key | takes | default | meaning |\n|---|---|---|---|\n", example)
		rows(&b, k, "")
	}
	return b.Bytes(), nil
}

// rows writes a line for each key, those inside of mappings without a section of their own by their path.
func rows(b *bytes.Buffer, k *key, before string) {
	for _, child := range k.keys {
		name := before + child.name
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, child.takes(), cell(child.defaultCell()), cell(child.what))
		if _, own := child.section(); !own && (child.shape == keys || child.shape == either) {
			rows(b, child, name+".")
		}
	}
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// section is the section of a mapping or of a list's items.
func (k *key) section() (section, bool) {
	i := slices.IndexFunc(k.of.sections, func(s section) bool {
		return s.path != "" && (s.path == k.path || k.item != nil && s.path == k.item.path)
	})
	if i < 0 {
		return section{}, false
	}
	return k.of.sections[i], true
}

// takes says in words what a key takes.
func (k *key) takes() string {
	if words := k.values(); words != nil {
		return "`" + strings.Join(words, "`, `") + "`"
	}
	words := k.shape.words()
	switch k.shape {
	case list:
		words = "list of " + k.item.shape.words()
	case names:
		words = "name → " + k.item.shape.words()
	}
	if s, ok := k.section(); ok {
		words = "[" + words + "](#" + anchor(s.title) + ")"
	}
	return words
}

// anchor is how a heading is linked to.
func anchor(title string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(title), ":", ""), " ", "-")
}

func (s shape) words() string {
	switch s {
	case text:
		return "text"
	case secret:
		return "secret"
	case truth:
		return "true, false"
	case whole:
		return "whole number"
	case fraction:
		return "number"
	case duration:
		return "duration"
	case list:
		return "list"
	case either:
		return "text or mapping"
	}
	return "mapping"
}

// defaultCell is the default as its comment names it; a word is shown as it stands in the file.
func (k *key) defaultCell() string {
	switch {
	case k.needed():
		return "needed"
	case k.byDefault == "see its keys":
		return ""
	case k.byDefault == "none", k.inherited, k.shape == keys, k.shape == either, strings.Contains(strings.TrimSuffix(k.byDefault, "]"), " "):
		return k.byDefault
	}
	return "`" + k.byDefault + "`"
}
