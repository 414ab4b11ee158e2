package eureka

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

var errReset = errors.New("connection reset")

func TestAPeerTakesOverWithoutLoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		servers := []*server{newServer(), newServer(), newServer()}
		for _, s := range servers {
			fill(s, 3)
		}
		b := follow(t, nil, servers...)
		b.after(time.Second)
		for round := range 2 {
			for _, s := range servers {
				if s.asked()["/apps"] > 0 {
					s.fault(refused)
				}
			}
			for _, s := range servers {
				s.put("STOCK", string(rune('1'+round)), nil)
			}
			p := b.after(polls(1))
			holds(t, "with a server less", p, "STOCK", round+1)
			if p.Removals != 0 || p.States[Scope] != nil {
				t.Errorf("got %d removals, state %v; want none", p.Removals, p.States[Scope])
			}
		}
	})
}

func TestOneServerIsAskedAsLongAsItAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		one, other := newServer(), newServer()
		fill(one, 1)
		fill(other, 1)
		b := follow(t, nil, one, other)
		b.after(9 * time.Minute)
		a, c := len(one.asked()), len(other.asked())
		if a != 0 && c != 0 {
			t.Error("both were asked")
		}
	})
}

func TestWhenAllServersFailEachIsNamed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		one, other := newServer(), newServer()
		one.fault(refused)
		other.fault(func(string) *http.Response { return respond(http.StatusUnauthorized, "") })
		b := follow(t, func(c *Config) { c.Username, c.Password = "reader", "hush" }, one, other)
		err := b.after(time.Second).States[Scope]
		for _, want := range []string{
			"http://a/eureka: get /apps: connection refused", "; ",
			"http://b/eureka: get /apps: 401 Unauthorized: the server refuses the password of user reader, or does not know the user",
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s in it", err, want)
			}
		}
	})
}

func TestTheOrderOfServersIsMadeAnewFromTimeToTime(t *testing.T) {
	servers := make([]*url.URL, 5)
	for i := range servers {
		servers[i] = &url.URL{Host: string(rune('a' + i))}
	}
	p := newPeers(servers, rand.New(rand.NewPCG(1, 1)))
	now := time.UnixMilli(0)
	seen := map[string]bool{}
	for range 50 {
		p.refresh(now)
		first := p.first()
		p.refresh(now.Add(repick/2 - 1))
		if p.first() != first {
			t.Fatal("the order was made anew too soon")
		}
		seen[first.Host] = true
		now = now.Add(2 * repick)
	}
	if len(seen) != 5 {
		t.Errorf("only %d of 5 servers were ever first", len(seen))
	}
}

func TestAServerThatFailedIsAskedAfterAllOthers(t *testing.T) {
	servers := []*url.URL{{Host: "a"}, {Host: "b"}, {Host: "c"}}
	p := newPeers(servers, rand.New(rand.NewPCG(1, 1)))
	p.rotate()
	p.rotate()
	if p.first().Host != "c" || p.order[1].Host != "a" || servers[0].Host != "a" {
		t.Errorf("got %v", p.order)
	}
}
