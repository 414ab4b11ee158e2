package nacos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/nacos-group/nacos-sdk-go/v2/api/grpc"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	"meshbridge/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a Nacos 3 in memory, as far as this package asks it, for faults that a real one does not show on demand.
type fake struct {
	pb.UnimplementedRequestServer
	pb.UnimplementedBiRequestStreamServer

	t    *testing.T
	web  *httptest.Server
	grpc int // port

	mu       sync.Mutex
	services map[string]map[serviceID][]string // instances as JSON, by namespace
	tokens   map[string]bool                   // accepted; nil for all
	logins   int
	streams  map[pb.BiRequestStream_RequestBiStreamServer]bool
	// list and ask may answer in the server's place: a status other than 0, or a body.
	list func(namespace string, page int) (status int, body string)
	ask  func(ctx context.Context, kind, namespace string, id serviceID) (body string)
	// calls counts requests, by kind and service.
	calls map[string]int
}

func newFake(t *testing.T) *fake {
	f := &fake{
		t: t, services: map[string]map[serviceID][]string{public: {}}, calls: map[string]int{},
		streams: map[pb.BiRequestStream_RequestBiStreamServer]bool{},
	}
	f.web = httptest.NewServer(f)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterRequestServer(server, f)
	pb.RegisterBiRequestStreamServer(server, f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	f.grpc = listener.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() {
		server.Stop()
		<-done
		f.web.Close()
	})
	return f
}

// config follows the fake with intervals that suit tests.
func (f *fake) config() Config {
	c := Default()
	c.Servers, c.GRPCPort, c.Interval, c.Timeout = []string{f.web.URL}, f.grpc, time.Second, time.Second
	return c
}

// follow runs a source until the test ends. change makes of the configuration what would not be valid, because it is short.
func follow(t *testing.T, c Config, change ...func(*Config)) *sourcetest.Recorder {
	t.Helper()
	src, err := New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, ch := range change {
		ch(&src.cfg)
	}
	r, _ := sourcetest.Start(t, src)
	return r
}

func often(c *Config) { c.Interval = 50 * time.Millisecond }

// set changes what the server holds and tells nobody.
func (f *fake) set(namespace, group, name string, hosts ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.services[namespace] == nil {
		f.services[namespace] = map[serviceID][]string{}
	}
	f.services[namespace][serviceID{group, name}] = hosts
}

func (f *fake) remove(namespace, group, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.services[namespace], serviceID{group, name})
}

// put changes what the server holds of a service of the default group, and pushes it.
func (f *fake) put(name string, hosts ...string) {
	f.set(public, "DEFAULT_GROUP", name, hosts...)
	f.push(serviceJSON(serviceID{"DEFAULT_GROUP", name}, hosts))
}

// push sends a body as a push to every connection.
func (f *fake) push(service string) {
	f.send("NotifySubscriberRequest", `{"requestId":"7","serviceInfo":`+service+`}`)
}

func (f *fake) send(kind, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.streams {
		_ = s.Send(&pb.Payload{Metadata: &pb.Metadata{Type: kind}, Body: &anypb.Any{Value: []byte(body)}})
	}
}

func (f *fake) hook(list func(string, int) (int, string), ask func(context.Context, string, string, serviceID) string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list, f.ask = list, ask
}

func (f *fake) count(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[call]
}

// waitFor waits until a call has come so often.
func (f *fake) waitFor(t *testing.T, call string, times int) {
	t.Helper()
	for deadline := time.Now().Add(sourcetest.Patience); f.count(call) < times; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s came %d times, want %d", call, f.count(call), times)
		}
	}
}

func host8080(ip string, more ...string) string {
	return fmt.Sprintf(`{"ip":%q,"port":8080,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT"%s}`, ip, strings.Join(more, ""))
}

func serviceJSON(id serviceID, hosts []string) string {
	return fmt.Sprintf(`{"name":%q,"groupName":%q,"hosts":[%s],"lastRefTime":1}`, id.name, id.group, strings.Join(hosts, ","))
}

