package consul

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"meshbridge/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agent is a Consul in memory as far as faults need one: registrations, checks, indexes and blocking queries, and the
// faults that a test asks for. The real one is in test/integration/consul.
type agent struct {
	mu       sync.Mutex
	index    uint64
	changed  chan struct{}
	services map[string]map[string]*registered // by name and ID
	node     string
	requests map[string]int
	fault    func(r *http.Request) *http.Response // instead of the real answer, where it is one; it may block
	last     *http.Request
}

type registered struct {
	port   int
	status string
	output string
	index  uint64
}

func newAgent() *agent {
	return &agent{index: 10, changed: make(chan struct{}), services: map[string]map[string]*registered{}, node: "10.0.1.1", requests: map[string]int{}}
}

// change changes what is registered and wakes blocking queries.
func (a *agent) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.index++
	f()
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *agent) put(name string, ids ...string) {
	a.change(func() {
		a.services[name] = map[string]*registered{}
		for _, id := range ids {
			a.services[name][id] = &registered{port: 8080, status: api.HealthPassing, index: a.index}
		}
	})
}

func (a *agent) remove(name string) { a.change(func() { delete(a.services, name) }) }

// spoil has the agent answer in another way; nil ends it. Queries that block are answered at once.
func (a *agent) spoil(fault func(r *http.Request) *http.Response) {
	a.change(func() { a.fault = fault })
}

// asked is how often each path was asked for since the last time.
func (a *agent) asked() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := maps.Clone(a.requests)
	clear(a.requests)
	return was
}

func (*agent) close() {}

// RoundTrip answers as an agent does.
func (a *agent) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.requests[r.URL.Path]++
	a.last = r
	fault, changed := a.fault, a.changed
	asked, _ := strconv.ParseUint(r.URL.Query().Get("index"), 10, 64)
	a.mu.Unlock()
	if fault != nil {
		if answer := fault(r); answer != nil {
			return answer, nil
		}
	}
	if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil && asked >= a.at() {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-changed:
		case <-timer.C:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		a.mu.Lock()
		fault = a.fault
		a.mu.Unlock()
		if fault != nil {
			if answer := fault(r); answer != nil {
				return answer, nil
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	body, found := a.body(r.URL.Path)
	if !found {
		return reply(http.StatusUnauthorized, "ACL support disabled"), nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return a.answer(string(text)), nil
}

func (a *agent) at() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.index
}

// answer is a good answer at the current index.
func (a *agent) answer(body string) *http.Response {
	response := reply(http.StatusOK, body)
	response.Header.Set("X-Consul-Index", strconv.FormatUint(a.index, 10))
	return response
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(body)))}
}

// body is what is at a path.
func (a *agent) body(path string) (body any, found bool) {
	node := map[string]any{"Node": "n1", "Address": a.node, "Datacenter": "dc1"}
	service := func(name, id string) map[string]any {
		r := a.services[name][id]
		return map[string]any{"ID": name + "-" + id, "Service": name, "Address": "10.0.0." + id, "Port": r.port, "ModifyIndex": r.index}
	}
	check := func(name, id string) map[string]any {
		r := a.services[name][id]
		return map[string]any{"Node": "n1", "CheckID": "check:" + name + id, "Status": r.status, "Output": r.output, "ServiceID": name + "-" + id, "ServiceName": name}
	}
	all := func(each func(name, id string) map[string]any) []any {
		list := []any{}
		for _, name := range slices.Sorted(maps.Keys(a.services)) {
			for _, id := range slices.Sorted(maps.Keys(a.services[name])) {
				list = append(list, each(name, id))
			}
		}
		return list
	}
	switch {
	case path == pathServices:
		names := map[string][]string{ownService: {}}
		for name := range a.services {
			names[name] = []string{}
		}
		return names, true
	case path == pathNodes:
		return []any{node}, true
	case path == pathChecks:
		return all(check), true
	case strings.HasPrefix(path, pathNode):
		return map[string]any{"Node": node, "Services": all(service)}, true
	case strings.HasPrefix(path, pathService):
		entries := []any{}
		name := strings.TrimPrefix(path, pathService)
		for _, id := range slices.Sorted(maps.Keys(a.services[name])) {
			entries = append(entries, map[string]any{"Node": node, "Service": service(name, id), "Checks": []any{check(name, id)}})
		}
		return entries, true
	}
	return nil, false
}

// followed runs a test with a source that follows the agent, singly or sweeping, in a bubble of its own.
func followed(t *testing.T, change func(*Config), test func(t *testing.T, a *agent, r *sourcetest.Recorder)) {
	for way, watches := range map[string]int{"singly": 128, "sweeping": 0} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAgent()
				a.put("orders", "1", "2")
				a.put("stock", "3")
				cfg := Default()
				cfg.Address, cfg.Watches = "http://consul:8500", watches
				if change != nil {
					change(&cfg)
				}
				src, err := New(cfg, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				src.transport = func(Config) transport { return a }
				r, _ := sourcetest.Start(t, src)
				r.Wait(t, "both services", both)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				a.asked()
				test(t, a, r)
			})
		})
	}
}

func both(p sourcetest.Picture) bool { return p.Instances("orders") == 2 && p.Instances("stock") == 1 }
