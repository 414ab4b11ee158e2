package schema

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"meshbridge/config/strict"
)

// shape is the form of a value in the file.
type shape int

const (
	text shape = iota
	secret
	truth
	whole
	fraction
	duration
	anything // a mapping in somebody else's words
	list
	names  // a mapping of free names
	keys   // a mapping of fixed keys
	either // a text, or a mapping of fixed keys
)

// key is one key of the file, or an item of a list or a value of free names.
type key struct {
	of        *kind
	name      string
	path      string // generic: sources[].name
	what      string // from its comment
	byDefault string // from its comment
	inherited bool   // its default is what another key says
	value     reflect.Value
	shape     shape
	item      *key // of list and names
	keys      []*key
}

// reader turns types into keys.
type reader struct {
	of       *kind
	comments comments
}

// read describes a whole file.
func read(root string, of *kind) (*key, error) {
	r := reader{of, comments{root: root, fields: map[string]map[string]string{}}}
	top := &key{of: of, value: of.value}
	if err := r.describe(top, top.value.Type()); err != nil {
		return nil, err
	}
	for _, h := range of.inherits {
		top.find(h.path).inherit(top.find(h.from), h.said)
	}
	return top, nil
}

// inherit says of the keys that another mapping has as well that they start from there.
func (k *key) inherit(from *key, said string) {
	for _, child := range k.keys {
		for _, other := range from.keys {
			if child.name == other.name {
				child.inherited, child.byDefault = true, said
				child.inherit(other, said)
			}
		}
	}
}

// describe fills in the shape of a key of a type, and what is inside.
func (r *reader) describe(k *key, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		k.shape = duration
	case strict.IsSecret(t):
		k.shape = secret
	case strict.Short(t):
		k.shape = either
		return r.fields(k, t)
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()), t.Kind() == reflect.String:
		k.shape = text
	case t.Kind() == reflect.Bool:
		k.shape = truth
	case reflect.Zero(t).CanInt(), reflect.Zero(t).CanUint():
		k.shape = whole
	case reflect.Zero(t).CanFloat():
		k.shape = fraction
	case t.Kind() == reflect.Interface, t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Interface:
		k.shape = anything
	case t.Kind() == reflect.Slice:
		k.shape = list
		return r.inside(k, t.Elem(), "[]")
	case t.Kind() == reflect.Map:
		k.shape = names
		return r.inside(k, t.Elem(), ".NAME")
	case t.Kind() == reflect.Struct:
		k.shape = keys
		return r.fields(k, t)
	default:
		return fmt.Errorf("%s: no shape for type %s", k.path, t)
	}
	return nil
}

func (r *reader) inside(k *key, t reflect.Type, suffix string) error {
	k.item = &key{of: r.of, path: k.path + suffix, value: r.of.start(t)}
	return r.describe(k.item, t)
}

// start is what a value of a type starts from where a list, a map or an optional key holds it.
func (k *kind) start(t reflect.Type) reflect.Value {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if value := k.defaultOf(t); value != nil {
		return reflect.ValueOf(value)
	}
	return reflect.Zero(t)
}

// subject is a comment that begins with a name and what it does, rather than with a thing of that name.
var subject = regexp.MustCompile(`^(\w+) (?:is|are|[a-z]+s|change|follow) `)

func (r *reader) fields(k *key, t reflect.Type) error {
	for _, f := range strict.Fields(t) {
		comment, err := r.comments.of(f.Owner, f.Go)
		if err != nil {
			return err
		}
		child := &key{of: r.of, name: f.Name, path: strings.TrimPrefix(k.path+"."+f.Name, "."), value: k.value.FieldByIndex(f.Index)}
		if child.what, child.byDefault, err = split(comment); err != nil {
			return fmt.Errorf("%s: %w", child.path, err)
		}
		if m := subject.FindStringSubmatch(child.what); m != nil && m[1] == f.Go {
			child.what = "`" + f.Name + "`" + child.what[len(f.Go):]
		}
		if f.Type.Kind() == reflect.Pointer {
			child.value = r.of.start(f.Type)
		}
		if err := r.describe(child, f.Type); err != nil {
			return err
		}
		k.keys = append(k.keys, child)
	}
	return nil
}

// find is the key at a generic path, nil if there is none.
func (k *key) find(path string) *key {
	if k.path == path {
		return k
	}
	if k.item != nil {
		return k.item.find(path)
	}
	for _, child := range k.keys {
		if found := child.find(path); found != nil {
			return found
		}
	}
	return nil
}
