package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
)

// object is a JSON object that keeps the order of its members.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		fmt.Fprintf(&b, "%q:", m.name)
		if err := encoder.Encode(m.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// jsonSchema is the JSON Schema of the file.
func jsonSchema(top *key) ([]byte, error) {
	whole := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", top.of.title},
		{"description", top.of.description},
	}
	whole = append(whole, top.schema()...)
	whole = append(whole, member{"$defs", top.of.definitions()})
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(whole)
	return b.Bytes(), err
}

// definitions are what several keys share.
func (k *kind) definitions() object {
	scalar := member{"type", []string{"string", "number", "boolean"}}
	if !k.references {
		return object{{"text", object{{"description", "A text, taken as it is written."}, scalar}}}
	}
	return object{
		{"text", object{{"description", "A text; ${NAME} is replaced by the variable's value, $${ by ${."}, scalar}},
		{"secret", object{{"description", "A text, ${NAME} for a variable, or file:PATH for the content of a file."}, scalar}},
		{"duration", object{
			{"description", "A duration such as 150ms, 30s, 2m or 1h30m; 0 is none."},
			{"anyOf", []object{{{"type", "string"}, {"pattern", `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`}}, {{"const", 0}}, reference()}},
		}},
		{"reference", object{{"description", "A value with a ${NAME} in it."}, {"type", "string"}, {"pattern", `\$\{`}}},
	}
}

func reference() object { return object{{"$ref", "#/$defs/reference"}} }

// orReference is a schema that a value of the key fits, unless it is a reference.
func (k *key) orReference(o object, schema object) object {
	if !k.of.references {
		return append(o, schema...)
	}
	return append(o, member{"anyOf", []object{schema, reference()}})
}

// schema is the schema of a key's value.
func (k *key) schema() object {
	var o object
	if k.what != "" {
		o = append(o, member{"description", strings.ReplaceAll(k.what, "`", "")})
	}
	if value, ok := defaultValue(k.value); ok && k.name != "" && k.shape < list && !k.inherited {
		o = append(o, member{"default", value})
	}
	switch k.shape {
	case text:
		if words := k.values(); words != nil {
			return k.orReference(o, object{{"enum", words}})
		}
		return append(o, member{"$ref", "#/$defs/text"})
	case secret:
		return append(o, member{"$ref", "#/$defs/secret"})
	case duration:
		return append(o, member{"$ref", "#/$defs/duration"})
	case truth:
		return k.orReference(o, object{{"type", "boolean"}})
	case whole:
		return k.orReference(o, k.wholeNumber())
	case fraction:
		return k.orReference(o, object{{"type", "number"}})
	case anything:
		return append(o, member{"type", "object"})
	case list:
		return append(o, member{"type", "array"}, member{"items", k.item.schema()})
	case either:
		return append(o, member{"anyOf", []object{{{"$ref", "#/$defs/text"}}, k.fixedKeys()}})
	case names:
		return append(o, member{"type", "object"}, member{"additionalProperties", k.item.schema()})
	}
	return append(o, k.fixedKeys()...)
}

// wholeNumber bounds a number by its Go type, as far as JSON counts exactly.
func (k *key) wholeNumber() object {
	o := object{{"type", "integer"}}
	t := k.value.Type()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.Zero(t).CanUint() {
		o = append(o, member{"minimum", 0})
		if t.Bits() <= 32 {
			o = append(o, member{"maximum", uint64(math.MaxUint64) >> (64 - t.Bits())})
		}
	}
	return o
}

func (k *key) fixedKeys() object {
	properties := object{}
	var required []string
	for _, child := range k.keys {
		properties = append(properties, member{child.name, child.schema()})
		if child.needed() {
			required = append(required, child.name)
		}
	}
	o := object{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}}
	if required != nil {
		o = append(o, member{"required", required})
	}
	var one []object
	for _, name := range k.alternatives() {
		one = append(one, object{{"required", []string{name}}})
	}
	if one != nil {
		o = append(o, member{"oneOf", one})
	}
	return o
}

// defaultValue is a default as it would stand in the file; ok is false where there is none.
func defaultValue(v reflect.Value) (value any, ok bool) {
	switch {
	case v.IsZero() && v.Kind() != reflect.Bool && !v.CanInt():
		return nil, false
	case v.Kind() == reflect.Pointer:
		return nil, false
	case v.Type() == reflect.TypeFor[time.Duration]():
		return short(time.Duration(v.Int())), true
	}
	return v.Interface(), true
}

// short writes a duration without its zero parts: 10m, not 10m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
