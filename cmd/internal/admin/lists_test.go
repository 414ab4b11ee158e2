package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// read decodes an answer that must be 200.
func read[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var out T
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// problemOf decodes problem details of a status.
func problemOf(t *testing.T, w *httptest.ResponseRecorder, status int) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if w.Code != status || p.Status != status {
		t.Errorf("status %d, in the body %d, want %d", w.Code, p.Status, status)
	}
	return p
}

func TestAServiceShowsWhatItsResourcesAreMadeOf(t *testing.T) {
	b := admintest.New()
	b.Store.Apply(store.Change{Put: []*store.Resource{
		admintest.DestinationRule(t, "orders.mesh", "v1"),
		admintest.ServiceEntry(t, "orders.mesh", "10.0.0.1", "10.0.0.2"),
		admintest.ServiceEntry(t, "billing.mesh"),
	}, Open: true})
	list := read[api.List[api.Service]](t, b.Serve(t, api.ServicesPath))
	if list.Total != 2 || list.Items[0].Host != "billing.mesh" {
		t.Fatalf("services %+v", list)
	}
	changed := admintest.Now().Add(-60e9)
	want := api.Service{
		Host: "orders.mesh", Namespace: "registries", Subsets: []string{"v1"},
		Services:  []api.Ref{{Source: "orders", Scope: "services", Group: "blue", Name: "orders"}},
		Addresses: []string{"244.0.0.1"}, Endpoints: 2, Sources: []string{"orders"},
		Ports: []api.Port{{Number: 80, Name: "http", Protocol: "HTTP"}}, Slot: store.Slot("orders.mesh"), Changed: &changed,
		Resources: []string{"DestinationRule registries/orders.mesh", "ServiceEntry registries/orders.mesh"},
	}
	if diff := cmp.Diff(want, list.Items[1]); diff != "" {
		t.Error(diff)
	}
}

func TestOneServiceComesWithItsEndpointsObjectsAndRejections(t *testing.T) {
	b := admintest.New()
	b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "orders.mesh", "10.0.0.1")}, Open: true})
	b.SetRejected(
		api.Rejection{Source: "orders", Host: "orders.mesh", Instance: "10.0.0.9", Class: "port", Reason: "no port"},
		api.Rejection{Source: "orders", Host: "other.mesh", Instance: "x", Class: "port", Reason: "no port"},
	)
	got := read[api.ServiceDetail](t, b.Serve(t, api.ServicesPath+"/ORDERS.mesh"))
	want := []api.Endpoint{{Address: "10.0.0.1", Ports: map[string]uint32{"http": 8080}, Labels: map[string]string{"version": "v1"}}}
	if diff := cmp.Diff(want, got.Backends); diff != "" {
		t.Error(diff)
	}
	if len(got.Rejected) != 1 || got.Rejected[0].Instance != "10.0.0.9" {
		t.Errorf("rejected %+v", got.Rejected)
	}
	const object = `{"apiVersion":"networking.istio.io/v1","kind":"ServiceEntry","metadata":{"name":"orders.mesh","namespace":"registries","labels":{"app.kubernetes.io/managed-by":"meshbridge"}},"spec":{"addresses":["244.0.0.1"],"endpoints":[{"address":"10.0.0.1","labels":{"version":"v1"},"ports":{"http":8080}}],"hosts":["orders.mesh"],"location":"MESH_INTERNAL","ports":[{"name":"http","number":80,"protocol":"HTTP"}],"resolution":"STATIC"}}`
	if len(got.Objects) != 1 {
		t.Fatalf("%d objects", len(got.Objects))
	}
	if diff := cmp.Diff(object, string(got.Objects[0])); diff != "" {
		t.Error(diff)
	}
}

