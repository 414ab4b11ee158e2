package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"meshbridge/sources"
)

// harden bounds what a request may cost, keeps a panic from ending the process, and tells browsers to run nothing.
func (s *Server) harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if aborts(v) {
				panic(v) // net/http's own way to drop a connection
			}
			s.opts.Log.Error("admin request panicked", "path", r.URL.Path, "err", v, "stack", string(debug.Stack()))
			problem(w, http.StatusInternalServerError, "the bridge's log tells more")
		}()
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		// An error means that this writer has no deadlines, as in tests.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout + profileTime(r)))
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// aborts reports whether a panic is net/http's own.
func aborts(v any) bool {
	err, ok := v.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// profileTime is how long a profile is taken before its answer is written, at most five minutes.
func profileTime(r *http.Request) time.Duration {
	if !strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
		return 0
	}
	seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil || seconds < 0 {
		seconds = 30 // what pprof takes by default
	}
	return min(time.Duration(seconds)*time.Second, 5*time.Minute)
}

// requireToken asks every request for the bearer token of the moment.
func requireToken(token func() sources.Secret, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		want, got := sha256.Sum256([]byte(token().Reveal())), sha256.Sum256([]byte(strings.TrimSpace(given)))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="meshbridge"`)
			problem(w, http.StatusUnauthorized, "send the token of admin.token as Authorization: Bearer TOKEN")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// requireLocalHost refuses requests that name another host than this machine: a page in the operator's browser whose own
// name was rebound to 127.0.0.1 could otherwise read everything.
func requireLocalHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !isLoopback(strings.Trim(host, "[]")) {
			problem(w, http.StatusMisdirectedRequest, "this listener answers to localhost and loopback addresses only; to reach it by another name set admin.token")
			return
		}
		next.ServeHTTP(w, r)
	})
}
