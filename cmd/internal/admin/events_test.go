package admin_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/cmd/internal/admintest"
	"meshbridge/cmd/internal/api"
	"meshbridge/mcpserver/store"
)

// eventReader reads an event stream.
type eventReader struct {
	t     *testing.T
	lines *bufio.Scanner
}

func openEvents(t *testing.T, base, query string) eventReader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+api.EventsPath+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		resp.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, content type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	return eventReader{t, bufio.NewScanner(resp.Body)}
}

// next is "op kind name" of the next event, or the gate's state for one without op.
func (r eventReader) next() string {
	r.t.Helper()
	for r.lines.Scan() {
		data, ok := strings.CutPrefix(r.lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e api.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			r.t.Fatal(err)
		}
		switch {
		case e.Op != "":
			return e.Op + " " + e.Resource.Kind + " " + e.Resource.Name
		case e.Open:
			return "open"
		}
		return "closed"
	}
	r.t.Fatalf("the stream ended: %v", r.lines.Err())
	return ""
}

func removal(kind store.Kind, host string) store.Removal {
	return store.Removal{Key: store.Key{Kind: kind, Name: "registries/" + host}, Host: host}
}

func TestEventsTellWhatChanges(t *testing.T) {
	b := admintest.New()
	b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "old.mesh")}})
	events := openEvents(t, b.Start(t, nil), "")
	got := []string{events.next()}
	for _, c := range []store.Change{
		{Put: []*store.Resource{admintest.ServiceEntry(t, "a.mesh")}},
		{Put: []*store.Resource{admintest.ServiceEntry(t, "a.mesh", "10.0.0.1")}},
		{Open: true},
		{Remove: []store.Removal{removal(store.ServiceEntry, "old.mesh")}},
	} {
		b.Store.Apply(c)
		got = append(got, events.next())
	}
	want := []string{"closed", "added ServiceEntry a.mesh", "changed ServiceEntry a.mesh", "open", "removed ServiceEntry old.mesh"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEventsAreFiltered(t *testing.T) {
	b := admintest.New()
	events := openEvents(t, b.Start(t, nil), "?kind=DestinationRule")
	events.next()
	b.Store.Apply(store.Change{Put: []*store.Resource{admintest.ServiceEntry(t, "a.mesh"), admintest.DestinationRule(t, "a.mesh", "v1")}})
	if got := events.next(); got != "added DestinationRule a.mesh" {
		t.Error(got)
	}
}

func TestEventStreamsAreBounded(t *testing.T) {
	b := admintest.New()
	base := b.Start(t, nil)
	for range 64 {
		openEvents(t, base, "").next()
	}
	resp, err := http.Get(base + api.EventsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d of stream 65", resp.StatusCode)
	}
}
