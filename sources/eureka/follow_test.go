package eureka

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/sources/sourcetest"
)

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func holds(t *testing.T, what string, p sourcetest.Picture, name string, n int) {
	t.Helper()
	if got := p.Instances(name); got != n {
		t.Fatalf("%s: %s has %d instances, want %d; state %v", what, name, got, n, p.States[Scope])
	}
}

func TestChangesComeByDeltaAndTouchTheirServicesAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		s.put("ORDERS", "1", nil)
		s.put("STOCK", "1", nil)
		b := follow(t, nil, s)
		p := b.after(time.Second)
		if p.Snapshots[Scope] != 1 || len(p.Services) != 2 {
			t.Fatalf("got %d snapshots of %d services, want one of two", p.Snapshots[Scope], len(p.Services))
		}
		s.put("ORDERS", "2", nil)
		s.put("ORDERS", "1", func(r *registered) { r.metadata["version"] = "v2" })
		p = b.after(polls(1))
		holds(t, "after a delta", p, "ORDERS", 2)
		if p.Reports != 3 || p.Snapshots[Scope] != 1 || p.Service("ORDERS").Instances[0].Metadata["version"] != "v2" {
			t.Errorf("got %d reports and %d snapshots, want one report more than the snapshot's two", p.Reports, p.Snapshots[Scope])
		}
		s.remove("STOCK", "1")
		p = b.after(polls(1))
		if len(p.Services) != 1 || p.Removals != 1 {
			t.Errorf("got %s, want ORDERS only", written(p))
		}
		if diff := cmp.Diff(map[string]int{"/apps": 1, "/apps/delta": 2}, s.asked()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

func TestAQuietRegistryCausesNoReport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		s.put("ORDERS", "1", nil)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.put("ORDERS", "1", nil) // registered anew, as it was
		p := b.after(25 * time.Minute)
		if p.Reports != 1 || p.Removals != 0 || p.States[Scope] != nil {
			t.Errorf("got %d reports, %d removals, state %v; want the first report only", p.Reports, p.Removals, p.States[Scope])
		}
		asked := s.asked()
		if asked["/apps"] < 2 || asked["/apps"] > 3 || asked["/apps/delta"] < 45 {
			t.Errorf("got requests %v, want a full read every ten minutes and deltas every half", asked)
		}
	})
}

func TestAHashThatDiffersCausesExactlyOneFullRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		s.put("ORDERS", "1", nil)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.asked()
		s.put("ORDERS", "2", nil)
		s.mu.Lock()
		s.queue = nil // lost on the way
		s.mu.Unlock()
		holds(t, "after a full read", b.after(polls(1)), "ORDERS", 2)
		if diff := cmp.Diff(map[string]int{"/apps": 1, "/apps/delta": 1}, s.asked()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		b.after(polls(1))
		if diff := cmp.Diff(map[string]int{"/apps/delta": 1}, s.asked()); diff != "" {
			t.Errorf("requests of the next poll (-want +got):\n%s", diff)
		}
	})
}

func TestWithoutDeltasEverythingIsRead(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		bubble(t, func(t *testing.T) {
			s := newServer()
			s.put("ORDERS", "1", nil)
			s.withoutDeltas(status)
			b := follow(t, nil, s)
			b.after(time.Second)
			s.put("ORDERS", "2", nil)
			holds(t, "after one more", b.after(polls(1)), "ORDERS", 2)
			s.remove("ORDERS", "1")
			holds(t, "after one less", b.after(polls(1)), "ORDERS", 1)
		})
	}
}

