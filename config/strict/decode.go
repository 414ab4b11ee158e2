package strict

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The limits of one document, far above any that somebody wrote, so that aliases of aliases cannot fill the memory.
const (
	maxDepth  = 64
	maxValues = 1 << 20
)

// Options is what a decoder asks of the world around the document.
type Options struct {
	// Env looks up the NAME of a ${NAME}; nil knows no names.
	Env func(name string) (value string, set bool)
	// Read gives the content of the PATH of a secret's file:PATH; nil refuses such references.
	Read func(path string) ([]byte, error)
	// Default gives the value (a T) that a struct type T starts from where a list, a map or a pointer holds it; nil or a
	// nil answer means T's zero value.
	Default func(t reflect.Type) any
	// Later lists keys that are no typing errors though nothing here reads them yet, such as sources[].consul, and says why.
	Later map[string]string
	// Before is how many lines of the file stand before the document.
	Before int
	// Verbatim takes ${NAME} as the text that it is.
	Verbatim bool
	// Values is how many values the document may have, aliases included. Default 1<<20.
	Values int
	// Faults is how many faults are told before decoding ends with one that says so; 0 for all of them.
	Faults int
}

// Decode reads the document into a pointer to a struct, which holds the defaults already. What has a fault keeps its
// default. The Document is never nil; it finds the lines of faults that are noticed later.
func Decode(name string, data []byte, into any, opts Options) (*Document, Faults) {
	target := reflect.ValueOf(into).Elem()
	doc := &Document{name: name, shape: target.Type()}
	root, fault := parse(name, data)
	if fault != nil {
		if fault.Line > 0 {
			fault.Line += opts.Before
		}
		doc.faults = Faults{*fault}
		return doc, doc.faults
	}
	shift(root, opts.Before)
	doc.root = root
	d := &decoder{opts: opts, doc: doc, most: cmp.Or(opts.Values, maxValues)}
	d.value(root, target, "")
	doc.faults = doc.faults.sorted()
	return doc, doc.faults
}

// shift moves a node down by a number of lines.
func shift(n *yaml.Node, lines int) {
	if lines == 0 {
		return
	}
	n.Line += lines
	for _, inner := range n.Content {
		shift(inner, lines)
	}
}

type decoder struct {
	opts   Options
	doc    *Document
	most   int // values
	values int // so far, those reached through aliases counted again
	depth  int
	full   bool // a limit was met, and told
}

func (d *decoder) fault(n *yaml.Node, path, wrong, right string) {
	if d.full {
		return
	}
	fault := Fault{File: d.doc.name, Line: n.Line, Path: path, Wrong: wrong, Right: right}
	if d.opts.Faults > 0 && len(d.doc.faults) == d.opts.Faults {
		d.stop()
		fault.Path, fault.Wrong, fault.Right = "", fmt.Sprintf("has more than %d faults", d.opts.Faults), "mend the first ones, and look again"
	}
	d.doc.faults = append(d.doc.faults, fault)
}

// stop ends decoding: what comes next is not told of and keeps its default.
func (d *decoder) stop() { d.full, d.doc.cut = true, true }

// enter counts a value and says whether to go on into it; leave goes with every enter.
func (d *decoder) enter(n *yaml.Node, path string) bool {
	d.depth++
	d.values++
	if d.depth > maxDepth || d.values > d.most {
		d.fault(n, shorten(path), "nests too deep or repeats itself too often",
			fmt.Sprintf("at most %d levels and %d values, aliases included", maxDepth, d.most))
		d.stop()
	}
	return !d.full
}

func (d *decoder) leave() { d.depth-- }

func shorten(path string) string {
	if len(path) > 100 {
		return path[:strings.LastIndexAny(path[:100], ".[")]
	}
	return path
}

