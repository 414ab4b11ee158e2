package nacos

import (
	"context"
	"fmt"
	"net/http"
	"strings"
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
	f.put("other", host8080("10.0.0.3"), host8080("10.0.0.4"))
	p := r.Wait(t, "the change that is one", has("other", 2))
	if p.Removals > 0 || p.Instances("orders") != 2 || p.Service("orders").Instances[0].Address != "10.0.0.1" {
		t.Errorf("the pushes were believed: %+v", p.Service("orders"))
	}
	if f.count("SubscribeServiceRequest orders") == before {
		t.Error("the service was not looked at again")
	}
}

func TestAPushOfWhatIsHeldAsksNothing(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"), host8080("10.0.0.2"))
	r := follow(t, f.config())
	r.Wait(t, "the first report", has("orders", 2))
	before := f.count("SubscribeServiceRequest orders")
	f.push(serviceJSON(serviceID{"DEFAULT_GROUP@@orders", "DEFAULT_GROUP@@orders"}, []string{host8080("10.0.0.2"), host8080("10.0.0.1")}))
	f.put("more", host8080("10.0.0.9"))
	f.put("orders", host8080("10.0.0.1"))
	r.Wait(t, "a change", has("orders", 1))
	if n := f.count("SubscribeServiceRequest orders") - before; n != 1 {
		t.Errorf("%d questions for one change", n)
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
		`{"resultCode":500,"errorCode":503,"message":"over threshold"}`, `{`, `[]`,
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

func TestAnExpiredTokenIsReplaced(t *testing.T) {
	f := newFake(t)
	f.tokens = map[string]bool{"token-1": true}
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	c := f.config()
	c.Username, c.Password = "reader", "right"
	r := follow(t, c, often)
	r.Wait(t, "the first report", has("orders", 1))
	f.mu.Lock()
	f.tokens = map[string]bool{"token-2": true} // the server was restarted with another key
	f.mu.Unlock()
	f.put("orders", host8080("10.0.0.1"), host8080("10.0.0.2"))
	p := r.Wait(t, "a change under another token", has("orders", 2))
	if p.Removals > 0 || f.logins != 2 {
		t.Errorf("%d logins, %d removals", f.logins, p.Removals)
	}
}

func TestAWrongPasswordIsTheStateOfEveryScope(t *testing.T) {
	f := newFake(t)
	c := f.config()
	c.Username, c.Password, c.Namespaces = "reader", "wrong", []string{public, "prod=8f3c"}
	r := follow(t, c)
	p := r.Wait(t, "both unknown", func(p sourcetest.Picture) bool { return p.States[public] != nil && p.States["prod"] != nil })
	if text := p.States["prod"].Error(); !strings.Contains(text, "log in as reader") || !strings.Contains(text, "password is wrong") || strings.Contains(text, "wrong&") {
		t.Errorf("got %q", text)
	}
}

func TestANamespaceThatIsForbiddenStopsNoOther(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	f.set("pay", "DEFAULT_GROUP", "orders", host8080("10.0.0.2"))
	c := f.config()
	c.Namespaces = []string{"*"}
	f.hook(func(namespace string, _ int) (int, string) {
		if namespace == "pay" {
			return http.StatusForbidden, ""
		}
		return 0, ""
	}, nil)
	r := follow(t, c, often)
	p := r.Wait(t, "one known and one not", func(p sourcetest.Picture) bool { return p.Snapshots[public] == 1 && p.States["pay"] != nil })
	if p.States[public] != nil || p.Snapshots["pay"] != 0 {
		t.Errorf("got states %v", p.States)
	}
	f.hook(nil, nil)
	r.Wait(t, "both", func(p sourcetest.Picture) bool { return len(p.Services) == 2 && !unknown(p) })
	f.hook(func(namespace string, _ int) (int, string) {
		if namespace == "pay" {
			return http.StatusForbidden, ""
		}
		return 0, ""
	}, nil)
	if p = r.Wait(t, "forbidden again", func(p sourcetest.Picture) bool { return p.States["pay"] != nil }); len(p.Services) != 2 {
		t.Error("what is forbidden now was removed")
	}
}

func TestANamespaceThatIsGoneIsFollowedNoLonger(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	f.set("pay", "DEFAULT_GROUP", "invoices", host8080("10.0.0.2"))
	c := f.config()
	c.Namespaces = []string{"*"}
	r := follow(t, c, often)
	r.Wait(t, "both", func(p sourcetest.Picture) bool { return p.Instances("orders") == 1 && p.Instances("invoices") == 1 })
	f.mu.Lock()
	delete(f.services, "pay")
	f.mu.Unlock()
	p := r.Wait(t, "one", func(p sourcetest.Picture) bool { return len(p.Services) == 1 })
	if p.Instances("orders") != 1 {
		t.Error("its neighbour went along")
	}
}

func TestANamedNamespaceThatIsNotThereIsUnknownRatherThanEmpty(t *testing.T) {
	f := newFake(t)
	c := f.config()
	c.Namespaces = []string{"prod=8f3c"}
	r := follow(t, c, often)
	p := r.Wait(t, "unknown", unknown)
	if !strings.Contains(p.States["prod"].Error(), "does not exist") || p.Snapshots["prod"] != 0 {
		t.Errorf("got %v", p.States)
	}
	f.set("8f3c", "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	p = r.Wait(t, "it was made", has("orders", 1))
	if key := p.Service("orders").Key; key.Scope != "prod" || key.Namespace != "prod" {
		t.Errorf("got %+v, want the name of the namespace", key)
	}
}

func TestServicesOfOneNameInTwoNamespacesAreTwo(t *testing.T) {
	f := newFake(t)
	f.set(public, "DEFAULT_GROUP", "orders", host8080("10.0.0.1"))
	f.set("pay", "DEFAULT_GROUP", "orders", host8080("10.0.0.2"), host8080("10.0.0.3"))
	c := f.config()
	c.Namespaces = []string{"*"}
	r := follow(t, c)
	r.Wait(t, "both", func(p sourcetest.Picture) bool { return len(p.Services) == 2 })
	f.put("orders", host8080("10.0.0.1"), host8080("10.0.0.4")) // the push does not say whose it is
	p := r.Wait(t, "the change", func(p sourcetest.Picture) bool {
		for _, s := range p.Services {
			if s.Scope == public {
				return len(s.Instances) == 2
			}
		}
		return false
	})
	for _, s := range p.Services {
		if s.Scope == "pay" && s.Instances[0].Address != "10.0.0.2" {
			t.Errorf("the other namespace's changed too: %+v", s)
		}
	}
}

func TestAnEmptyNamespaceIsReportedOnceTwoListsAgree(t *testing.T) {
	f := newFake(t)
	r := follow(t, f.config(), often)
	p := r.Wait(t, "a snapshot", well)
	if n := f.count("/v3/admin/ns/service/list"); n < 2 || len(p.Services) != 0 {
		t.Errorf("reported after %d lists: %+v", n, p.Services)
	}
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
