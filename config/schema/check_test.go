package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// checker applies a JSON Schema, as far as the generated one goes; other keywords fail the test.
type checker struct {
	t    *testing.T
	root map[string]any
}

func parsed(t *testing.T, of *kind) *checker {
	t.Helper()
	top, err := read(root, of)
	if err != nil {
		t.Fatal(err)
	}
	data, err := jsonSchema(top)
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{t: t}
	if err := json.Unmarshal(data, &c.root); err != nil {
		t.Fatal(err)
	}
	return c
}

func yamlValue(t *testing.T, text string) any {
	t.Helper()
	var raw any
	if err := yaml.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// check lists what of a value the schema refuses.
func (c *checker) check(value any) []string { return c.at(c.root, value, "") }

func (c *checker) at(schema map[string]any, value any, path string) []string {
	var faults []string
	for keyword, rule := range schema {
		faults = append(faults, c.keyword(schema, keyword, rule, value, path)...)
	}
	slices.Sort(faults)
	return faults
}

func (c *checker) keyword(schema map[string]any, keyword string, rule, value any, path string) []string {
	refused := []string{fmt.Sprintf("%s: %v is not of %s %v", path, value, keyword, rule)}
	fields, isObject := value.(map[string]any)
	switch keyword {
	case "$schema", "title", "description", "default", "$defs":
		return nil
	case "$ref":
		defs := c.root["$defs"].(map[string]any)
		return c.at(defs[rule.(string)[len("#/$defs/"):]].(map[string]any), value, path)
	case "type":
		if types, ok := rule.([]any); ok && slices.ContainsFunc(types, func(t any) bool { return isType(t.(string), value) }) {
			return nil
		}
		if name, ok := rule.(string); ok && isType(name, value) {
			return nil
		}
		return refused
	case "const":
		if reflect.DeepEqual(rule, value) {
			return nil
		}
		return refused
	case "enum":
		if slices.Contains(rule.([]any), value) {
			return nil
		}
		return refused
	case "pattern":
		if s, ok := value.(string); !ok || regexp.MustCompile(rule.(string)).MatchString(s) {
			return nil
		}
		return refused
	case "minimum", "maximum":
		if n, ok := value.(float64); ok && (keyword == "minimum" && n < rule.(float64) || keyword == "maximum" && n > rule.(float64)) {
			return refused
		}
		return nil
	case "anyOf", "oneOf":
		fit := 0
		for _, option := range rule.([]any) {
			if c.at(option.(map[string]any), value, path) == nil {
				fit++
			}
		}
		if fit == 1 || fit > 1 && keyword == "anyOf" {
			return nil
		}
		return refused
	case "required":
		for _, name := range rule.([]any) {
			if _, ok := fields[name.(string)]; isObject && !ok {
				return refused
			}
		}
		return nil
	case "items":
		var faults []string
		items, _ := value.([]any)
		for i, item := range items {
			faults = append(faults, c.at(rule.(map[string]any), item, fmt.Sprintf("%s[%d]", path, i))...)
		}
		return faults
	case "properties":
		var faults []string
		for name, inner := range rule.(map[string]any) {
			if field, ok := fields[name]; ok {
				faults = append(faults, c.at(inner.(map[string]any), field, path+"."+name)...)
			}
		}
		return faults
	case "additionalProperties":
		return c.additional(schema, rule, fields, path)
	}
	c.t.Fatalf("keyword %s is not known here", keyword)
	return nil
}

func (c *checker) additional(schema map[string]any, rule any, fields map[string]any, path string) []string {
	var faults []string
	known, _ := schema["properties"].(map[string]any)
	for name, field := range fields {
		if _, ok := known[name]; ok {
			continue
		}
		if inner, ok := rule.(map[string]any); ok {
			faults = append(faults, c.at(inner, field, path+"."+name)...)
		} else {
			faults = append(faults, path+"."+name+": unknown")
		}
	}
	return faults
}

func isType(name string, value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return name == "object"
	case []any:
		return name == "array"
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case float64:
		return name == "number" || name == "integer" && v == math.Trunc(v)
	}
	return false
}
