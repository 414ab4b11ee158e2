package admin

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"sigs.k8s.io/yaml"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/object"
	"meshbridge/mcpserver/store"
)

// preview tells what the documents of the request's body would change if they took the place of those of their names. It
// changes nothing itself. A file name, if one is given, decides as ever whose documents they are.
func (s *Server) preview(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a file of canary documents has at most %d bytes here", tooLong.Limit))
		return
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "read the documents: "+err.Error())
		return
	}
	entries := s.opts.ParseCanaries(r.URL.Query().Get("file"), body)
	var faults []api.DocumentFault
	for _, e := range entries {
		for _, f := range e.Faults {
			faults = append(faults, api.DocumentFault{Document: e.Name, Path: f.Path, Text: f.Text})
		}
	}
	if len(faults) > 0 {
		writeProblem(w, api.Problem{Status: http.StatusUnprocessableEntity, Detail: "the documents have faults", Faults: faults})
		return
	}
	preview, err := s.opts.Canaries.Preview(r.Context(), entries)
	if err != nil {
		return // whoever asked has gone
	}
	for _, name := range slices.Sorted(maps.Keys(preview.Faults)) {
		for _, f := range preview.Faults[name] {
			faults = append(faults, api.DocumentFault{Document: name, Path: f.Path, Text: f.Text})
		}
	}
	if len(faults) > 0 {
		writeProblem(w, api.Problem{Status: http.StatusUnprocessableEntity, Detail: "the documents would not become active as the registries are now", Faults: faults})
		return
	}
	out := api.Preview{Changes: []api.CanaryChange{}}
	for _, c := range preview.Changes {
		change := api.CanaryChange{Kind: c.Key.Kind.Kind, Name: c.Key.Name}
		if change.Before, err = yamlOf(c.Before); err == nil {
			change.After, err = yamlOf(c.After)
		}
		if err != nil {
			problem(w, http.StatusInternalServerError, err.Error())
			return
		}
		out.Changes = append(out.Changes, change)
	}
	answer(w, out)
}

// yamlOf shows an object, or "" where there is none.
func yamlOf(r *store.Resource) (string, error) {
	if r == nil {
		return "", nil
	}
	raw, err := object.Stored(r)
	if err != nil {
		return "", err
	}
	text, err := yaml.JSONToYAML(raw)
	return string(text), err
}
