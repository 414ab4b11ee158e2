package strict

import (
	"encoding"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonType     = reflect.TypeFor[json.Unmarshaler]()
	secretType   = reflect.TypeFor[interface{ Reveal() string }]()
)

// IsSecret reports whether values of a type are secrets.
func IsSecret(t reflect.Type) bool { return t.Kind() == reflect.String && t.Implements(secretType) }

// Short reports whether a type is a mapping of keys that a text may stand for.
func Short(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(textType) && len(Fields(t)) > 0
}

// special decodes types that read themselves, durations and secrets.
func (d *decoder) special(n *yaml.Node, v reflect.Value, path string) bool {
	t := v.Type()
	switch {
	case t == durationType:
		if text, ok := d.text(n, t, path); ok {
			d.duration(n, v, path, text)
		}
	case IsSecret(t):
		if text, ok := d.secret(n, path); ok {
			v.SetString(text)
		}
	case n.Kind == yaml.MappingNode && Short(t):
		return false
	case reflect.PointerTo(t).Implements(textType):
		if text, ok := d.text(n, t, path); ok {
			if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
				d.fault(n, path, d.doc.hide(err.Error()), "")
			}
		}
	case reflect.PointerTo(t).Implements(jsonType):
		data, err := json.Marshal(d.any(n, path))
		if err == nil {
			err = v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(data)
		}
		if err != nil {
			d.fault(n, path, d.doc.hide(err.Error()), "")
		}
	default:
		return false
	}
	return true
}

// text is the text of a scalar with its references replaced.
func (d *decoder) text(n *yaml.Node, t reflect.Type, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		d.wrongType(n, t, path)
		return "", false
	}
	if !plainTag(n) {
		d.fault(n, path, "has a tag", "plain values only, without !")
		return "", false
	}
	return d.expand(n, path, n.Value)
}

func plainTag(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge":
		return true
	}
	return false
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, path, text string) {
	value, err := time.ParseDuration(text)
	if err == nil {
		v.SetInt(int64(value))
		return
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		d.fault(n, path, text+" has no unit", "write "+text+"s for seconds; units are ms, s, m and h")
		return
	}
	d.fault(n, path, "is no duration", "a number with a unit, such as 150ms, 30s, 2m or 1h30m")
}

// scalar decodes texts, numbers and truth values.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	t := v.Type()
	text, ok := d.text(n, t, path)
	if !ok {
		return
	}
	if t.Kind() == reflect.String {
		v.SetString(text)
		return
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && text == n.Value {
		d.fault(n, path, "is a text in quotes", wanted(t)+", without quotes")
		return
	}
	if !number(v, text) {
		d.wrongType(n, t, path)
	}
}

// number sets a truth value or a number from its text, and reports whether it was one in range.
func number(v reflect.Value, text string) bool {
	if len(text) > 1 && text[0] == '0' && text[1] != '.' {
		return false // octal to some readers, decimal to others
	}
	bits := v.Type().Bits
	switch {
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return false
		}
		v.SetBool(text == "true")
	case v.CanInt():
		i, err := strconv.ParseInt(text, 10, bits())
		if err != nil {
			return false
		}
		v.SetInt(i)
	case v.CanUint():
		i, err := strconv.ParseUint(text, 10, bits())
		if err != nil {
			return false
		}
		v.SetUint(i)
	case v.CanFloat():
		f, err := strconv.ParseFloat(text, bits())
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return false
		}
		v.SetFloat(f)
	default:
		return false
	}
	return true
}

// anyScalar decodes a scalar by what it looks like; one with a reference in it is a text.
func (d *decoder) anyScalar(n *yaml.Node, path string) any {
	if empty(n) {
		d.fault(n, path, "is empty", "give it a value, or leave it out")
		return nil
	}
	text, ok := d.text(n, reflect.TypeFor[string](), path)
	if !ok {
		return nil
	}
	if text != n.Value {
		return text
	}
	switch n.ShortTag() {
	case "!!bool":
		return strings.EqualFold(text, "true")
	case "!!int":
		if i, err := strconv.ParseInt(text, 0, 64); err == nil {
			return i
		}
		d.fault(n, path, "is a number out of range", "put it in quotes if it is a text")
	case "!!float":
		f, err := strconv.ParseFloat(text, 64)
		if err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		d.fault(n, path, "is a number out of range", "put it in quotes if it is a text")
	}
	return text
}

func (d *decoder) wrongType(n *yaml.Node, t reflect.Type, path string) {
	d.fault(n, path, "is "+found(n), wanted(t))
}

// found names what a node is, never its text.
func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return n.Value
	}
	return "a text"
}

// wanted names what a type takes.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == durationType:
		return "a duration such as 30s"
	case IsSecret(t):
		return "a text, ${NAME} or file:PATH"
	case Short(t):
		return "a text, or a mapping with keys such as " + someKeys(t)
	case reflect.PointerTo(t).Implements(textType):
		return "a text"
	}
	switch t.Kind() {
	case reflect.Struct:
		return "a mapping with keys such as " + someKeys(t)
	case reflect.Map:
		return "a mapping of names to values"
	case reflect.Slice:
		return "a list such as [a, b]"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a text"
}

func someKeys(t reflect.Type) string {
	names := make([]string, 0, 4)
	for _, f := range Fields(t) {
		if names = append(names, f.Name); len(names) == 4 {
			break
		}
	}
	return strings.Join(names, ", ")
}
