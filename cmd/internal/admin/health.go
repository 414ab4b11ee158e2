package admin

import (
	"net/http"

	"meshbridge/cmd/internal/api"
)

func (s *Server) alive(w http.ResponseWriter, _ *http.Request) {
	answerText(w, "ok\n")
}

// ready answers 200 once the gate is open, for ever after, and before it 503 with what it waits for.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if snap, _ := s.opts.Snapshots.Snapshot(); snap.Open {
		answerText(w, "ready\n")
		return
	}
	missing := s.opts.Sources.Waiting()
	if len(missing) == 0 {
		missing = []string{"every source is in; its services are being converted"}
	}
	writeProblem(w, api.Problem{
		Status:  http.StatusServiceUnavailable,
		Detail:  "istiods wait for an answer until every required source is read or covered by last-good",
		Missing: missing,
	})
}