func TestAnOutageRemovesNothingAndSaysWhy(t *testing.T) {
	for _, test := range []struct {
		what   string
		answer func(path string) *http.Response
		want   string
	}{
		{"refused", refused, "http://a/eureka: get /apps/delta: connection refused"},
		{"starting", func(string) *http.Response { return respond(403, "") }, "get /apps: 403 Forbidden: the server has only just started and waits for its peers' registries, or its registry may not be read without a username"},
		{"unauthorized", func(string) *http.Response { return respond(401, "") }, "get /apps/delta: 401 Unauthorized: the server wants a username and a password"},
		{"elsewhere", func(string) *http.Response { return respond(404, "") }, "get /apps: 404 Not Found: no Eureka here: a base URL ends in /eureka (Spring Cloud) or /eureka/v2 (Netflix)"},
		{"overloaded", func(string) *http.Response { return respond(503, "") }, "get /apps/delta: 503 Service Unavailable"},
		{"garbage", func(string) *http.Response { return respond(200, "busy") }, "the answer is no JSON: invalid character 'b' looking for beginning of value"},
		{"another service", func(string) *http.Response { return respond(200, `{"status":"ok"}`) }, "no list of applications: this is no answer of Eureka's"},
		{"nothing", func(string) *http.Response { return respond(200, "") }, "the answer is cut short"},
		{"truncated", func(string) *http.Response {
			return respond(200, `{"applications":{"application":[{"name":"ORDERS","instance":[`)
		}, "the answer is cut short"},
		{"more than an answer", func(string) *http.Response { return respond(200, `{"applications":{}} {}`) }, "something follows the list of applications"},
		{"a login page", func(string) *http.Response {
			r := respond(200, "<html>")
			r.Header.Set("Content-Type", "text/html;charset=UTF-8")
			return r
		}, "the answer is text/html rather than JSON: is this the base URL of Eureka, and not a login page before it?"},
		{"cut off", func(string) *http.Response {
			r := respond(200, "")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"applications":`), failing{}))
			return r
		}, "connection reset"},
	} {
		t.Run(test.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newServer()
				s.put("ORDERS", "1", nil)
				s.put("ORDERS", "2", nil)
				b := follow(t, nil, s)
				b.after(time.Second)
				s.fault(test.answer)
				p := b.after(polls(2))
				holds(t, "during the outage", p, "ORDERS", 2)
				if err := p.States[Scope]; err == nil || !strings.HasSuffix(err.Error(), test.want) {
					t.Errorf("got state %v, want %s", err, test.want)
				}
				s.fault(nil)
				p = b.after(polls(1))
				if p.States[Scope] != nil || p.Removals != 0 || p.Reports != 1 {
					t.Errorf("after the outage: state %v, %d removals, %d reports", p.States[Scope], p.Removals, p.Reports)
				}
			})
		})
	}
}

// failing is a connection that breaks.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errReset }

func TestAnOutageAtTheStartIsUnknown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		s.put("ORDERS", "1", nil)
		s.fault(func(string) *http.Response { return respond(http.StatusForbidden, "") })
		b := follow(t, nil, s)
		p := b.after(4 * time.Minute)
		if p.States[Scope] == nil || p.Snapshots[Scope] != 0 {
			t.Fatalf("got state %v and %d snapshots, want unknown", p.States[Scope], p.Snapshots[Scope])
		}
		s.fault(nil)
		holds(t, "after it", b.after(polls(1)), "ORDERS", 1)
	})
}

func TestALongGapCausesAFullRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		s.put("ORDERS", "1", nil)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.fault(refused)
		b.after(4 * time.Minute)
		s.put("ORDERS", "1", func(r *registered) { r.address = "10.0.0.9" }) // same hash
		s.mu.Lock()
		s.queue = nil // too long ago
		s.mu.Unlock()
		s.asked()
		s.fault(nil)
		p := b.after(polls(1))
		if at := p.Service("ORDERS").Instances[0].Address; at != "10.0.0.9" || s.asked()["/apps"] != 1 {
			t.Errorf("got address %s, want the new one by one full read", at)
		}
	})
}

func TestSlowPollsReadEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		fill(s, 2)
		b := follow(t, func(c *Config) { c.Interval, c.Resync = 5*time.Minute, time.Hour }, s)
		b.after(time.Second)
		s.remove("ORDERS", "1")
		holds(t, "after a poll", b.after(6*time.Minute), "ORDERS", 1)
		if diff := cmp.Diff(map[string]int{"/apps": 2}, s.asked()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

func TestAServerThatIsDownIsNotHammered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		s.fault(refused)
		b := follow(t, nil, s)
		b.after(10 * time.Minute)
		if n := s.asked()["/apps"]; n < 15 || n > 30 {
			t.Errorf("%d requests in ten minutes", n)
		}
	})
}

func TestAStatusThatChangesNothingIsNoReport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		s.put("ORDERS", "1", func(r *registered) { r.status = "STARTING" })
		b := follow(t, nil, s)
		b.after(time.Second)
		s.put("ORDERS", "1", func(r *registered) { r.status = "DOWN" })
		if p := b.after(polls(1)); p.Reports != 1 {
			t.Errorf("%d reports, want the first", p.Reports)
		}
		if asked := s.asked(); asked["/apps"] != 1 {
			t.Errorf("got requests %v, want the hash to fit", asked)
		}
	})
}

func TestASlowAnswerEndsAfterTheTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		s.put("ORDERS", "1", nil)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.fault(func(string) *http.Response {
			r := respond(200, "")
			r.Body = &dripping{end: time.Now().Add(30*time.Second + time.Millisecond)}
			return r
		})
		p := b.after(70 * time.Second)
		if err := p.States[Scope]; err == nil || !strings.HasSuffix(err.Error(), "no whole answer within 30s") {
			t.Errorf("got state %v, want a word on the timeout", err)
		}
	})
}

// dripping is a body that comes byte by byte, until its request has timed out.
type dripping struct{ end time.Time }

func (d *dripping) Read(p []byte) (int, error) {
	if !time.Now().Before(d.end) {
		return 0, errReset
	}
	time.Sleep(time.Second)
	p[0] = ' '
	return 1, nil
}

func (*dripping) Close() error { return nil }
