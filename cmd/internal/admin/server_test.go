package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/cmd/internal/admin"
	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

func TestReadyNamesWhatIsMissingAndThenStaysReady(t *testing.T) {
	b := admintest.New()
	want := []string{"source dubbo: scope /dubbo is not read yet"}
	b.SetWaiting(want...)
	p := problemOf(t, b.Serve(t, api.ReadyPath), http.StatusServiceUnavailable)
	if diff := cmp.Diff(want, p.Missing); diff != "" {
		t.Error(diff)
	}
	b.Store.Apply(store.Change{Open: true})
	if w := b.Serve(t, api.ReadyPath); w.Code != http.StatusOK {
		t.Errorf("status %d after the gate opened", w.Code)
	}
}

func TestAnAddressThatOthersCanReachNeedsAToken(t *testing.T) {
	for address, fine := range map[string]bool{
		"127.0.0.1:0": true, "[::1]:0": true, "localhost:0": true, "127.1.2.3:1": true,
		"0.0.0.0:0": false, ":16011": false, "10.0.0.1:1": false, "[::]:1": false, "bridge.example.com:1": false, "nonsense": false,
	} {
		opts := admintest.New().Options()
		opts.Address = address
		if _, err := admin.New(opts); (err == nil) != fine {
			t.Errorf("%s without a token: %v", address, err)
		}
		opts.Token = "x"
		if _, err := admin.New(opts); (err == nil) != (address != "nonsense") {
			t.Errorf("%s with a token: %v", address, err)
		}
	}
}

func newServer(t *testing.T, change func(*admin.Options)) *admin.Server {
	t.Helper()
	opts := admintest.New().Options()
	change(&opts)
	s, err := admin.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// request answers a request as the changed options make the server answer it.
func request(t *testing.T, change func(*admin.Options), edit func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	s := newServer(t, change)
	r := httptest.NewRequest(http.MethodGet, api.SourcesPath, nil)
	r.Host = "localhost:16011"
	edit(r)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func TestWithATokenEveryRequestMustCarryIt(t *testing.T) {
	token := func(o *admin.Options) { o.Token = "sesame" }
	for header, status := range map[string]int{
		"": 401, "Bearer": 401, "Bearer wrong": 401, "Basic sesame": 401, "Bearer sesame": 200, "bearer sesame": 200,
	} {
		w := request(t, token, func(r *http.Request) { r.Header.Set("Authorization", header) })
		if w.Code != status {
			t.Errorf("%q: status %d, want %d", header, w.Code, status)
		}
		if status == 401 {
			problemOf(t, w, 401)
			if w.Header().Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		}
	}
	for _, path := range []string{"/", api.MetricsPath, "/debug/pprof/", api.ReadyPath, "/nothing"} {
		if w := request(t, token, func(r *http.Request) { r.URL.Path = path }); w.Code != 401 {
			t.Errorf("%s without the token: status %d", path, w.Code)
		}
	}
}

func TestATokenIsReplacedWhileTheServerRuns(t *testing.T) {
	s := newServer(t, func(o *admin.Options) { o.Token = "old" })
	for _, want := range []struct {
		token  sources.Secret
		given  string
		status int
	}{{"old", "old", 200}, {"new", "old", 401}, {"new", "new", 200}, {"", "", 200}} {
		if err := s.SetToken(want.token); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, api.SourcesPath, nil)
		r.Host = "localhost:16011"
		r.Header.Set("Authorization", "Bearer "+want.given)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != want.status {
			t.Errorf("token %q given for %q: status %d, want %d", want.given, want.token.Reveal(), w.Code, want.status)
		}
	}
}

func TestAnAddressThatOthersCanReachNeverLosesItsToken(t *testing.T) {
	s := newServer(t, func(o *admin.Options) { o.Address, o.Token = "0.0.0.0:0", "old" })
	if err := s.SetToken(""); err == nil {
		t.Error("the token was taken away")
	}
}

func TestAReboundNameIsRefusedOnLoopback(t *testing.T) {
	for host, status := range map[string]int{
		"evil.example.com": 421, "evil.example.com:16011": 421, "10.0.0.1": 421, "": 421,
		"localhost": 200, "127.0.0.1:16011": 200, "[::1]:16011": 200, "[::1]": 200,
	} {
		w := request(t, func(*admin.Options) {}, func(r *http.Request) { r.Host = host })
		if w.Code != status {
			t.Errorf("Host %q: status %d, want %d", host, w.Code, status)
		}
	}
	w := request(t, func(o *admin.Options) { o.Token = "t" }, func(r *http.Request) {
		r.Host = "bridge.example.com"
		r.Header.Set("Authorization", "Bearer t")
	})
	if w.Code != 200 {
		t.Errorf("with a token any name will do, but: %d", w.Code)
	}
}

func TestWhatIsNotThereIsAProblem(t *testing.T) {
	b := admintest.New()
	problemOf(t, b.Serve(t, "/api/v2/sources"), http.StatusNotFound)
	w := request(t, func(*admin.Options) {}, func(r *http.Request) { r.Method = "POST" })
	problemOf(t, w, http.StatusMethodNotAllowed)
	if w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow %q", w.Header().Get("Allow"))
	}
}

// broken panics.
type broken struct{}

func (broken) Clients() []mcpserver.Client { panic("broken") }

func TestAPanicIsAnAnswer(t *testing.T) {
	w := request(t, func(o *admin.Options) { o.Clients = broken{} },
		func(r *http.Request) { r.URL.Path = api.ClientsPath })
	problemOf(t, w, http.StatusInternalServerError)
	if strings.Contains(w.Body.String(), "broken") {
		t.Errorf("the answer tells of the inside: %s", w.Body)
	}
}

func TestThePageShowsTheStateAndEscapesIt(t *testing.T) {
	b := admintest.New()
	src := admintest.Healthy("orders")
	src.Scopes[0].Err = "<script>alert(1)</script>"
	b.SetSources(src)
	w := b.Serve(t, "/")
	body := w.Body.String()
	for _, want := range []string{"orders", "synced", "Not ready", api.ServicesPath, "&lt;script&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("content security policy %q", csp)
	}
}

func TestTheHealthListenerAnswersHealthAndMetricsAlone(t *testing.T) {
	opts := admintest.New().Options()
	opts.Token = "sesame"
	s, err := admin.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]int{
		api.HealthPath: 200, api.ReadyPath: 503, api.MetricsPath: 200,
		"/": 404, api.SourcesPath: 404, "/debug/pprof/": 404,
	} {
		w := httptest.NewRecorder()
		s.HealthHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
	}
}

func TestProfilesAreServed(t *testing.T) {
	b := admintest.New()
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap?debug=1", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline"} {
		if w := b.Serve(t, path); w.Code != 200 {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
	}
}

func TestBothListenersServeUntilTheContextEnds(t *testing.T) {
	base := admintest.New().Start(t, func(o *admin.Options) { o.HealthAddress = "127.0.0.1:0" })
	resp, err := http.Get(base + api.HealthPath)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "ok\n" {
		t.Errorf("body %q", body)
	}
}