func (f *fake) page(namespace string, page int) string {
	ids := slices.SortedFunc(maps.Keys(f.services[namespace]), compareIDs)
	var items []string
	for _, id := range ids[min((page-1)*pageSize, len(ids)):min(page*pageSize, len(ids))] {
		n := len(f.services[namespace][id])
		items = append(items, fmt.Sprintf(`{"name":%q,"groupName":%q,"ipCount":%d,"healthyInstanceCount":%d}`, id.name, id.group, n, n))
	}
	return fmt.Sprintf(`{"code":0,"data":{"totalCount":%d,"pageItems":[%s]}}`, len(ids), strings.Join(items, ","))
}

// ServeHTTP implements [http.Handler].
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/nacos")
	f.calls[path]++
	namespace := r.URL.Query().Get("namespaceId")
	if path == "/v3/auth/user/login" {
		if r.FormValue("password") != "right" {
			http.Error(w, "unknown user!", http.StatusForbidden)
			return
		}
		f.logins++
		fmt.Fprintf(w, `{"accessToken":"token-%d","tokenTtl":18000}`, f.logins)
		return
	}
	if f.tokens != nil && !f.tokens[r.Header.Get("accessToken")] {
		http.Error(w, `{"message":"token expired!"}`, http.StatusForbidden)
		return
	}
	switch path {
	case "/v3/admin/core/namespace/list":
		var items []string
		for _, id := range slices.Sorted(maps.Keys(f.services)) {
			items = append(items, fmt.Sprintf(`{"namespace":%q}`, id))
		}
		fmt.Fprintf(w, `{"code":0,"data":[%s]}`, strings.Join(items, ","))
	case "/v3/admin/ns/service/list":
		page, _ := strconv.Atoi(r.URL.Query().Get("pageNo"))
		if f.list != nil {
			if status, body := f.list(namespace, page); status != 0 {
				http.Error(w, body, status)
				return
			} else if body != "" {
				fmt.Fprint(w, body)
				return
			}
		}
		fmt.Fprint(w, f.page(namespace, page))
	default:
		http.NotFound(w, r)
	}
}

// Request implements [pb.RequestServer].
func (f *fake) Request(ctx context.Context, p *pb.Payload) (*pb.Payload, error) {
	var request struct {
		Namespace   string `json:"namespace"`
		GroupName   string `json:"groupName"`
		ServiceName string `json:"serviceName"`
	}
	_ = json.Unmarshal(p.GetBody().GetValue(), &request)
	id := serviceID{request.GroupName, request.ServiceName}
	kind := p.GetMetadata().GetType()
	f.mu.Lock()
	f.calls[kind+" "+id.name]++
	ask, refused := f.ask, f.tokens != nil && !f.tokens[p.GetMetadata().GetHeaders()["accessToken"]] && id.name != ""
	hosts := f.services[request.Namespace][id]
	f.mu.Unlock()
	body := ""
	if ask != nil {
		body = ask(ctx, kind, request.Namespace, id)
	}
	switch {
	case body != "":
	case refused:
		body = `{"resultCode":500,"errorCode":403,"message":"token expired!"}`
	case id.name != "":
		body = `{"resultCode":200,"serviceInfo":` + serviceJSON(id, hosts) + `}`
	default:
		body = `{"resultCode":200}`
	}
	return &pb.Payload{Body: &anypb.Any{Value: []byte(body)}}, nil
}

// RequestBiStream implements [pb.BiRequestStreamServer].
func (f *fake) RequestBiStream(s pb.BiRequestStream_RequestBiStreamServer) error {
	f.mu.Lock()
	f.streams[s] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.streams, s)
		f.mu.Unlock()
	}()
	for {
		p, err := s.Recv()
		if err != nil {
			return nil
		}
		f.mu.Lock()
		f.calls[p.GetMetadata().GetType()]++
		f.mu.Unlock()
	}
}

func has(name string, n int) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool { return p.Instances(name) == n }
}

func unknown(p sourcetest.Picture) bool {
	for _, err := range p.States {
		if err != nil {
			return true
		}
	}
	return false
}

// well says that every scope was reported and none is unknown.
func well(p sourcetest.Picture) bool { return len(p.Snapshots) > 0 && !unknown(p) }
