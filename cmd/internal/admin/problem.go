package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"meshbridge/cmd/internal/api"
)

// problem answers with an error as RFC 9457 words it.
func problem(w http.ResponseWriter, status int, detail string) {
	writeProblem(w, api.Problem{Status: status, Detail: detail})
}

func writeProblem(w http.ResponseWriter, p api.Problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	writeJSON(w, p)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, v)
}

// writeJSON writes a value. A failure means that the client has gone, and there is nobody to tell.
func writeJSON(w http.ResponseWriter, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
}

// answerText answers in plain text.
func answerText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprint(w, text)
}

func unknownParameter(name string, known []string) string {
	if len(known) == 0 {
		return "unknown query parameter " + name + "; there are none here"
	}
	known = slices.Sorted(slices.Values(known))
	return "unknown query parameter " + name + "; known are " + strings.Join(known, ", ")
}
