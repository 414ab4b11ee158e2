package admin

import (
	"errors"
	"fmt"
	"net/http"

	"meshbridge/cmd/internal/api"
	"meshbridge/sources"
)

// release lets go what the guard holds back in a source.
func (s *Server) release(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	released, err := s.opts.Sources.Release(name)
	switch {
	case errors.Is(err, sources.ErrNoSource):
		problem(w, http.StatusNotFound, fmt.Sprintf("there is no source %q; %s lists them", name, api.SourcesPath))
		return
	case err != nil:
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	if released == nil {
		released = []sources.Released{}
	}
	s.opts.Log.Info("released by an operator", "source", name, "peer", r.RemoteAddr, "scopes", len(released))
	answer(w, api.Release{Source: name, Released: released})
}
