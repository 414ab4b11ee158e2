package nacos

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
)

// The expected values were computed with the SDK's own signer for the same time and key.
func TestRequestsAreSignedAsTheSDKSignsThem(t *testing.T) {
	a := newAuth(Config{AccessKey: "LTAI", SecretKey: "secret"})
	at := time.UnixMilli(1700000000000)
	for id, want := range map[serviceID]string{
		{}:                       "1700000000000",
		{"pay", "orders"}:        "1700000000000@@pay@@orders",
		{group: "DEFAULT_GROUP"}: "1700000000000@@DEFAULT_GROUP@@",
	} {
		got := a.signed(id, at)
		if got["ak"] != "LTAI" || got["data"] != want || len(got["signature"]) != 28 {
			t.Errorf("%v: got %v, want data %s", id, got, want)
		}
	}
	if got := a.signed(serviceID{"pay", "orders"}, at)["signature"]; got != "DHQGNFNiyJ3sDV77bScgchqxgnU=" {
		t.Errorf("got %s", got)
	}
}

func TestARefusedTokenThatWasReplacedMeanwhileNeedsNoLogin(t *testing.T) {
	a := newAuth(Config{Username: "reader", Password: "right"})
	a.token, a.issued = "new", time.Now()
	again, err := a.renewed(t.Context(), nil, map[string]string{"accessToken": "old"})
	if !again || err != nil {
		t.Errorf("an old token: got %t, %v", again, err)
	}
	if again, err = a.renewed(t.Context(), nil, map[string]string{"accessToken": "new"}); again || err != nil {
		t.Errorf("one that was just made: got %t, %v", again, err)
	}
}

func TestARedirectIsNotFollowedWithTheToken(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked with the token %q", r.URL, r.Header.Get("accessToken"))
	}))
	defer other.Close()
	moved := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer moved.Close()
	s, err := parseServer(moved.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	w := newWeb(s, nil, time.Second, newAuth(Config{}))
	defer w.close()
	if err := w.get(t.Context(), "/v3/admin/ns/service/list", nil, &struct{}{}); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("got %v", err)
	}
}

func TestHTTPSServersAreSpokenToOverTLSAlone(t *testing.T) {
	f := newFake(t)
	secure := httptest.NewUnstartedServer(f)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	c := f.config()
	c.Servers = []string{secure.URL}
	r := follow(t, c) // the system knows nothing of the server's authority
	if p := r.Wait(t, "unknown", unknown); !strings.Contains(p.States[public].Error(), "certificate") && !strings.Contains(p.States[public].Error(), "tls") {
		t.Errorf("got %v", p.States)
	}
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := (&sources.TLS{CA: ca}).Load()
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseServer(secure.URL, f.grpc)
	if err != nil {
		t.Fatal(err)
	}
	for trust, ok := range map[*tls.Config]bool{loaded: true, {MinVersion: tls.VersionTLS12}: false} {
		w := newWeb(s, trust, time.Second, newAuth(Config{}))
		l := &lister{web: w}
		if got, err := l.list(t.Context(), public, -1); (err == nil) != ok || ok && got.total != 1 {
			t.Errorf("trusted %t: got %+v, %v", ok, got, err)
		}
		w.close()
	}
}
