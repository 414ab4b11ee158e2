package admin_test

import (
	"net/http"
	"testing"

	"meshbridge/cmd/internal/admin"
	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
)

func TestOnlyAPostReleases(t *testing.T) {
	b := admintest.New()
	b.SetSources(admintest.Healthy("orders"))
	if w := b.Serve(t, api.ReleasePath("orders")); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	problemOf(t, b.Do(t, http.MethodPost, api.ReleasePath("lost")), http.StatusNotFound)
	if w := b.Do(t, http.MethodPost, api.ReleasePath("orders")); w.Code != http.StatusOK {
		t.Errorf("POST: %d %s", w.Code, w.Body)
	}
}

func TestAPageOfAnotherSiteReleasesNothing(t *testing.T) {
	w := request(t, func(*admin.Options) {}, func(r *http.Request) {
		r.Method, r.URL.Path = http.MethodPost, api.ReleasePath("orders")
		r.Header.Set("Origin", "https://evil.example")
	})
	problemOf(t, w, http.StatusForbidden)
}
