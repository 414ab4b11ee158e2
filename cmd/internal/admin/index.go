package admin

import (
	_ "embed"
	"html/template"
	"net/http"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/build"
	"meshbridge/mcpserver/store"
)

//go:embed index.html
var indexHTML string

// overview is what the page at / shows.
type overview struct {
	Build   build.Info
	Ready   bool
	Missing []string
	Sources []api.Source
	Kinds   []kindCount
	Links   []string
}

type kindCount struct {
	Kind  string
	Count int
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	page, err := template.New("index").Parse(indexHTML)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	snap, _ := s.opts.Snapshots.Snapshot()
	status := s.opts.Sources.Sources()
	o := overview{Build: s.opts.Build, Ready: snap.Open, Links: []string{
		api.SourcesPath, api.ServicesPath, api.ResourcesPath, api.ClientsPath, api.RejectedPath, api.CanariesPath, api.EventsPath,
		api.OpenAPIPath, api.HealthPath, api.ReadyPath, api.MetricsPath, "/debug/pprof/",
	}}
	if !snap.Open {
		o.Missing = s.opts.Sources.Waiting()
	}
	for _, src := range status {
		o.Sources = append(o.Sources, sourceOf(src))
	}
	for _, kind := range store.Kinds() {
		o.Kinds = append(o.Kinds, kindCount{kind.Kind, snap.Len(kind)})
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, o); err != nil {
		s.opts.Log.Debug("write the overview", "err", err)
	}
}
