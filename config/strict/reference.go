package strict

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

const filePrefix = "file:"

var variable = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{`)

// expand replaces each ${NAME} by the variable's value and each $${ by ${.
func (d *decoder) expand(n *yaml.Node, path, text string) (string, bool) {
	if d.opts.Verbatim {
		return text, true
	}
	ok := true
	out := variable.ReplaceAllStringFunc(text, func(ref string) string {
		switch ref {
		case "$${":
			return "${"
		case "${":
			d.fault(n, path, "${ begins no reference", "${NAME} for a variable, $${ for the two characters themselves")
			ok = false
			return ref
		}
		name := ref[2 : len(ref)-1]
		if d.opts.Env != nil {
			if value, set := d.opts.Env(name); set {
				d.doc.conceal(value, ref)
				return value
			}
		}
		d.fault(n, path, "the variable "+name+" is not set", "set it in the environment, or write $${"+name+"} for the text itself")
		ok = false
		return ref
	})
	return out, ok
}

// secret is the value of a secret: written there, from a variable, or from the file that file:PATH names.
func (d *decoder) secret(n *yaml.Node, path string) (string, bool) {
	if n.Kind == yaml.ScalarNode && strings.HasPrefix(n.Value, filePrefix) {
		return d.secretFile(n, path)
	}
	if n.Kind != yaml.ScalarNode || !plainTag(n) {
		d.fault(n, path, "is no text", "a text, ${NAME} or file:PATH")
		return "", false
	}
	text, ok := d.expand(n, path, n.Value)
	d.doc.conceal(text, "<secret>")
	return text, ok
}

func (d *decoder) secretFile(n *yaml.Node, path string) (string, bool) {
	name, ok := d.expand(n, path, strings.TrimPrefix(n.Value, filePrefix))
	if !ok {
		return "", false
	}
	if d.opts.Read == nil {
		d.fault(n, path, "file: is not possible here", "write the value itself or ${NAME}")
		return "", false
	}
	data, err := d.opts.Read(name)
	value := strings.TrimRight(string(data), "\r\n")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fault(n, path, "the file "+name+" does not exist", "create it, or correct the path, which is relative to the folder of this file")
	case err != nil:
		d.fault(n, path, err.Error(), "a file that can be read")
	case value == "":
		d.fault(n, path, "the file "+name+" is empty", "a file that holds the secret")
	default:
		d.doc.conceal(value, "<secret>")
		return value, true
	}
	return "", false
}