// value decodes a node into a settable value.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	defer d.leave()
	if !d.enter(n, path) {
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if empty(n) {
		d.fault(n, path, "is empty", "give it "+wanted(v.Type())+", or leave the key out")
		return
	}
	if v.Kind() == reflect.Pointer {
		fresh := reflect.New(v.Type().Elem())
		d.setDefault(fresh.Elem())
		told := len(d.doc.faults)
		d.value(n, fresh.Elem(), path)
		if !slices.ContainsFunc(d.doc.faults[told:], func(f Fault) bool { return f.Path == path }) {
			v.Set(fresh) // perhaps with faults inside, but there
		}
		return
	}
	if d.special(n, v, path) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Interface:
		if value := d.any(n, path); value != nil {
			v.Set(reflect.ValueOf(value))
		}
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) setDefault(v reflect.Value) {
	if d.opts.Default == nil {
		return
	}
	if value := d.opts.Default(v.Type()); value != nil {
		v.Set(reflect.ValueOf(value))
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, v.Type(), path)
		return
	}
	fields := Fields(v.Type())
	known := make([]string, len(fields))
	byName := make(map[string]Field, len(fields))
	for i, f := range fields {
		known[i], byName[f.Name] = f.Name, f
	}
	for _, p := range d.pairs(n, path) {
		if d.full {
			return
		}
		at := Child(path, p.name)
		if f, ok := byName[p.name]; ok {
			d.value(p.value, v.FieldByIndex(f.Index), at)
			continue
		}
		if why, ok := d.opts.Later[generic(at)]; ok {
			d.fault(p.key, at, why, "leave it out")
			continue
		}
		d.fault(p.key, at, "unknown key", unknownKey(p.name, known))
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode || v.Type().Key().Kind() != reflect.String {
		d.wrongType(n, v.Type(), path)
		return
	}
	m := reflect.MakeMap(v.Type())
	for _, p := range d.pairs(n, path) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.setDefault(item)
		d.value(p.value, item, Child(path, p.name))
		m.SetMapIndex(reflect.ValueOf(p.name).Convert(v.Type().Key()), item)
	}
	v.Set(m)
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, v.Type(), path)
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		if d.full {
			break
		}
		d.setDefault(list.Index(i))
		d.value(item, list.Index(i), Item(path, i))
	}
	v.Set(list)
}

// any decodes what has no type of its own: map[string]any, []any, string, int64, float64 or bool.
func (d *decoder) any(n *yaml.Node, path string) any {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for _, p := range d.pairs(n, path) {
			m[p.name] = d.item(p.value, Child(path, p.name))
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			if d.full {
				break
			}
			list = append(list, d.item(item, Item(path, i)))
		}
		return list
	}
	return d.anyScalar(n, path)
}

func (d *decoder) item(n *yaml.Node, path string) any {
	defer d.leave()
	if !d.enter(n, path) {
		return nil
	}
	return d.any(n, path)
}

// pair is one key of a mapping with its value.
type pair struct {
	name       string
	key, value *yaml.Node
}

// pairs lists a mapping in its order. Keys of merged mappings (<<) come last, unless the mapping itself has them.
func (d *decoder) pairs(n *yaml.Node, path string) []pair {
	d.values += len(n.Content) / 2
	var list []pair
	var merges []*yaml.Node
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !d.full; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			merges = append(merges, value)
			continue
		case key.Kind != yaml.ScalarNode || empty(key):
			d.fault(key, path, "has a key that is no text", "a name before the colon")
			continue
		}
		if line, twice := lines[key.Value]; twice {
			d.fault(key, Child(path, key.Value), "duplicate key", fmt.Sprintf("it stands on line %d already; keep one", line))
			continue
		}
		lines[key.Value] = key.Line
		list = append(list, pair{key.Value, key, value})
	}
	for _, merge := range merges {
		for _, p := range d.merged(merge, path) {
			if _, own := lines[p.name]; !own {
				lines[p.name] = p.key.Line
				list = append(list, p)
			}
		}
	}
	return list
}

// merged lists the keys of what a << names: a mapping or a list of mappings.
func (d *decoder) merged(n *yaml.Node, path string) []pair {
	defer d.leave()
	if !d.enter(n, path) {
		return nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		return d.pairs(n, path)
	case yaml.SequenceNode:
		var list []pair
		for _, item := range n.Content {
			list = append(list, d.merged(item, path)...)
		}
		return list
	}
	d.fault(n, Child(path, "<<"), "merges what is no mapping", "an alias of a mapping, such as <<: *common")
	return nil
}
