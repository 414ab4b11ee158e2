package nacos

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"meshbridge/sources/sourcetest"
)

func TestAPushOnlySaysWhereToLookAgain(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"), host8080("10.0.0.2"))
	f.set(public, "DEFAULT_GROUP", "other", host8080("10.0.0.3"))
	r := follow(t, f.config())
	r.Wait(t, "the first report", has("orders", 2))
	before := f.count("SubscribeServiceRequest orders")
	for _, claim := range [][]string{nil, {host8080("6.6.6.6")}} { // of which the server, asked, knows nothing
		f.push(serviceJSON(serviceID{"DEFAULT_GROUP", "orders"}, claim))
	}
	f.waitFor(t, "SubscribeServiceRequest orders", before+1) // it is looked at again
	f.put("other", host8080("10.0.0.3"), host8080("10.0.0.4"))
	p := r.Wait(t, "the change that is one", has("other", 2))
	if p.Removals > 0 || p.Instances("orders") != 2 || p.Service("orders").Instances[0].Address != "10.0.0.1" {
		t.Errorf("the pushes were believed: %+v", p.Service("orders"))
	}
}

func TestAPushOfWhatIsHeldAsksNothing(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"), host8080("10.0.0.2"))
	f.set(public, "DEFAULT_GROUP", "other", host8080("10.0.0.9"))
	r := follow(t, f.config())
	r.Wait(t, "the first report", func(p sourcetest.Picture) bool { return p.Instances("orders") == 2 && p.Instances("other") == 1 })
	before := f.count("SubscribeServiceRequest orders")
	f.push(serviceJSON(serviceID{"DEFAULT_GROUP@@orders", "DEFAULT_GROUP@@orders"}, []string{host8080("10.0.0.2"), host8080("10.0.0.1")}))
	for n := 2; n <= 4; n++ { // reads of one service have pauses between them, longer than a read of orders could wait
		var hosts []string
		for i := range n {
			hosts = append(hosts, host8080(fmt.Sprintf("10.0.1.%d", i+1)))
		}
		f.put("other", hosts...)
		r.Wait(t, "a change of another service", has("other", n))
	}
	if n := f.count("SubscribeServiceRequest orders") - before; n != 0 {
		t.Errorf("%d questions without a change", n)
	}
}

func TestWhatChangesWhileItIsReadIsReadAgain(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	r := follow(t, f.config())
	r.Wait(t, "the first report", has("orders", 1))
	reading, answer := make(chan struct{}, 1), make(chan struct{})
	once := sync.OnceFunc(func() { reading <- struct{}{}; <-answer })
	f.hook(nil, func(_ context.Context, _, _ string, id serviceID) string {
		if id.name != "orders" {
			return ""
		}
		old := `{"resultCode":200,"serviceInfo":` + serviceJSON(id, []string{host8080("10.0.0.2")}) + `}`
		select {
		case <-answer:
			return ""
		default:
			once()
			return old
		}
	})
	f.push(serviceJSON(plain("orders"), []string{host8080("10.0.0.2")}))
	<-reading
	f.put("orders", host8080("10.0.0.3")) // as many as before, so that no list tells of it
	waitFor(t, func() bool { return f.count("NotifySubscriberResponse") == 2 })
	close(answer)
	r.Wait(t, "what it is now", func(p sourcetest.Picture) bool { return p.Service("orders").Instances[0].Address == "10.0.0.3" })
}

// states is a recorder that remembers every state that was bad.
type states struct {
	*sourcetest.Recorder
	mu  sync.Mutex
	bad []error
}

func (s *states) State(scope string, err error) {
	if err != nil {
		s.mu.Lock()
		s.bad = append(s.bad, err)
		s.mu.Unlock()
	}
	s.Recorder.State(scope, err)
}

