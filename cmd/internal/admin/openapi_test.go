package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"meshbridge/cmd/internal/admin"
	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// document is the OpenAPI document as the bridge serves it.
func document(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := yaml.UnmarshalStrict(admintest.New().Serve(t, api.OpenAPIPath).Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at follows keys and references into the document.
func at(doc map[string]any, node any, path ...string) any {
	for _, key := range path {
		node = deref(doc, node).(map[string]any)[key]
	}
	return deref(doc, node)
}

func deref(doc map[string]any, node any) any {
	m, _ := node.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return node
	}
	return at(doc, doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

func TestEveryRouteAndParameterIsDocumentedAndNoOther(t *testing.T) {
	doc := document(t)
	documented := map[string][]string{}
	for path, methods := range doc["paths"].(map[string]any) {
		for method := range methods.(map[string]any) {
			route := path
			if method != "get" {
				route = strings.ToUpper(method) + " " + path
			}
			documented[route] = nil
			parameters, _ := at(doc, doc, "paths", path, method, "parameters").([]any)
			for _, p := range parameters {
				if at(doc, p, "in") == "query" {
					documented[route] = append(documented[route], at(doc, p, "name").(string))
				}
			}
			slices.Sort(documented[route])
		}
	}
	s, err := admin.New(admintest.New().Options())
	if err != nil {
		t.Fatal(err)
	}
	served := s.Routes()
	// A page for people and the profiles of Go are not part of the API.
	maps.DeleteFunc(served, func(path string, _ []string) bool { return path == "/{$}" || strings.HasPrefix(path, "/debug/") })
	for _, query := range served {
		slices.Sort(query)
	}
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("served (-) and documented (+):\n%s", diff)
	}
}

func TestEveryReferenceLeadsSomewhereAndEverySchemaIsUsed(t *testing.T) {
	doc := document(t)
	used := map[string]bool{}
	var walk func(node any)
	walk = func(node any) {
		switch v := node.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && !used[ref] {
				used[ref] = true
				if deref(doc, v) == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(doc)
	for _, kind := range []string{"schemas", "parameters", "responses"} {
		for name := range at(doc, doc, "components", kind).(map[string]any) {
			if ref := "#/components/" + kind + "/" + name; !used[ref] {
				t.Errorf("%s is not used", ref)
			}
		}
	}
}

func TestAnswersAreAsDocumented(t *testing.T) {
	b := full(t)
	doc := document(t)
	for target, path := range map[string]string{
		api.SourcesPath:                            api.SourcesPath,
		api.ServicesPath + "?limit=1":              api.ServicesPath,
		api.ServicesPath + "/orders.mesh":          api.ServicesPath + "/{host}",
		api.ResourcesPath + "?object=true&limit=2": api.ResourcesPath,
		api.ClientsPath:                            api.ClientsPath,
		api.RejectedPath:                           api.RejectedPath,
		api.CanariesPath:                           api.CanariesPath,
	} {
		w := b.Serve(t, target)
		schema := at(doc, doc, "paths", path, "get", "responses", "200", "content", "application/json", "schema")
		conform(t, doc, schema, w.Body.Bytes(), target)
	}
	for _, target := range []string{api.ServicesPath + "/nobody", api.ReadyPath} {
		w := admintest.New().Serve(t, target)
		conform(t, doc, at(doc, doc, "components", "schemas", "Problem"), w.Body.Bytes(), target)
	}
	released := b.Do(t, http.MethodPost, api.ReleasePath("orders"))
	conform(t, doc, at(doc, doc, "paths", "/api/v1/sources/{name}/release", "post", "responses", "200", "content", "application/json", "schema"), released.Body.Bytes(), "a release")
	previewed := b.Post(t, http.MethodPost, api.PreviewPath+"?file=echo.yaml", "echo")
	conform(t, doc, at(doc, doc, "paths", api.PreviewPath, "post", "responses", "200", "content", "application/json", "schema"), previewed.Body.Bytes(), "a preview")
	lost := admintest.Canary("lost", "blue", "orders.mesh", 50)
	lost.State = convert.CanaryLastGood
	b.SetCanaries(lost)
	forgotten := b.Do(t, http.MethodDelete, api.CanaryPath("lost"))
	conform(t, doc, at(doc, doc, "components", "schemas", "Forgotten"), forgotten.Body.Bytes(), "a document that is forgotten")
	refused := b.Post(t, http.MethodPost, api.PreviewPath, "echo: 1")
	conform(t, doc, at(doc, doc, "components", "schemas", "Problem"), refused.Body.Bytes(), "a preview of a document with a fault")
	event := api.Event{Op: api.Added, Generation: 1, Open: true, Resource: &api.Resource{Kind: "ServiceEntry", Sources: []string{}}}
	raw, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	conform(t, doc, at(doc, doc, "components", "schemas", "Event"), raw, "an event")
}

// full is a bridge of which every optional field has a value.
func full(t *testing.T) *admintest.Bridge {
	b := admintest.New()
	src := admintest.Healthy("orders")
	src.Err, src.Scopes[0].Err = "lost", "lost"
	src.Scopes[0].Held = &sources.Held{Instances: 12, Services: 3, Most: 20, Now: 8, Since: admintest.Now(), Until: admintest.Now()}
	src.Scopes[0].Faults = []sources.Fault{{Where: "a.yaml", Reason: "broken"}}
	b.SetSources(src)
	b.Store.Apply(store.Change{Put: []*store.Resource{
		admintest.ServiceEntry(t, "orders.mesh", "10.0.0.1"), admintest.DestinationRule(t, "orders.mesh", "v1"),
		admintest.ServiceEntry(t, "billing.mesh", "10.0.0.2"),
	}})
	c := admintest.Client("istiod-0", "mesh-0-of-2", "0-of-2", 1)
	at := admintest.Now()
	c.View, c.Revision, c.IstioVersion = "gold", "canary", "1.31"
	k := &c.Kinds[0]
	k.Sent, k.SentAt, k.Acked, k.AckedAt, k.InFlightSince, k.Nack, k.Waiting = "2", &at, "1", &at, &at, "refused", "the gate"
	k.HeldCount, k.Held = 1, []mcpserver.Held{{Name: "a/b", Reason: "needs c", Due: &at}}
	b.SetClients(c)
	b.SetRejected(api.Rejection{Source: "orders", Service: "Orders", Host: "orders.mesh", Instance: "x", Class: "port", Reason: "none"})
	b.SetUnserved("lost.mesh")
	doc := admintest.Canary("echo", "blue", "orders.mesh", 50)
	doc.Faults = []canary.Fault{{Path: "canaries[0].version", Text: "v9 is unknown"}}
	doc.Findings = []convert.CanaryFinding{{Class: convert.FindingEmpty, Warning: true, Host: "orders.mesh", Text: "v2 has no endpoint"}}
	doc.Services[0].Routes[0].Status = 404
	unread := convert.CanaryView{File: "broken.yaml", State: convert.CanaryHeld}
	b.SetCanaries(unread, doc)
	waiting := admintest.WaitingFor("orders.mesh")
	waiting.Kinds[1].Held[0].Due = &at
	b.SetClients(c, waiting)
	b.SetPreview(convert.CanaryChange{Key: doc.Resources[0], Before: admintest.DestinationRule(t, "orders.mesh", "v1"), After: admintest.DestinationRule(t, "orders.mesh", "v2")})
	return b
}

func conform(t *testing.T, doc map[string]any, schema any, raw []byte, where string) {
	t.Helper()
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	for _, fault := range faults(doc, schema, value, "$") {
		t.Errorf("%s: %s", where, fault)
	}
}

// faults lists what is wrong with a value by a schema. It knows the words of JSON Schema that the document uses.
func faults(doc map[string]any, node, value any, path string) []string {
	schema := deref(doc, node).(map[string]any)
	var bad []string
	if kind, ok := schema["type"].(string); ok && typeOf(value) != kind && !(kind == "number" && typeOf(value) == "integer") {
		return []string{fmt.Sprintf("%s is %s, not %s", path, typeOf(value), kind)}
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, value) {
		bad = append(bad, fmt.Sprintf("%s: %v is none of %v", path, value, enum))
	}
	switch v := value.(type) {
	case []any:
		for i, item := range v {
			bad = append(bad, faults(doc, schema["items"], item, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case map[string]any:
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				bad = append(bad, fmt.Sprintf("%s lacks %v", path, name))
			}
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, item := range v {
			if property, ok := properties[name]; ok {
				bad = append(bad, faults(doc, property, item, path+"."+name)...)
			} else if schema["additionalProperties"] == false {
				bad = append(bad, fmt.Sprintf("%s.%s is not documented", path, name))
			}
		}
	}
	slices.Sort(bad)
	return bad
}

func typeOf(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	}
	return "object"
}
