package canaryedit

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// span is where a node begins and ends in the text. YAML's parser tells the beginning alone. Texts of several lines are
// ErrByHand, except in quotes.
func (d *document) span(n *yaml.Node) (start, end int, err error) {
	if start, err = d.offset(n); err != nil {
		return 0, 0, err
	}
	at, err := d.behindProperties(n, start)
	if err != nil {
		return 0, 0, err
	}
	switch {
	case n.Kind == yaml.AliasNode:
		end = at + 1 + len(n.Value)
	case n.Kind == yaml.ScalarNode:
		end, err = d.scalarEnd(n, at)
	case flow(n):
		end, err = d.flowEnd(n, at)
	default:
		_, end, err = d.span(n.Content[len(n.Content)-1]) // an empty one has no other way to be written than as flow
	}
	return start, end, err
}

// behindProperties passes over the anchor of a node. A tag is nothing that a canary document needs.
func (d *document) behindProperties(n *yaml.Node, at int) (int, error) {
	if n.Style&yaml.TaggedStyle != 0 {
		return 0, unfit(n)
	}
	if anchor := "&" + n.Anchor; n.Anchor != "" && strings.HasPrefix(d.text[at:], anchor) {
		at += len(anchor)
		at += len(d.text[at:]) - len(strings.TrimLeft(d.text[at:], " \t\r\n"))
	}
	return at, nil
}

func (d *document) scalarEnd(n *yaml.Node, at int) (int, error) {
	rest := d.text[at:]
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if rest[i] != '\'' {
				continue
			}
			if i+1 == len(rest) || rest[i+1] != '\'' {
				return at + i + 1, nil
			}
			i++ // two are one of the text
		}
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				return at + i + 1, nil
			}
		}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && n.Value != "" && strings.HasPrefix(rest, n.Value):
		return at + len(n.Value), nil
	}
	return 0, unfit(n)
}

// flowEnd is behind the bracket that closes a list or mapping: after its last item only spaces, a comma and comments stand
// before it.
func (d *document) flowEnd(n *yaml.Node, at int) (int, error) {
	closing := byte('}')
	if n.Kind == yaml.SequenceNode {
		closing = ']'
	}
	end := at + 1
	if len(n.Content) > 0 {
		var err error
		if _, end, err = d.span(n.Content[len(n.Content)-1]); err != nil {
			return 0, err
		}
	}
	for end < len(d.text) {
		switch c := d.text[end]; c {
		case closing:
			return end + 1, nil
		case '#':
			end = d.lineEnd(end)
		case ' ', '\t', '\r', '\n', ',':
			end++
		default:
			return 0, unfit(n)
		}
	}
	return 0, unfit(n)
}
