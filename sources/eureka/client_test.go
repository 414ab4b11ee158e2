package eureka

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
	"meshbridge/sources/sourcetest"
)

const oneApp = `{"applications":{"versions__delta":"1","apps__hashcode":"UP_1_","application":[{"name":"ORDERS","instance":[` +
	`{"instanceId":"a","ipAddr":"10.0.0.1","status":"UP","port":{"$":8080,"@enabled":"true"}}]}]}}`

// run follows a server of HTTP.
func run(t *testing.T, change func(*Config)) (*sourcetest.Recorder, *strings.Builder) {
	t.Helper()
	c := Default()
	c.Interval = minInterval
	change(&c)
	log := &strings.Builder{}
	src, err := New(c, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r, stop := sourcetest.Start(t, src)
	t.Cleanup(stop)
	return r, log
}

func has(name string, n int) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool { return p.Instances(name) == n }
}

func fails(with string) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool {
		return p.States[Scope] != nil && strings.Contains(p.States[Scope].Error(), with)
	}
}

func TestARequestAsksForWholeInstancesInJSONAndGzip(t *testing.T) {
	requests := make(chan *http.Request, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case requests <- r:
		default:
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip") // unasked, as Netflix's filter does it
		_, _ = w.Write(zipped([]byte(oneApp)))
	}))
	t.Cleanup(server.Close)
	r, _ := run(t, func(c *Config) {
		c.Servers = []Server{Server(strings.Replace(server.URL, "http://", "http://reader:p%40ss@", 1) + "/context/eureka/v2/")}
		c.Regions = []string{"US-West", "eu"}
	})
	r.Wait(t, "the application", has("ORDERS", 1))
	first := <-requests
	user, password, _ := first.BasicAuth()
	for what, pair := range map[string][2]string{
		"path": {first.URL.String(), "/context/eureka/v2/apps?regions=eu,us-west"}, "user": {user, "reader"}, "password": {password, "p@ss"},
		"Accept": {first.Header.Get("Accept"), "application/json"}, "X-Eureka-Accept": {first.Header.Get("X-Eureka-Accept"), "full"},
		"Accept-Encoding": {first.Header.Get("Accept-Encoding"), "gzip"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
		}
	}
	if second := <-requests; second.URL.Path != "/context/eureka/v2/apps/delta" {
		t.Errorf("then %s was asked for", second.URL.Path)
	}
}

func TestARedirectIsFollowedAndItsHostIsShownNoPassword(t *testing.T) {
	shown := make(chan string, 100)
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case shown <- r.Header.Get("Authorization"):
		default:
		}
		_, _ = io.WriteString(w, oneApp)
	}))
	t.Cleanup(to.Close)
	from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(to.URL, "127.0.0.1", "localhost", 1)+r.URL.Path, http.StatusFound)
	}))
	t.Cleanup(from.Close)
	r, _ := run(t, func(c *Config) {
		c.Servers, c.Username, c.Password = []Server{Server(from.URL + "/eureka")}, "reader", "hush"
	})
	r.Wait(t, "the application", has("ORDERS", 1))
	if got := <-shown; got != "" {
		t.Errorf("another host was shown %s", got)
	}
}

func TestTLSTrustsTheGivenAuthorityOnly(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, oneApp)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, keyFile := write("cert", "CERTIFICATE", server.Certificate().Raw), write("key", "PRIVATE KEY", key)
	for _, test := range []struct {
		what string
		tls  *sources.TLS
		want func(sourcetest.Picture) bool
	}{
		{"the system's", nil, fails("certificate signed by unknown authority")},
		{"the right one, without a certificate", &sources.TLS{CA: cert}, fails("403 Forbidden")},
		{"a missing file", &sources.TLS{CA: filepath.Join(dir, "none")}, fails("tls.ca: open")},
		{"another name", &sources.TLS{CA: cert, ServerName: "eureka.test"}, fails("not eureka.test")},
		{"all of it", &sources.TLS{CA: cert, Cert: cert, Key: keyFile}, has("ORDERS", 1)},
	} {
		t.Run(test.what, func(t *testing.T) {
			r, _ := run(t, func(c *Config) { c.Servers, c.TLS = []Server{Server(server.URL + "/eureka")}, test.tls })
			r.Wait(t, test.what, test.want)
		})
	}
}

func TestAnAnswerThatNeverEndsIsLeft(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, oneApp[:100])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	r, _ := run(t, func(c *Config) {
		c.Servers, c.Timeout = []Server{Server(server.URL + "/eureka")}, 50*time.Millisecond
	})
	r.Wait(t, "a word on the timeout", fails("get /apps: no whole answer within 50ms"))
}

func TestNothingPrintedHoldsAPassword(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	base := strings.Replace(server.URL, "http://", "http://reader:hush@", 1) + "/eureka"
	server.Close()
	r, log := run(t, func(c *Config) { c.Servers = []Server{Server(base)} })
	p := r.Wait(t, "a failure", fails("connection refused"))
	if text := p.States[Scope].Error() + log.String(); strings.Contains(text, "hush") {
		t.Errorf("printed: %s", text)
	}
}
