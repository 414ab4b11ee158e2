package client_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"meshbridge/cmd/internal/admin"
	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/client"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, server string, token sources.Secret, roots *x509.CertPool) *client.Client {
	t.Helper()
	c, err := client.New(server, token, roots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEveryPageIsRead(t *testing.T) {
	b := admintest.New()
	var put []*store.Resource
	for i := range 5003 { // the API's largest page is 5000
		put = append(put, admintest.ServiceEntry(t, fmt.Sprintf("s%d.mesh", i)))
	}
	b.Store.Apply(store.Change{Put: put})
	c := newClient(t, b.Start(t, nil), "", nil)
	list, err := c.Resources(t.Context(), nil)
	if err != nil || len(list) != 5003 {
		t.Errorf("%d resources, %v", len(list), err)
	}
}

func TestAnErrorTellsWhatToDo(t *testing.T) {
	b := admintest.New()
	locked := b.Start(t, func(o *admin.Options) { o.Token = "sesame" })
	tlsServer := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = log.New(io.Discard, "", 0)
	tlsServer.StartTLS()
	defer tlsServer.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, c := range []struct {
		server string
		token  sources.Secret
		want   string
	}{
		{gone.URL, "", "connection refused; is the bridge running there? Start it with meshbridge run, or name another with --server"},
		{locked, "", "401 Unauthorized: it wants a token: give the one of its admin.token with --token-file FILE or in MESHBRIDGE_TOKEN"},
		{locked, "wrong", "--token-file"},
		{tlsServer.URL, "", "name the CA that signed its certificate with --ca-file"},
		{strings.Replace(locked, "http:", "https:", 1), "", "it speaks plain http: use --server http://"},
		{other.URL, "", "is this a meshbridge's admin address?"},
	} {
		_, err := newClient(t, c.server, c.token, nil).Sources(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nlacks %q", c.server, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "wrong") {
			t.Errorf("the token is told: %v", err)
		}
	}
	if _, err := newClient(t, locked, "sesame", nil).Sources(t.Context(), nil); err != nil {
		t.Errorf("with the token: %v", err)
	}
}

func TestACAOfTheUsersOwnIsTrusted(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[],"total":0}`)
	}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	if _, err := newClient(t, s.URL, "", roots).Sources(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestReadyTellsWhatIsMissing(t *testing.T) {
	b := admintest.New()
	b.SetWaiting("source a: not read yet")
	c := newClient(t, b.Start(t, nil), "", nil)
	ready, missing, err := c.Ready(t.Context())
	if ready || err != nil || len(missing) != 1 || missing[0] != "source a: not read yet" {
		t.Errorf("%v %q %v", ready, missing, err)
	}
	b.Store.Apply(store.Change{Open: true})
	if ready, _, err := c.Ready(t.Context()); !ready || err != nil {
		t.Errorf("%v %v after the gate opened", ready, err)
	}
}

func TestATokenFollowsNoRedirect(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked with %q", r.Header.Get("Authorization"))
	}))
	defer thief.Close()
	s := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusFound))
	defer s.Close()
	if _, err := newClient(t, s.URL, "sesame", nil).Sources(t.Context(), nil); err == nil {
		t.Error("a redirect is taken for an answer")
	}
}

func TestEventsAreTold(t *testing.T) {
	b := admintest.New()
	c := newClient(t, b.Start(t, nil), "", nil)
	stop := errors.New("enough")
	var got []string
	err := c.Events(t.Context(), url.Values{"kind": {"ServiceEntry"}}, func(e api.Event) error {
		if e.Op == "" {
			b.Store.Apply(store.Change{Put: []*store.Resource{admintest.DestinationRule(t, "a.mesh", "v1"), admintest.ServiceEntry(t, "a.mesh")}})
			return nil
		}
		got = append(got, e.Op+" "+e.Resource.Kind)
		return stop
	})
	if !errors.Is(err, stop) || len(got) != 1 || got[0] != "added ServiceEntry" {
		t.Errorf("%q %v", got, err)
	}
}

func TestEventsEndWithTheContextOrTheBridge(t *testing.T) {
	b := admintest.New()
	c := newClient(t, b.Start(t, nil), "", nil)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Events(ctx, nil, func(api.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the context ended: %v", err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, ": idle\n\n") }))
	defer s.Close()
	err = newClient(t, s.URL, "", nil).Events(t.Context(), nil, func(api.Event) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "the bridge closed the stream") {
		t.Errorf("the bridge ended: %v", err)
	}
}

func TestServersAreAddresses(t *testing.T) {
	for server, want := range map[string]string{
		"127.0.0.1:16011": "http://127.0.0.1:16011", "https://b.example.com/": "https://b.example.com", "http://x:1/bridge/": "http://x:1/bridge",
		"ftp://x": "", "http://": "", "http://a b": "",
	} {
		c, err := client.New(server, "", nil)
		if (err != nil) != (want == "") || err == nil && c.Server() != want {
			t.Errorf("%q: %v", server, err)
		}
	}
}