func TestOneListThatFailsIsNoState(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	src, err := New(f.config(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	often(&src.cfg)
	ctx, cancel := context.WithCancel(t.Context())
	sink, done := &states{Recorder: sourcetest.NewRecorder()}, make(chan struct{})
	go func() {
		defer close(done)
		_ = src.Run(ctx, sink)
	}()
	defer func() {
		cancel()
		<-done
	}()
	sink.Wait(t, "the first report", has("orders", 1))
	failed := make(chan struct{})
	over := false
	f.hook(func(string, int) (int, string) {
		if over {
			return 0, ""
		}
		over = true
		close(failed)
		return http.StatusInternalServerError, ""
	}, nil)
	<-failed
	before := f.count("/v3/admin/ns/service/list")
	waitFor(t, func() bool { return f.count("/v3/admin/ns/service/list") > before+1 })
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if len(sink.bad) > 0 {
		t.Errorf("got states %v", sink.bad)
	}
}

func TestALostPushIsFoundByTheCountsOfTheList(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	r := follow(t, f.config(), often)
	r.Wait(t, "the first report", has("orders", 1))
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"), host8080("10.0.0.2"))
	r.Wait(t, "the second instance", has("orders", 2))
}

func TestALostPushThatChangesNoCountIsFoundByReadingAgain(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	r := follow(t, f.config(), func(c *Config) { c.Reread = 100 * time.Millisecond })
	r.Wait(t, "the first report", has("orders", 1))
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.2"))
	r.Wait(t, "the other instance", func(p sourcetest.Picture) bool { return p.Service("orders").Instances[0].Address == "10.0.0.2" })
}

func TestAServerWhoseClockGoesBackIsBelieved(t *testing.T) {
	f := newFake(t)
	f.put("orders", host8080("10.0.0.1"))
	r := follow(t, f.config())
	r.Wait(t, "the first report", has("orders", 1))
	// Every answer and push of the fake bears the same time: a client that compared times would drop the second.
	f.put("orders", host8080("10.0.0.1"), host8080("10.0.0.2"))
	r.Wait(t, "the second instance", has("orders", 2))
}

func TestPagesThatMoveRemoveNothing(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "a", host8080("10.0.0.1"))
	f.set(public, "DEFAULT_GROUP", "b", host8080("10.0.0.2"))
	r := follow(t, f.config(), often)
	r.Wait(t, "both", func(p sourcetest.Picture) bool { return p.Instances("a") == 1 && p.Instances("b") == 1 })
	looks := 0
	f.hook(func(_ string, page int) (int, string) {
		// Another two services are told of than are there: b slipped from the second page to the first between the two.
		if page == 1 {
			looks++
			return 0, `{"code":0,"data":{"totalCount":3,"pageItems":[{"name":"a","groupName":"DEFAULT_GROUP"}]}}`
		}
		return 0, fmt.Sprintf(`{"code":0,"data":{"totalCount":%d,"pageItems":[{"name":"c","groupName":"DEFAULT_GROUP"}]}}`, 3+looks%2)
	}, nil)
	f.set(public, "DEFAULT_GROUP", "c", host8080("10.0.0.3"))
	p := r.Wait(t, "what is new all the same", has("c", 1))
	for range 4 * listTries {
		before := f.count("/v3/admin/ns/service/list")
		waitFor(t, func() bool { return f.count("/v3/admin/ns/service/list") > before })
	}
	if p, _ = r.Picture(); p.Removals > 0 || unknown(p) {
		t.Errorf("got %d removals, states %v", p.Removals, p.States)
	}
}

func TestAServiceIsGoneAfterTwoLists(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "stays", host8080("10.0.0.1"))
	f.set(public, "DEFAULT_GROUP", "goes", host8080("10.0.0.2"))
	r := follow(t, f.config(), often)
	r.Wait(t, "both", func(p sourcetest.Picture) bool { return p.Instances("stays") == 1 && p.Instances("goes") == 1 })

	missed := make(chan struct{})
	once := false
	f.hook(func(string, int) (int, string) {
		if once {
			return 0, ""
		}
		once = true
		close(missed)
		return 0, `{"code":0,"data":{"totalCount":1,"pageItems":[{"name":"stays","groupName":"DEFAULT_GROUP"}]}}`
	}, nil)
	<-missed
	before := f.count("/v3/admin/ns/service/list")
	waitFor(t, func() bool { return f.count("/v3/admin/ns/service/list") > before+2 })
	if p, _ := r.Picture(); p.Removals > 0 {
		t.Fatal("one list without it removed a service")
	}
	f.remove(public, "DEFAULT_GROUP", "goes")
	r.Wait(t, "it is gone", has("goes", -1))
	waitFor(t, func() bool { return f.count("SubscribeServiceRequest goes") >= 2 }) // the end of the subscription
}

func TestServerErrorsOfTheListMakeTheScopeUnknownAndRemoveNothing(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	r := follow(t, f.config(), often)
	r.Wait(t, "the first report", has("orders", 1))
	for name, answer := range map[string]func(string, int) (int, string){
		"500":       func(string, int) (int, string) { return http.StatusInternalServerError, "database down" },
		"garbage":   func(string, int) (int, string) { return 0, "<html>" },
		"no data":   func(string, int) (int, string) { return 0, `{"code":0}` },
		"forbidden": func(string, int) (int, string) { return http.StatusForbidden, "" },
		"gone":      func(string, int) (int, string) { return http.StatusGone, "" },
	} {
		f.hook(answer, nil)
		p := r.Wait(t, name+": unknown", unknown)
		if p.Removals > 0 || p.Instances("orders") != 1 {
			t.Errorf("%s: removed %d", name, p.Removals)
		}
		f.hook(nil, nil)
		p = r.Wait(t, name+": known again", well)
		if p.Removals > 0 {
			t.Errorf("%s: the recovery removed %d", name, p.Removals)
		}
	}
}

