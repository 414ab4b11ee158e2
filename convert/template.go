package convert

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/template"

	"meshbridge/sources"
)

// fields are what a template may name.
type fields struct {
	Service    string
	Group      string
	Namespace  string
	Domain     string
	Version    string
	Datacenter string
	Metadata   map[string]string
}

func fieldsOf(s *sources.Service, domain string, metadata map[string]string) fields {
	return fields{
		Service:    s.Name,
		Group:      s.Group,
		Namespace:  s.Namespace,
		Domain:     domain,
		Version:    s.Key.Version,
		Datacenter: s.Datacenter,
		Metadata:   metadata,
	}
}

// tmpl is a compiled template. One without Metadata is evaluated once per service rather than per instance.
type tmpl struct {
	t           *template.Template
	perInstance bool
}

// parseTemplate compiles a template and tries it, so that a field that does not exist is found now.
func parseTemplate(text string) (*tmpl, error) {
	t, err := template.New("").Option("missingkey=zero").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no template: %s", text, strings.TrimPrefix(err.Error(), "template: "))
	}
	compiled := &tmpl{t: t, perInstance: strings.Contains(text, "Metadata")}
	sample := fields{Service: "service", Group: "group", Namespace: "namespace", Domain: "domain", Version: "1", Datacenter: "dc"}
	if _, err := compiled.eval(sample); err != nil && strings.Contains(err.Error(), "can't evaluate field") {
		return nil, fmt.Errorf("%q names a field other than Service, Group, Namespace, Domain, Version, Datacenter and Metadata: %w", text, err)
	}
	return compiled, nil
}

// maxTemplated bounds what a template may write, in bytes.
const maxTemplated = 4096

func (t *tmpl) eval(f fields) (string, error) {
	if !t.perInstance {
		f.Metadata = nil
	}
	var b bounded
	if err := t.t.Execute(&b, f); err != nil {
		return "", fmt.Errorf("evaluate the template: %s", strings.TrimPrefix(err.Error(), "template: "))
	}
	return b.String(), nil
}

// bounded is a string builder that refuses to grow beyond maxTemplated.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTemplated {
		return 0, fmt.Errorf("the result is longer than %d bytes", maxTemplated)
	}
	return b.Builder.Write(p)
}

func checkTemplate(f *faults, path, text string) {
	if text == "" {
		return
	}
	if _, err := parseTemplate(text); err != nil {
		f.add(path, "%s", err)
	}
}

func marshalJSON(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("is no JSON: %w", err)
	}
	return raw, nil
}
