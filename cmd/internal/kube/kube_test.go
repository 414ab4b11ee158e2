package kube_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/cmd/internal/kube"
)

const rule = `{"metadata":{"namespace":"echo","name":"mine","creationTimestamp":"2026-01-02T03:04:05Z"},
"spec":{"host":"*.Mesh","exportTo":["."],"trafficPolicy":{},"subsets":[{"name":"v1","labels":{"version":"v1"}},{"name":"all"}]}}`

const entry = `{"metadata":{"namespace":"shop","name":"old","creationTimestamp":"2020-01-02T03:04:05Z"},"spec":{"hosts":["A.mesh","*.b.mesh"],"exportTo":[".","web","."]}}`

const service = `{"metadata":{"namespace":"shop","name":"cart","annotations":{"networking.istio.io/exportTo":"., web"}},"spec":{"ports":[{"port":80}]}}`

const route = `{"metadata":{"namespace":"shop","name":"r"},
"spec":{"hosts":["cart","a.mesh"],"gateways":["mesh","x/y"],"http":[{"route":[{"destination":{"host":"a.mesh","subset":"v1"}},{"destination":{"host":"a.mesh"}}]},{"directResponse":{"status":404}},{"delegate":{"name":"mine"}},{"delegate":{"name":"theirs","namespace":"echo"}}],
"tcp":[{"route":[{"destination":{"host":"cart","subset":"v2"}}]}]}}`

func TestAnObjectIsReadAsIstioReadsIt(t *testing.T) {
	r, err := kube.ParseRule(json.RawMessage(rule))
	want := kube.Rule{Meta: kube.Meta{Namespace: "echo", Name: "mine", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ExportTo: []string{"."}},
		Host: "*.mesh", Policy: true, Subsets: map[string]map[string]string{"v1": {"version": "v1"}, "all": nil}}
	if diff := cmp.Diff(want, r); err != nil || diff != "" {
		t.Error(err, diff)
	}
	v, err := kube.ParseRoute(json.RawMessage(route))
	is := kube.Route{Meta: kube.Meta{Namespace: "shop", Name: "r"}, Hosts: []string{"cart.shop.svc.cluster.local", "a.mesh"}, Gateways: []string{"mesh", "x/y"},
		Delegates: []string{"shop/mine", "echo/theirs"}, Subsets: map[string][]string{"a.mesh": {"v1"}, "cart.shop.svc.cluster.local": {"v2"}}}
	if diff := cmp.Diff(is, v); err != nil || diff != "" {
		t.Error(err, diff)
	}
	e, err := kube.ParseEntry(json.RawMessage(entry))
	old := kube.Entry{Meta: kube.Meta{Namespace: "shop", Name: "old", Created: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), ExportTo: []string{".", "web", "."}}, Hosts: []string{"a.mesh", "*.b.mesh"}}
	if diff := cmp.Diff(old, e); err != nil || diff != "" {
		t.Error(err, diff)
	}
	svc, err := kube.ParseService(json.RawMessage(service))
	if diff := cmp.Diff([]string{".", "web"}, svc.ExportTo); err != nil || diff != "" || svc.Host() != "cart.shop.svc.cluster.local" {
		t.Error(err, diff, svc.Host())
	}
	if !v.Mesh() || (kube.Route{Hosts: []string{"a"}, Gateways: []string{"x/y"}}).Mesh() || (kube.Route{}).Mesh() {
		t.Error("a VirtualService is for sidecars if it has hosts, and no gateways or mesh among them")
	}
	for _, c := range []struct {
		pattern, host string
		covers        bool
	}{{"*.mesh", "a.mesh", true}, {"*", "a.mesh", true}, {"a.mesh", "a.mesh", false}, {"*.mesh", "*.mesh", false}, {"*.x.mesh", "a.mesh", false}} {
		if kube.Covers(c.pattern, c.host) != c.covers {
			t.Errorf("%s covers %s: %v", c.pattern, c.host, !c.covers)
		}
	}
}