func TestAnAnswerWithoutAListOfInstancesIsUnknown(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	f.set(public, "DEFAULT_GROUP", "other", host8080("10.0.0.2"))
	r := follow(t, f.config(), often)
	r.Wait(t, "the first report", func(p sourcetest.Picture) bool { return p.Instances("orders") == 1 && p.Instances("other") == 1 })
	for _, body := range []string{
		`{"resultCode":200}`, `{"resultCode":200,"serviceInfo":null}`, `{"resultCode":200,"serviceInfo":{"hosts":null}}`,
		`{"resultCode":500,"errorCode":503,"message":"over threshold"}`, `{"resultCode":500,"errorCode":403,"serviceInfo":{"hosts":[]}}`, `{`, `[]`,
	} {
		f.hook(nil, func(_ context.Context, kind, _ string, id serviceID) string {
			if id.name == "orders" && kind == "SubscribeServiceRequest" {
				return body
			}
			return ""
		})
		f.put("orders")
		p := r.Wait(t, body+": a fault", func(p sourcetest.Picture) bool {
			return len(p.Faults) == 1 && p.Faults[0].Where == "DEFAULT_GROUP@@orders"
		})
		if p.Instances("orders") != 1 || unknown(p) {
			t.Errorf("%s: got %+v, states %v", body, p.Service("orders"), p.States)
		}
		f.hook(nil, nil)
		f.put("orders", host8080("10.0.0.1"))
		r.Wait(t, body+": no fault", func(p sourcetest.Picture) bool { return len(p.Faults) == 0 })
	}
}

func TestAScopeOfWhichNoServiceCanBeReadIsUnknown(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	f.set(public, "DEFAULT_GROUP", "other", host8080("10.0.0.2"))
	f.hook(nil, func(_ context.Context, _, _ string, id serviceID) string {
		if id.name == "" {
			return ""
		}
		return `{"resultCode":500,"errorCode":403,"message":"authorization failed!"}`
	})
	r := follow(t, f.config())
	if p := r.Wait(t, "unknown", unknown); p.Snapshots[public] != 0 {
		t.Errorf("reported %+v", p.Services)
	}
	f.hook(nil, nil)
	r.Wait(t, "known", func(p sourcetest.Picture) bool { return len(p.Services) == 2 && !unknown(p) && len(p.Faults) == 0 })
}

func TestTheFirstReportWaitsOutAServerThatIsBusy(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	f.set(public, "DEFAULT_GROUP", "other", host8080("10.0.0.2"))
	asked := make(chan struct{}, 100)
	f.hook(nil, func(_ context.Context, _, _ string, id serviceID) string {
		if id.name != "orders" || len(asked) == cap(asked) {
			return ""
		}
		asked <- struct{}{}
		if len(asked) == 1 {
			return `{"resultCode":500,"errorCode":503,"message":"over threshold"}`
		}
		return ""
	})
	r := follow(t, f.config())
	p := r.Wait(t, "a report", func(p sourcetest.Picture) bool { return len(p.Services) > 0 })
	if p.Instances("orders") != 1 || p.Instances("other") != 1 {
		t.Errorf("the first report lacks something: %+v", p.Services)
	}
}

func TestAServiceThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	f.set(public, "DEFAULT_GROUP", "slow", host8080("10.0.0.2"))
	f.hook(nil, func(ctx context.Context, _, _ string, id serviceID) string {
		if id.name == "slow" {
			<-ctx.Done()
			return `{"resultCode":500,"errorCode":503,"message":"too late"}`
		}
		return ""
	})
	r := follow(t, f.config(), often, func(c *Config) { c.Timeout = 100 * time.Millisecond })
	r.Wait(t, "the other one, and the fault", func(p sourcetest.Picture) bool { return p.Instances("orders") == 1 && len(p.Faults) == 1 })
	f.put("orders", host8080("10.0.0.1"), host8080("10.0.0.2"))
	p := r.Wait(t, "its change", has("orders", 2))
	if p.Instances("slow") != -1 {
		t.Errorf("what was never read is reported: %+v", p.Service("slow"))
	}
}

func TestAPushThatIsNoJSONMakesEverythingReadAgain(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	r := follow(t, f.config())
	r.Wait(t, "the first report", has("orders", 1))
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.2"))
	f.send("NotifySubscriberRequest", `{"serviceInfo":[`)
	p := r.Wait(t, "the change", func(p sourcetest.Picture) bool {
		return !unknown(p) && p.Service("orders").Instances[0].Address == "10.0.0.2"
	})
	if p.Snapshots[public] != 1 {
		t.Errorf("%d snapshots; want what changed, as an update", p.Snapshots[public])
	}
}

func TestAServerMayAskForAnotherOne(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	r := follow(t, f.config())
	r.Wait(t, "the first report", has("orders", 1))
	f.send("ClientDetectionRequest", `{"requestId":"1"}`)
	waitFor(t, func() bool { return f.count("ClientDetectionResponse") == 1 })
	f.send("ConnectResetRequest", `{"requestId":"2","serverIp":"10.0.0.9","serverPort":"8848"}`)
	waitFor(t, func() bool { return f.count("ConnectionSetupRequest") == 2 })
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"), host8080("10.0.0.2"))
	r.Wait(t, "all read again", func(p sourcetest.Picture) bool { return p.Instances("orders") == 2 && !unknown(p) })
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(sourcetest.Patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("never came")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