func TestAnUnknownHostIsNotFound(t *testing.T) {
	p := problemOf(t, admintest.New().Serve(t, api.ServicesPath+"/nobody.mesh"), http.StatusNotFound)
	if !strings.Contains(p.Detail, "nobody.mesh") {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestAHostOfWhichNothingIsServedIsListed(t *testing.T) {
	b := admintest.New()
	b.SetUnserved("lost.mesh")
	got := read[api.ServiceDetail](t, b.Serve(t, api.ServicesPath+"/lost.mesh"))
	if len(got.Resources) != 0 || got.Host != "lost.mesh" {
		t.Errorf("%+v", got)
	}
}

func TestPagesAddUpToTheWholeList(t *testing.T) {
	b := admintest.New()
	var want []string
	for i := range 23 {
		host := fmt.Sprintf("s%02d.mesh", i)
		b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, host), admintest.DestinationRule(t, host, "v1")}})
		want = append(want, "ServiceEntry "+host, "DestinationRule "+host)
	}
	var got []string
	target := api.ResourcesPath + "?limit=5"
	for {
		list := read[api.List[api.Resource]](t, b.Serve(t, target))
		if list.Total != 46 || len(list.Items) > 5 {
			t.Fatalf("total %d, %d on a page", list.Total, len(list.Items))
		}
		for _, r := range list.Items {
			got = append(got, r.Kind+" "+r.Name)
		}
		if list.Continue == "" {
			break
		}
		target = api.ResourcesPath + "?limit=5&continue=" + url.QueryEscape(list.Continue)
	}
	slices.Sort(want) // kinds, then names
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnItemThatLeavesBetweenPagesHidesNoOther(t *testing.T) {
	b := admintest.New()
	for _, host := range []string{"a.mesh", "b.mesh", "c.mesh", "d.mesh"} {
		b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, host)}})
	}
	first := read[api.List[api.Service]](t, b.Serve(t, api.ServicesPath+"?limit=2"))
	gone := store.Removal{Key: store.Key{Kind: store.ServiceEntry, Name: "registries/b.mesh"}, Host: "b.mesh"}
	b.Store.Apply(store.Change{Remove: []store.Removal{gone}})
	second := read[api.List[api.Service]](t, b.Serve(t, api.ServicesPath+"?limit=2&continue="+first.Continue))
	if len(second.Items) != 2 || second.Items[0].Host != "c.mesh" || second.Continue != "" {
		t.Errorf("second page %+v", second)
	}
}

func TestResourcesAreFiltered(t *testing.T) {
	b := admintest.New()
	b.Store.Apply(store.Change{Put: []*store.Resource{
		admintest.ServiceEntry(t, "a.mesh"), admintest.ServiceEntry(t, "b.mesh"), admintest.DestinationRule(t, "a.mesh", "v1"),
	}})
	for query, want := range map[string]int{
		"": 3, "kind=serviceentry": 2, "namespace=registries": 3, "namespace=other": 0, "source=orders": 3, "source=x": 0,
		"name=a.mesh": 2, "name=registries/a.mesh": 2, "kind=DestinationRule&name=b.mesh": 0,
	} {
		if list := read[api.List[api.Resource]](t, b.Serve(t, api.ResourcesPath+"?"+query)); list.Total != want {
			t.Errorf("%q: %d resources, want %d", query, list.Total, want)
		}
	}
}

func TestAWrongQueryIsRefusedWithWhatWouldBeRight(t *testing.T) {
	b := admintest.New()
	for target, want := range map[string]string{
		api.ResourcesPath + "?kin=x":        "known are continue, kind, limit, name, namespace, object, source",
		api.ResourcesPath + "?kind=Gateway": "ServiceEntry, DestinationRule, VirtualService",
		api.ResourcesPath + "?object=maybe": "neither true nor false",
		api.ServicesPath + "?limit=0":       "not a positive number",
		api.ServicesPath + "?limit=many":    "not a positive number",
		api.ServicesPath + "?continue=%25":  "no token that a list returned",
		api.HealthPath + "?a=b":             "there are none here",
	} {
		if p := problemOf(t, b.Serve(t, target), http.StatusBadRequest); !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %q lacks %q", target, p.Detail, want)
		}
	}
}

func TestFaultsOfASourceAreRejections(t *testing.T) {
	b := admintest.New()
	src := admintest.Healthy("orders")
	src.Scopes[0].Faults = []sources.Fault{{Where: "a.yaml:3", Reason: "not a list"}}
	b.SetSources(src)
	b.SetRejected(api.Rejection{Source: "dubbo", Instance: "10.0.0.1", Class: "port", Reason: "none"})
	got := read[api.List[api.Rejection]](t, b.Serve(t, api.RejectedPath))
	want := []api.Rejection{
		{Source: "dubbo", Instance: "10.0.0.1", Class: "port", Reason: "none"},
		{Source: "orders", Instance: "a.yaml:3", Class: "read", Reason: "not a list"},
	}
	if diff := cmp.Diff(want, got.Items); diff != "" {
		t.Error(diff)
	}
}
