package admin

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"meshbridge/cmd/internal/api"
)

//go:embed openapi.yaml
var openAPI string

// route is one path that is answered, with GET unless it says another method.
type route struct {
	path  string // as http.ServeMux reads it; may be led by a method and a space
	query []string
	serve func(http.ResponseWriter, *http.Request)
}

// routes lists the paths of the API's listener; openapi.yaml describes them all but the profiles and the page.
func (s *Server) routes() []route {
	paging := []string{"limit", "continue"}
	with := func(names ...string) []string { return append(names, paging...) }
	return append(s.healthRoutes(),
		route{"/{$}", nil, s.index},
		route{api.SourcesPath, with("source", "kind"), s.sources},
		route{"POST " + api.SourcesPath + "/{name}/release", nil, s.release},
		route{api.ServicesPath, with("namespace", "source"), s.services},
		route{api.ServicesPath + "/{host}", nil, s.service},
		route{api.ResourcesPath, with("kind", "namespace", "source", "name", "object"), s.resources},
		route{api.ClientsPath, with(), s.clients},
		route{api.RejectedPath, with("source"), s.rejected},
		route{api.CanariesPath, with("state", "team"), s.canaries},
		route{"DELETE " + api.CanariesPath + "/{name}", []string{"team"}, s.forget},
		route{"POST " + api.PreviewPath, []string{"file"}, s.preview},
		route{api.EventsPath, []string{"kind", "namespace", "source", "object"}, s.events},
		route{api.OpenAPIPath, nil, s.openAPI},
		route{"/debug/pprof/", []string{"debug"}, pprof.Index},
		route{"/debug/pprof/{profile}", []string{"debug", "seconds", "gc"}, pprof.Index},
		route{"/debug/pprof/cmdline", nil, pprof.Cmdline},
		route{"/debug/pprof/profile", []string{"seconds"}, pprof.Profile},
		route{"/debug/pprof/symbol", nil, pprof.Symbol},
		route{"/debug/pprof/trace", []string{"seconds"}, pprof.Trace},
	)
}

// healthRoutes lists the paths of the health listener.
func (s *Server) healthRoutes() []route {
	routes := []route{
		{api.HealthPath, nil, s.alive},
		{api.ReadyPath, nil, s.ready},
	}
	if s.opts.Metrics != nil {
		routes = append(routes, route{api.MetricsPath, []string{"name[]"}, promhttp.HandlerFor(s.opts.Metrics, promhttp.HandlerOpts{}).ServeHTTP})
	}
	return routes
}

// Handler answers the API.
func (s *Server) Handler() http.Handler {
	routes := mux(s.routes())
	open, closed := routes, requireToken(s.token, routes)
	if s.opts.TLS == nil {
		open = requireLocalHost(open)
	}
	return s.harden(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.token() == "" {
			open.ServeHTTP(w, r)
			return
		}
		closed.ServeHTTP(w, r)
	}))
}

// HealthHandler answers health checks and metrics alone, to anyone.
func (s *Server) HealthHandler() http.Handler { return s.harden(mux(s.healthRoutes())) }

// mux answers the routes, and says as problem details what is not one.
func mux(routes []route) http.Handler {
	m := http.NewServeMux()
	for _, r := range routes {
		m.Handle(r.pattern(), onlyQuery(r))
	}
	// What a page of another site has a browser send is refused: it could let go a loss without a token.
	guarded := http.NewCrossOriginProtection()
	guarded.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusForbidden, "a page of another site sent this request")
	}))
	return guarded.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := m.Handler(r); pattern != "" {
			m.ServeHTTP(w, r)
			return
		}
		if allowed := others(m, r); allowed != "" {
			w.Header().Set("Allow", allowed)
			problem(w, http.StatusMethodNotAllowed, r.URL.Path+" takes "+allowed)
			return
		}
		problem(w, http.StatusNotFound, "there is no "+r.URL.Path+"; "+api.OpenAPIPath+" lists what there is")
	}))
}

// pattern is the route as http.ServeMux reads it.
func (r route) pattern() string {
	if strings.Contains(r.path, " ") {
		return r.path
	}
	return http.MethodGet + " " + r.path
}

// others names the methods by which the path of a request is answered, "" if by none.
func others(m *http.ServeMux, r *http.Request) string {
	var names []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := m.Handler(other); pattern == "" {
			continue
		}
		if names = append(names, method); method == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	return strings.Join(names, ", ")
}

// onlyQuery refuses parameters that the route does not know, so that a misspelt filter does not return everything.
func onlyQuery(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.URL.Query() {
			if !slices.Contains(rt.query, name) {
				problem(w, http.StatusBadRequest, unknownParameter(name, rt.query))
				return
			}
		}
		rt.serve(w, r)
	})
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	fmt.Fprint(w, openAPI)
}
