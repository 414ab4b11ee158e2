package admin

import (
	"fmt"
	"io"
	"net/http"

	"meshbridge/cmd/internal/api"
	"meshbridge/sources"
)

func (s *Server) alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n")
}

// ready answers 200 once the gate is open, for ever after, and before it 503 with what it waits for.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if snap, _ := s.opts.Snapshots.Snapshot(); snap.Open {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "ready\n")
		return
	}
	missing := waitedFor(s.opts.Sources.Sources())
	if len(missing) == 0 {
		missing = []string{"every source is in; its services are being converted"}
	}
	writeProblem(w, api.Problem{
		Status:  http.StatusServiceUnavailable,
		Detail:  "istiods wait for an answer until every required source is read or covered by last-good",
		Missing: missing,
	})
}

// waitedFor names the required scopes that were never read.
func waitedFor(status []sources.SourceStatus) []string {
	var missing []string
	for _, src := range status {
		if !src.Required {
			continue
		}
		if len(src.Scopes) == 0 {
			missing = append(missing, because(fmt.Sprintf("source %s: has not named its scopes yet", src.Name), src.Err))
		}
		for _, scope := range src.Scopes {
			if scope.State == sources.Unread {
				missing = append(missing, because(fmt.Sprintf("source %s: scope %s is not read yet", src.Name, quoted(scope.Name)), scope.Err, src.Err))
			}
		}
	}
	return missing
}

// because adds the first reason that is not empty.
func because(what string, reasons ...string) string {
	for _, reason := range reasons {
		if reason != "" {
			return what + ": " + reason
		}
	}
	return what
}

func quoted(scope string) string {
	if scope == "" {
		return "(whole)"
	}
	return scope
}
