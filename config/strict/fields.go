package strict

import (
	"reflect"
	"strings"
)

// Field is one key of a struct in its document.
type Field struct {
	Name  string // the key
	Index []int  // for reflect's FieldByIndex
	Type  reflect.Type
	Owner reflect.Type // the struct that declares it, which differs where structs are inline
	Go    string       // its name in Owner
}

// Fields lists the keys of a struct in the order of their declaration, inline structs in place.
func Fields(t reflect.Type) []Field {
	var fields []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if strings.Contains(","+options+",", ",inline,") {
			for _, in := range Fields(f.Type) {
				in.Index = append([]int{i}, in.Index...)
				fields = append(fields, in)
			}
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		fields = append(fields, Field{Name: name, Index: []int{i}, Type: f.Type, Owner: t, Go: f.Name})
	}
	return fields
}

func fieldNamed(t reflect.Type, name string) (Field, bool) {
	for _, f := range Fields(t) {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}
