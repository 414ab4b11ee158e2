package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/cmd/internal/admin"
	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
)

// states maps the names of the documents that a query lists to their states.
func states(t *testing.T, b *admintest.Bridge, query string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, c := range read[api.List[api.Canary]](t, b.Serve(t, api.CanariesPath+query)).Items {
		got[c.Name] = c.State
	}
	return got
}

func TestADocumentWaitsForAClientThatHasJustComeAndSeesOneOfItsHosts(t *testing.T) {
	slot := store.Slot("orders.mesh")
	for shard, want := range map[string]string{"": "waiting", "0-of-2": map[int]string{0: "waiting", 1: "serving"}[slot%2], "1-of-2": map[int]string{0: "serving", 1: "waiting"}[slot%2]} {
		b := admintest.New()
		b.SetCanaries(admintest.Canary("echo", "blue", "orders.mesh", 50))
		c := admintest.Client("istiod-0", "mesh", shard, 0)
		c.Kinds = append(c.Kinds, mcpserver.ClientKind{Kind: "VirtualService", Waiting: "until later"})
		b.SetClients(c)
		if got := states(t, b, "")["echo"]; got != want {
			t.Errorf("shard %q: %s, want %s", shard, got, want)
		}
	}
}

func TestDocumentsAreFilteredByStateAndTeam(t *testing.T) {
	b := admintest.New()
	held := convert.CanaryView{File: "x.yaml", Team: "red", State: convert.CanaryHeld}
	b.SetCanaries(held, admintest.Canary("echo", "blue", "echo.mesh", 50), admintest.Canary("foxtrot", "red", "foxtrot.mesh", 0))
	for query, want := range map[string]map[string]string{
		"?state=held": {"": "held"}, "?team=red": {"": "held", "foxtrot": "serving"}, "?team=red&state=serving": {"foxtrot": "serving"}, "?team=green": {},
	} {
		if diff := cmp.Diff(want, states(t, b, query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	if p := problemOf(t, b.Serve(t, api.CanariesPath+"?state=fine"), http.StatusBadRequest); !strings.Contains(p.Detail, "serving, waiting") {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestAPreviewShowsTheObjectsBeforeAndAfter(t *testing.T) {
	b := admintest.New()
	rule, route := admintest.DestinationRule(t, "orders.mesh", "v1"), admintest.VirtualService(t, "orders.mesh", "v1")
	b.SetPreview(convert.CanaryChange{Key: rule.Key, Before: rule}, convert.CanaryChange{Key: route.Key, After: route})
	got := read[api.Preview](t, b.Post(t, http.MethodPost, api.PreviewPath, "echo")).Changes
	if len(got) != 2 || got[0].Kind != "DestinationRule" || got[0].After != "" || !strings.Contains(got[0].Before, "host: orders.mesh") {
		t.Errorf("%+v", got)
	}
	if got[1].Before != "" || !strings.HasPrefix(got[1].After, "apiVersion: networking.istio.io/v1\nkind: VirtualService\n") || got[1].Name != "registries/orders.mesh" {
		t.Errorf("%+v", got[1])
	}
	if none := read[api.Preview](t, admintest.New().Post(t, http.MethodPost, api.PreviewPath, "echo")).Changes; none == nil || len(none) != 0 {
		t.Errorf("%+v, want an empty list", none)
	}
}

func TestAPreviewOfADocumentWithFaultsListsThem(t *testing.T) {
	p := problemOf(t, admintest.New().Post(t, http.MethodPost, api.PreviewPath+"?file=echo.yaml", "echo: 1"), http.StatusUnprocessableEntity)
	want := []api.DocumentFault{{Document: "echo: 1", Path: "name", Text: "echo.yaml:1: echo: 1 is no name"}}
	if diff := cmp.Diff(want, p.Faults); diff != "" {
		t.Error(diff)
	}
}

func TestAPreviewOfADocumentThatWouldNotComeIntoForceSaysWhy(t *testing.T) {
	b := admintest.New()
	b.SetRefused("echo", canary.Fault{Path: "canaries[0].version", Text: "v9 is unknown"})
	p := problemOf(t, b.Post(t, http.MethodPost, api.PreviewPath, "echo"), http.StatusUnprocessableEntity)
	if diff := cmp.Diff([]api.DocumentFault{{Document: "echo", Path: "canaries[0].version", Text: "v9 is unknown"}}, p.Faults); diff != "" {
		t.Error(diff)
	}
}

func TestAPreviewTakesOnlyAPostOfOurOwnAndOfAFilesSize(t *testing.T) {
	b := admintest.New()
	if w := b.Serve(t, api.PreviewPath); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
	problemOf(t, b.Post(t, http.MethodPost, api.PreviewPath, strings.Repeat("x", 2<<20)), http.StatusRequestEntityTooLarge)
	w := request(t, func(*admin.Options) {}, func(r *http.Request) {
		r.Method, r.URL.Path = http.MethodPost, api.PreviewPath
		r.Header.Set("Origin", "https://evil.example")
	})
	problemOf(t, w, http.StatusForbidden)
}

func TestWhoSeesAnObjectAndWhatItHidesIsTold(t *testing.T) {
	b := admintest.New()
	policy := &networkingpb.TrafficPolicy{LoadBalancer: &networkingpb.LoadBalancerSettings{}}
	b.Store.Apply(store.Change{Put: []*store.Resource{
		admintest.ServiceEntry(t, "a.mesh", "10.0.0.1"), admintest.DestinationRule(t, "a.mesh", "v1"),
		admintest.Resource(t, store.DestinationRule, "b.mesh", &networkingpb.DestinationRule{Host: "b.mesh", TrafficPolicy: policy, ExportTo: []string{".", "blue"}}),
	}})
	got := read[api.List[api.Resource]](t, b.Serve(t, api.ResourcesPath)).Items
	if len(got) != 3 || got[0].Policy || got[0].ExportTo != nil || !got[1].Policy || !cmp.Equal(got[1].ExportTo, []string{".", "blue"}) || got[2].Created == nil {
		t.Errorf("%+v", got)
	}
}

func TestADocumentIsForgottenOnlyIfItsFileHasVanished(t *testing.T) {
	b := admintest.New()
	lost, other := admintest.Canary("lost", "blue", "a.mesh", 0), admintest.Canary("lost", "red", "b.mesh", 0)
	lost.State, other.State = convert.CanaryLastGood, convert.CanaryLastGood
	b.SetCanaries(lost, other, admintest.Canary("echo", "", "echo.mesh", 0))
	for _, c := range []struct {
		path, want string
		status     int
	}{
		{api.CanaryPath("none"), "there is no document", http.StatusNotFound},
		{api.CanaryPath("echo") + "?team=blue", "of team blue", http.StatusNotFound},
		{api.CanaryPath("lost"), "blue, red; name the team", http.StatusConflict},
		{api.CanaryPath("echo"), "its file has it: delete it there", http.StatusConflict},
		{api.CanaryPath("echo") + "?name=x", "known are team", http.StatusBadRequest},
	} {
		if p := problemOf(t, b.Do(t, http.MethodDelete, c.path), c.status); !strings.Contains(p.Detail, c.want) {
			t.Errorf("%s: %q, want %q", c.path, p.Detail, c.want)
		}
	}
	if got := read[api.Forgotten](t, b.Do(t, http.MethodDelete, api.CanaryPath("lost")+"?team=red")); got != (api.Forgotten{Name: "lost", Team: "red"}) {
		t.Errorf("%+v", got)
	}
	if got := states(t, b, ""); len(got) != 2 || len(states(t, b, "?team=red")) != 0 {
		t.Errorf("left: %v", got)
	}
	if w := b.Serve(t, api.CanaryPath("echo")); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "DELETE" {
		t.Errorf("GET: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	w := request(t, func(*admin.Options) {}, func(r *http.Request) {
		r.Method, r.URL.Path = http.MethodDelete, api.CanaryPath("echo")
		r.Header.Set("Origin", "https://evil.example")
	})
	problemOf(t, w, http.StatusForbidden)
}
