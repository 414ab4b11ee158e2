package eureka

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"meshbridge/sources/dubbo"
	"meshbridge/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// registered is an instance as a fake server has it.
type registered struct {
	app, id, address, status string
	port                     int
	metadata                 map[string]string
	updated                  int64
}

func (r registered) json(action string) map[string]any {
	return map[string]any{
		"instanceId": r.id, "app": r.app, "hostName": "host-" + r.id, "ipAddr": r.address, "status": r.status, "overriddenStatus": "UNKNOWN",
		"port": map[string]any{"$": r.port, "@enabled": "true"}, "securePort": map[string]any{"$": 443, "@enabled": "false"},
		"metadata": r.metadata, "vipAddress": strings.ToLower(r.app),
		"lastUpdatedTimestamp": strconv.FormatInt(r.updated, 10), "actionType": action,
	}
}

// changed is an entry of a fake server's queue.
type changed struct {
	registered
	action string
	at     time.Time
}

// server is a Eureka in memory, with the queue and the hash of a real one, and with the faults that a test asks for.
type server struct {
	mu       sync.Mutex
	held     map[[2]string]registered
	queue    []changed
	requests map[string]int
	answer   func(path string) *http.Response // instead of the real one, where it is one
	last     *http.Request
	hash     string // instead of the real one
}

func newServer() *server {
	return &server{held: map[[2]string]registered{}, requests: map[string]int{}}
}

// put registers an instance or changes it.
func (s *server) put(app, id string, change func(*registered)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [2]string{app, id}
	r, found := s.held[key]
	if !found {
		r = registered{app: app, id: id, address: "10.0.0." + id, port: 8080, status: "UP", metadata: map[string]string{"zone": "a"}}
	}
	if change != nil {
		r.metadata = maps.Clone(r.metadata)
		change(&r)
	}
	r.updated = time.Now().UnixMilli()
	s.held[key] = r
	s.queue = append(s.queue, changed{r, map[bool]string{true: "MODIFIED", false: "ADDED"}[found], time.Now()})
}

func (s *server) remove(app, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [2]string{app, id}
	if r, found := s.held[key]; found {
		r.updated = time.Now().UnixMilli()
		delete(s.held, key)
		s.queue = append(s.queue, changed{r, "DELETED", time.Now()})
	}
}

// restart forgets everything.
func (s *server) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.held)
	s.queue = nil
}

// fault has the server answer in another way; nil ends it.
func (s *server) fault(answer func(path string) *http.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// asked is how often a path was asked for since the last time.
func (s *server) asked() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := maps.Clone(s.requests)
	clear(s.requests)
	return was
}

// body is the answer to a path.
func (s *server) body(path string) []byte {
	apps := map[string][]any{}
	counts := map[string]int{}
	for _, key := range slices.SortedFunc(maps.Keys(s.held), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		r := s.held[key]
		counts[r.status]++
		if path == "/apps" {
			apps[r.app] = append(apps[r.app], r.json("ADDED"))
		}
	}
	if path == "/apps/delta" {
		s.queue = slices.DeleteFunc(s.queue, func(c changed) bool { return time.Since(c.at) > 3*time.Minute })
		for _, c := range s.queue {
			r := c.registered
			if now, found := s.held[[2]string{r.app, r.id}]; found && c.action != "DELETED" {
				r = now
			}
			apps[r.app] = append(apps[r.app], r.json(c.action))
		}
	}
	hash := s.hash
	if hash == "" {
		for _, status := range slices.Sorted(maps.Keys(counts)) {
			hash += fmt.Sprintf("%s_%d_", status, counts[status])
		}
	}
	list := []any{}
	for _, app := range slices.Sorted(maps.Keys(apps)) {
		list = append(list, map[string]any{"name": app, "instance": apps[app]})
	}
	text, err := json.Marshal(map[string]any{"applications": map[string]any{"versions__delta": "1", "apps__hashcode": hash, "application": list}})
	if err != nil {
		panic(err)
	}
	return text
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/eureka")
	s.requests[path]++
	s.last = r
	if s.answer != nil {
		if response := s.answer(path); response != nil {
			response.Request = r
			if response.StatusCode == 0 {
				return nil, errors.New("connection refused")
			}
			return response, nil
		}
	}
	if path != "/apps" && path != "/apps/delta" {
		return respond(http.StatusNotFound, ""), nil
	}
	return respond(http.StatusOK, string(s.body(path))), nil
}

// respond makes a response in JSON.
func respond(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

// refused is no response at all.
func refused(string) *http.Response { return &http.Response{} }

// withoutDeltas has the server answer with a status when it is asked for a delta.
func (s *server) withoutDeltas(status int) {
	s.fault(func(path string) *http.Response {
		if path == "/apps/delta" {
			return respond(status, "")
		}
		return nil
	})
}

func zipped(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// cluster is a transport to fake servers by host name.
type cluster map[string]*server

func (c cluster) RoundTrip(r *http.Request) (*http.Response, error) {
	s := c[r.URL.Hostname()]
	if s == nil {
		return nil, errors.New("no such host")
	}
	return s.RoundTrip(r)
}

func (cluster) CloseIdleConnections() {}

// bench follows fake servers in a bubble of fake time.
type bench struct {
	t    *testing.T
	sink *sourcetest.Recorder
	stop func()
	log  *strings.Builder
}

// follow starts to follow the servers a, b and so on; it ends with the test.
func follow(t *testing.T, change func(*Config), servers ...*server) *bench {
	t.Helper()
	c := Default()
	c.Region = "eu"
	all := cluster{}
	for i, s := range servers {
		host := string(rune('a' + i))
		all[host] = s
		c.Servers = append(c.Servers, Server("http://"+host+"/eureka"))
	}
	if change != nil {
		change(&c)
	}
	b := &bench{t: t, log: &strings.Builder{}}
	src, err := New(c, slog.New(slog.NewTextHandler(b.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	src.transport = func(Config) transport { return all }
	src.random = rand.New(rand.NewPCG(1, 2))
	b.sink, b.stop = sourcetest.Start(t, src)
	return b
}

// after lets time pass and is what was reported then.
func (b *bench) after(d time.Duration) sourcetest.Picture {
	b.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	p, _ := b.sink.Picture()
	for _, w := range p.Wrong {
		b.t.Error(w)
	}
	return p
}

// polls is long enough for n polls of the default interval, jitter included, and for not one more.
func polls(n int) time.Duration { return time.Duration(n) * 33 * time.Second }

// written writes services for comparison.
func written(p sourcetest.Picture) string {
	var out strings.Builder
	for _, s := range p.Services {
		fmt.Fprintf(&out, "%s\n", s.Name)
		for _, i := range s.Instances {
			fmt.Fprintf(&out, "  %s at %s", i.ID, i.Address)
			for _, p := range i.Ports {
				fmt.Fprintf(&out, " %s:%d", p.Protocol, p.Number)
			}
			fmt.Fprintf(&out, " weight %d", i.Weight)
			if i.Locality != "" {
				fmt.Fprintf(&out, " in %s", i.Locality)
			}
			if !i.Healthy {
				out.WriteString(" unhealthy")
			}
			if !i.Enabled {
				out.WriteString(" disabled")
			}
			for _, key := range slices.Sorted(maps.Keys(i.Metadata)) {
				if !dubbo.IsVolatile(volatile(), key) {
					fmt.Fprintf(&out, " %s=%s", key, i.Metadata[key])
				}
			}
			out.WriteString("\n")
		}
		for _, f := range s.Skipped {
			fmt.Fprintf(&out, "  skipped %s: %s\n", f.Where, f.Reason)
		}
	}
	return out.String()
}