func TestAnObjectIsExportedToNamespacesOrToAll(t *testing.T) {
	for _, c := range []struct {
		to, want []string
		all      bool
	}{
		{nil, nil, true}, {[]string{"web", "*"}, nil, true}, {[]string{"."}, []string{"shop"}, false},
		{[]string{"web", ".", "shop", "app"}, []string{"app", "shop", "web"}, false}, {[]string{"~"}, nil, false},
	} {
		got, all := (kube.Meta{Namespace: "shop", ExportTo: c.to}).Exported()
		if diff := cmp.Diff(c.want, got); diff != "" || all != c.all {
			t.Errorf("%q: %v %s", c.to, all, diff)
		}
	}
}

// cluster is a Kubernetes API that has the objects in one version, a page each, and wants a token.
func cluster(t *testing.T, version string, rules, routes []string) *httptest.Server {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		istio := "/apis/networking.istio.io/" + version
		items := map[string][]string{istio + "/destinationrules": rules, istio + "/virtualservices": routes, istio + "/serviceentries": {entry}, "/api/v1/services": {service, service}}[r.URL.Path]
		switch {
		case r.Header.Get("Authorization") != "Bearer sesame":
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"kind":"Status","message":"you may not"}`)
			return
		case strings.HasSuffix(r.URL.Path, "entries") && len(routes) == 0:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"kind":"Status","message":"no entries for you"}`)
			return
		case !strings.HasPrefix(r.URL.Path, istio) && r.URL.Path != "/api/v1/services":
			w.WriteHeader(http.StatusNotFound)
			return
		}
		i, next := 0, ""
		if _, err := fmt.Sscanf(r.URL.Query().Get("continue"), "%d", &i); err == nil {
			items = items[i:]
		}
		if len(items) > 1 {
			items, next = items[:1], fmt.Sprint(i+1)
		}
		fmt.Fprintf(w, `{"metadata":{"continue":%q},"items":[%s]}`, next, strings.Join(items, ","))
	}))
	t.Cleanup(s.Close)
	return s
}

func roots(t *testing.T, s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})) {
		t.Fatal("no certificate")
	}
	return pool
}

func TestAllPagesAreReadInTheVersionThatThereIs(t *testing.T) {
	for _, version := range []string{"v1", "v1beta1"} {
		s := cluster(t, version, []string{rule, rule, rule}, []string{route})
		got, err := kube.Read(t.Context(), kube.Options{Server: s.URL, Token: "sesame", Roots: roots(t, s)})
		if err != nil || len(got.Rules) != 3 || len(got.Routes) != 1 || len(got.Entries) != 1 || len(got.Services) != 2 {
			t.Errorf("%s: %v %+v", version, err, got)
		}
	}
}

func TestWhatMayNotBeListedLeavesTheRest(t *testing.T) {
	s := cluster(t, "v1", []string{rule}, nil)
	got, err := kube.Read(t.Context(), kube.Options{Server: s.URL, Token: "sesame", Roots: roots(t, s)})
	if err == nil || !strings.Contains(err.Error(), "no entries for you") || len(got.Rules) != 1 || len(got.Services) != 2 {
		t.Errorf("%v %+v", err, got)
	}
}

func TestWhyAClusterDoesNotTellIsSaid(t *testing.T) {
	s := cluster(t, "v1alpha9", nil, nil)
	broken := cluster(t, "v1", []string{`{"spec":{"host":7}}`}, nil)
	for want, o := range map[string]kube.Options{
		"are Istio's CRDs installed there?": {Server: s.URL, Token: "sesame", Roots: roots(t, s)},
		"403 Forbidden: you may not":        {Server: s.URL, Roots: roots(t, s)},
		"certificate":                       {Server: s.URL},
		"is not http":                       {Server: "127.0.0.1:6443"},
		"connection refused":                {Server: "http://127.0.0.1:1"},
		"decode ":                           {Server: broken.URL, Token: "sesame", Roots: roots(t, broken)},
	} {
		if _, err := kube.Read(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
