package admin

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"meshbridge/cmd/internal/api"
	"meshbridge/convert"
	"meshbridge/sources"
)

func (s *Server) sources(w http.ResponseWriter, r *http.Request) {
	name, kind := r.URL.Query().Get("source"), r.URL.Query().Get("kind")
	list := s.opts.Sources.Sources()
	list = slices.DeleteFunc(slices.Clone(list), func(src sources.SourceStatus) bool {
		return name != "" && src.Name != name || kind != "" && !strings.EqualFold(src.Kind, kind)
	})
	slices.SortFunc(list, func(a, b sources.SourceStatus) int { return strings.Compare(a.Name, b.Name) })
	writePage(w, r, list, func(src sources.SourceStatus) string { return src.Name },
		func(src sources.SourceStatus) (api.Source, error) { return sourceOf(src), nil })
}

func sourceOf(s sources.SourceStatus) api.Source {
	out := api.Source{
		Name: s.Name, Kind: s.Kind, Required: s.Required, Error: s.Err, Restarts: s.Restarts,
		Scopes: make([]api.Scope, 0, len(s.Scopes)),
	}
	for _, sc := range s.Scopes {
		scope := api.Scope{
			Name: sc.Name, State: sc.State, Error: sc.Err, Since: stamp(sc.Since), LastReport: stamp(sc.LastReport),
			Services: sc.Services, Instances: sc.Instances, Usable: sc.Usable, Events: sc.Events,
		}
		for _, f := range sc.Faults {
			scope.Faults = append(scope.Faults, api.Fault{Where: f.Where, Reason: f.Reason})
		}
		if h := sc.Held; h != nil {
			scope.Held = &api.Held{Instances: h.Instances, Services: h.Services, Most: h.Most, Now: h.Now, Since: h.Since.UTC(), Until: stamp(h.Until)}
		}
		out.Scopes = append(out.Scopes, scope)
	}
	return out
}

// stamp is a time in UTC, or nil for no time.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s *Server) clients(w http.ResponseWriter, r *http.Request) {
	key := func(c api.Client) string { return c.Node + "\x00" + c.Authority + "\x00" + c.Peer }
	writePage(w, r, s.opts.Clients.Clients(), key, same)
}

func (s *Server) rejected(w http.ResponseWriter, r *http.Request) {
	list := s.rejections()
	if source := r.URL.Query().Get("source"); source != "" {
		list = slices.DeleteFunc(list, func(rej api.Rejection) bool { return rej.Source != source })
	}
	writePage(w, r, list, rejectionKey, same)
}

func rejectionKey(r api.Rejection) string {
	return strings.Join([]string{r.Source, r.Service, r.Host, r.Instance, r.Class, r.Reason}, "\x00")
}

// rejections is what conversion left out and what the sources could not read, sorted.
func (s *Server) rejections() []api.Rejection {
	list := s.opts.Services.Rejected()
	for _, src := range s.opts.Sources.Sources() {
		for _, scope := range src.Scopes {
			for _, f := range scope.Faults {
				list = append(list, api.Rejection{Source: src.Name, Instance: f.Where, Class: convert.ClassRead, Reason: f.Reason})
			}
		}
	}
	slices.SortFunc(list, func(a, b api.Rejection) int { return strings.Compare(rejectionKey(a), rejectionKey(b)) })
	return slices.Compact(list)
}
