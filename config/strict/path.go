package strict

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// Child is the path of a key below a path.
func Child(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// Item is the path of a list's item below a path.
func Item(path string, index int) string { return path + "[" + strconv.Itoa(index) + "]" }

// step is one step of a path: into a key, or into an item.
type step struct {
	key   string
	index int // -1 for a key
}

func (s step) below(path string) string {
	if s.index >= 0 {
		return Item(path, s.index)
	}
	return Child(path, s.key)
}

var stepForm = regexp.MustCompile(`^(?:\[(\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\]|\.?([A-Za-z_][A-Za-z0-9_-]*))`)

// first is the first step of a path and its length, 0 if no path begins there.
func first(path string) (step, int) {
	m := stepForm.FindStringSubmatch(path)
	switch {
	case m == nil:
		return step{}, 0
	case m[1] != "":
		i, err := strconv.Atoi(m[1])
		if err != nil {
			return step{}, 0
		}
		return step{index: i}, len(m[0])
	case m[2] != "":
		key, err := strconv.Unquote(m[2])
		if err != nil {
			return step{}, 0
		}
		return step{key: key, index: -1}, len(m[0])
	}
	return step{key: m[3], index: -1}, len(m[0])
}

// steps takes a path apart; ok is false if it is no path.
func steps(path string) (list []step, ok bool) {
	for path != "" {
		s, length := first(path)
		if length == 0 {
			return nil, false
		}
		list, path = append(list, s), path[length:]
	}
	return list, true
}

// generic is a path without the numbers of its items: sources[].name.
func generic(path string) string {
	list, ok := steps(path)
	if !ok {
		return path
	}
	out := ""
	for _, s := range list {
		if s.index >= 0 {
			out += "[]"
		} else {
			out = Child(out, s.key)
		}
	}
	return out
}

// reach follows a path through a type as far as it leads, and gives what is left of it. Behind a map of plain values the
// rest of a path is one key, whatever characters it has.
func reach(t reflect.Type, path string) (list []step, rest string) {
	for path != "" {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		s, length := first(path)
		if t.Kind() == reflect.Map && (length == 0 || plain(t.Elem())) && path[0] != '[' {
			s, length = step{key: strings.TrimPrefix(path, "."), index: -1}, len(path)
		}
		var ok bool
		if t, ok = stepInto(t, s); !ok || length == 0 {
			break
		}
		list, path = append(list, s), path[length:]
	}
	return list, strings.TrimPrefix(path, ".")
}

// stepInto is the type of what a step leads to.
func stepInto(t reflect.Type, s step) (reflect.Type, bool) {
	switch {
	case t.Kind() == reflect.Interface:
		return t, true
	case s.index >= 0 && t.Kind() == reflect.Slice, s.index < 0 && t.Kind() == reflect.Map:
		return t.Elem(), true
	case s.index < 0 && t.Kind() == reflect.Struct:
		f, ok := fieldNamed(t, s.key)
		return f.Type, ok
	}
	return nil, false
}

func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Map, reflect.Slice, reflect.Struct, reflect.Pointer, reflect.Interface:
		return false
	}
	return true
}

// lead splits an error's text into what may be the path that leads it and the rest, as in "mcp.quiet: is negative".
func lead(text string) (path, rest string) {
	before, after, found := strings.Cut(text, ": ")
	if _, length := first(before); !found || length == 0 || strings.ContainsAny(before, " \t\n") {
		return "", text
	}
	return before, after
}
