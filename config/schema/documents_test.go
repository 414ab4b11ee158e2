package schema

import (
	"errors"
	"strings"
	"testing"

	"meshbridge/config/canaries"
	"meshbridge/convert"
)

// judge reads a text as a file of documents.
func judge(text string) error {
	var all []error
	for _, e := range canaries.Parse(convert.Default(), "example", []byte(text)) {
		for _, f := range e.Faults {
			all = append(all, errors.New(f.Text))
		}
	}
	return errors.Join(all...)
}

func TestEveryExampleIsAValidDocumentAndTheSchemaTakesIt(t *testing.T) {
	schema := parsed(t, documents())
	for name, text := range texts(t, "examples/documents/*.yaml") {
		if err := judge(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if faults := schema.check(yamlValue(t, text)); faults != nil {
			t.Errorf("%s: the schema refuses %v", name, faults)
		}
	}
	for _, fallback := range []string{"primary", "failover", "none"} {
		if text := "{name: a, services: [a.b], fallback: " + fallback + "}"; judge(text) != nil || schema.check(yamlValue(t, text)) != nil {
			t.Errorf("%s is refused", text)
		}
	}
}

func TestTheSchemaOfDocumentsRefusesWhatTheReaderRefuses(t *testing.T) {
	schema := parsed(t, documents())
	for _, more := range []string{
		"weight: 5", "primary: [v1]", "primary: {version: v1}", "primary: {}", "fallback: maybe", "canaries: [{weight: ten, version: v2}]",
		"canaries: [v2]", "canaries: [{}]", "canaries: [{version: v2, name: b, labels: {a: b}}]", "canaries: [{version: v2, headers: [a]}]",
		"canaries: [{version: v2, headers: {a: {exakt: b}}}]", "canaries: [{version: v2, headers: {a: {prefix: b, regex: c}}}]",
		"from: web", "expose: [{}]", "expose: [{gateway: a/b, delegate: c}]", "expose: [{gateway: a/b, colour: [{}]}]",
		"expose: [{gateway: a/b, colour: [{set: {a: {exact: b}}}]}]",
	} {
		text := "{name: a, services: [a.b], " + more + "}"
		if judge(text) == nil {
			t.Errorf("the reader takes %s", text)
		}
		if schema.check(yamlValue(t, text)) == nil {
			t.Errorf("the schema takes %s", text)
		}
	}
	for _, path := range documents().needed[:2] {
		text := strings.Replace("{name: a, services: [a.b], label: c}", map[string]string{"name": "name: a, ", "services": "services: [a.b], "}[path], "", 1)
		if judge(text) == nil || schema.check(yamlValue(t, text)) == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
