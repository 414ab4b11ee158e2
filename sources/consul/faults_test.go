package consul

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"meshbridge/sources/sourcetest"
)

// says is a state that names a reason.
func says(words string) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool {
		err := p.States[Scope]
		return err != nil && strings.Contains(err.Error(), words)
	}
}

func well(p sourcetest.Picture) bool { return p.States[Scope] == nil }

// spoiled has the agent answer everything in a way, and wants a reason that says so, nothing lost, and recovery.
func spoiled(t *testing.T, words string, answer func(a *agent, r *http.Request) *http.Response) {
	followed(t, nil, func(t *testing.T, a *agent, r *sourcetest.Recorder) {
		a.spoil(func(request *http.Request) *http.Response { return answer(a, request) })
		r.Wait(t, words, says(words))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := total(a.asked()); n > 60 {
			t.Errorf("a broken agent was asked %d times in five minutes", n)
		}
		p, _ := r.Picture()
		if !both(p) || p.Removals != 0 {
			t.Errorf("%d removals", p.Removals)
		}
		a.spoil(nil)
		p = r.Wait(t, "recovery", well)
		if !both(p) || p.Removals != 0 {
			t.Errorf("after the recovery: %d removals", p.Removals)
		}
		a.put("stock", "3", "4")
		r.Wait(t, "a change", func(p sourcetest.Picture) bool { return p.Instances("stock") == 2 })
	})
}

func total(requests map[string]int) int {
	n := 0
	for _, count := range requests {
		n += count
	}
	return n
}

func TestADatacenterWithoutALeaderTakesNothingAway(t *testing.T) {
	spoiled(t, "No cluster leader", func(*agent, *http.Request) *http.Response {
		return reply(http.StatusInternalServerError, "No cluster leader")
	})
}

func TestALimitOfRequestsIsNamedAndTakesNothingAway(t *testing.T) {
	spoiled(t, "http_max_conns_per_client", func(*agent, *http.Request) *http.Response {
		return reply(http.StatusTooManyRequests, "Your IP is issuing too many concurrent connections")
	})
}

func TestGarbageTakesNothingAway(t *testing.T) {
	for what, body := range map[string]string{
		"a login page": "<html>log in</html>", "half an answer": `[{"Node":`, "another type": `"text"`, "nothing": "",
	} {
		t.Run(what, func(t *testing.T) {
			spoiled(t, "get /v1/", func(a *agent, _ *http.Request) *http.Response { return a.answer(body) })
		})
	}
	t.Run("an answer without an index", func(t *testing.T) {
		spoiled(t, "X-Consul-Index", func(_ *agent, r *http.Request) *http.Response {
			if !indexed(r.URL.Path) {
				return nil
			}
			return reply(http.StatusOK, "{}")
		})
	})
}

func TestAnEmptyListOfServicesIsNotBelieved(t *testing.T) {
	for what, body := range map[string]string{"an object": "{}", "null": "null"} {
		t.Run(what, func(t *testing.T) {
			spoiled(t, "not even Consul's own", func(a *agent, r *http.Request) *http.Response {
				if r.URL.Path != pathServices {
					return nil
				}
				return a.answer(body)
			})
		})
	}
}

