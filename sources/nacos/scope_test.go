package nacos

import (
	"net/http"
	"strings"
	"testing"

	"meshbridge/sources/sourcetest"
)

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
	gone := f.calls["/v3/admin/core/namespace/list"]
	f.mu.Unlock()
	p := r.Wait(t, "one", func(p sourcetest.Picture) bool { return len(p.Services) == 1 })
	if p.Instances("orders") != 1 {
		t.Error("its neighbour went along")
	}
	if n := f.count("/v3/admin/core/namespace/list") - gone; n < 2 {
		t.Errorf("it went after %d lists", n)
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