func TestAnAgentThatNeverAnswersIsGivenUp(t *testing.T) {
	followed(t, nil, func(t *testing.T, a *agent, r *sourcetest.Recorder) {
		a.spoil(func(r *http.Request) *http.Response {
			<-r.Context().Done()
			return reply(http.StatusBadGateway, "")
		})
		deadline := time.Now().Add(10 * time.Minute)
		for p, _ := r.Picture(); !says("no whole answer within")(p); p, _ = r.Picture() {
			if time.Now().After(deadline) {
				t.Fatal("never given up")
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		a.spoil(nil)
		for p, _ := r.Picture(); !well(p); p, _ = r.Picture() {
			if time.Now().After(deadline) {
				t.Fatal("never recovered")
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if p, _ := r.Picture(); p.Removals != 0 {
			t.Errorf("%d removals", p.Removals)
		}
	})
}

func TestAnIndexOfZeroIsNotAskedForWithoutPause(t *testing.T) {
	followed(t, nil, func(t *testing.T, a *agent, r *sourcetest.Recorder) {
		a.spoil(func(r *http.Request) *http.Response {
			if r.URL.Query().Get("index") == "" {
				return nil
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.index = 0
			return nil
		})
		a.asked()
		time.Sleep(time.Minute)
		synctest.Wait()
		for path, n := range a.asked() {
			if n > 140 { // a query a second, and a read for each of its answers
				t.Errorf("%s was asked for %d times in a minute", path, n)
			}
		}
		if p, _ := r.Picture(); !both(p) || p.Removals != 0 {
			t.Errorf("%d removals", p.Removals)
		}
	})
}

func TestALossIsNotBelievedWhenTheTokenIsNoneAnyMore(t *testing.T) {
	token := func(c *Config) { c.Token = "secret" }
	followed(t, token, func(t *testing.T, a *agent, r *sourcetest.Recorder) {
		a.fault = func(r *http.Request) *http.Response {
			if r.URL.Path == pathToken {
				return reply(http.StatusForbidden, "ACL not found")
			}
			return nil
		}
		a.put("orders", "1")
		a.remove("stock")
		p := r.Wait(t, "the reason", says("revoked"))
		if !both(p) || p.Removals != 0 {
			t.Errorf("%d removals", p.Removals)
		}
		a.spoil(nil)
		r.Wait(t, "the loss, once the token counts", func(p sourcetest.Picture) bool {
			return p.Instances("orders") == 1 && p.Instances("stock") == -1
		})
	})
}

func TestANameThatNoPathCanHoldStopsNoOther(t *testing.T) {
	followed(t, nil, func(t *testing.T, a *agent, r *sourcetest.Recorder) {
		a.put("../../catalog/services", "9")
		a.put("late", "5")
		r.Wait(t, "the other new service", func(p sourcetest.Picture) bool { return p.Instances("late") == 1 && well(p) })
	})
	r := readings(t, "../../catalog/services", "..", "")
	for name, got := range r {
		if !strings.Contains(got.fault, "cannot be part of a path") {
			t.Errorf("%q: %q", name, got.fault)
		}
	}
}

func readings(t *testing.T, names ...string) map[string]reading {
	t.Helper()
	got := map[string]reading{}
	for _, name := range names {
		r, err := (&session{}).readOne(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = r
	}
	return got
}

func TestAChangedCheckReadsItsServiceAloneAndItsTextReadsNone(t *testing.T) {
	followed(t, nil, func(t *testing.T, a *agent, r *sourcetest.Recorder) {
		for i := range 50 {
			a.put(fmt.Sprintf("service-%d", i), "1")
		}
		r.Wait(t, "all", func(p sourcetest.Picture) bool { return len(p.Services) == 52 })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		a.asked()
		before, _ := r.Picture()
		for n := range 10 {
			a.change(func() { a.services["orders"]["1"].output = fmt.Sprint("output ", n) })
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		if after, _ := r.Picture(); after.Reports != before.Reports {
			t.Errorf("%d services were reported for nothing", after.Reports-before.Reports)
		}
		a.asked()
		a.change(func() { a.services["orders"]["1"].status = api.HealthCritical })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for path, n := range a.asked() {
			if name, one := strings.CutPrefix(path, pathService); one && strings.HasSuffix(t.Name(), "sweeping") && (name != "orders" || n != 1) {
				t.Errorf("%s was asked for %d times", path, n)
			}
		}
		after, _ := r.Picture()
		if after.Reports != before.Reports+1 || after.Service("orders").Instances[0].Healthy {
			t.Errorf("%d services were reported, want one", after.Reports-before.Reports)
		}
	})
}

func TestABusyCatalogIsReadAtIntervals(t *testing.T) {
	followed(t, nil, func(t *testing.T, a *agent, r *sourcetest.Recorder) {
		for n := range 600 { // ten a second
			a.put("stock", "3", fmt.Sprint(4+n%200))
			time.Sleep(100 * time.Millisecond)
		}
		for path, n := range a.asked() {
			if n > 130 {
				t.Errorf("%s was asked for %d times in a minute", path, n)
			}
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if p, _ := r.Picture(); p.Service("stock").Instances[0].ID != "n1/stock-203" {
			t.Errorf("the last change is missing: %+v", p.Service("stock").Instances)
		}
	})
}

func TestNothingComesFromTheEnvironment(t *testing.T) {
	for key, value := range map[string]string{
		api.HTTPTokenEnvName: "stolen", api.HTTPTokenFileEnvName: "/does/not/exist", api.HTTPNamespaceEnvName: "ns", api.HTTPPartitionEnvName: "part",
		api.HTTPAuthEnvName: "u:p", api.HTTPSSLEnvName: "true", api.HTTPAddrEnvName: "elsewhere:1",
	} {
		t.Setenv(key, value)
	}
	a := newAgent()
	cfg := Default()
	cfg.Address = "http://consul:8500/prefix/"
	c, err := newClient(cfg, a)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.read(t.Context(), "", pathServices, "", &map[string][]string{})
	if got := a.last.URL.String(); got != "http://consul:8500/prefix/v1/catalog/services" {
		t.Errorf("asked for %s", got)
	}
	for _, header := range []string{"X-Consul-Token", "Authorization"} {
		if got := a.last.Header.Get(header); got != "" {
			t.Errorf("%s: %s", header, got)
		}
	}
	cfg.Token, cfg.Namespace, cfg.Partition = "ours", "team", "p1"
	if c, err = newClient(cfg, a); err != nil {
		t.Fatal(err)
	}
	_, _ = c.read(t.Context(), "dc2", pathNodes, "", &[]node{})
	if got := a.last.URL.RawQuery; got != "dc=dc2&ns=team&partition=p1" {
		t.Errorf("asked for %s", got)
	}
	if got := a.last.Header.Get("X-Consul-Token"); got != "ours" {
		t.Errorf("token %s", got)
	}
}
