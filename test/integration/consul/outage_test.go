//go:build integration

package consul

import (
	"fmt"
	"testing"
	"time"

	"meshbridge/sources"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

func TestAnAgentKilledAndRestartedLosesNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		server.Register(instance("orders", 1), instance("stock", 2))
		r := follow(t, way(config(server.Addr)))
		r.Wait(t, "both", func(p sourcetest.Picture) bool { return len(p.Services) == 2 })
		server.Kill()
		r.Wait(t, "the reason", unknown(scope))
		server.Start()
		p := r.Wait(t, "that it reads again", whole(scope))
		if len(p.Services) != 2 || p.Removals != 0 {
			t.Errorf("%d services, %d removals", len(p.Services), p.Removals)
		}
		server.Register(instance("late", 9))
		r.Wait(t, "what came later", has("late", 1))
	})
}

// A server that has lost its data counts from the beginning, and what is there now is what is reported: the guard above
// the source judges the loss.
func TestAWipedServersIndexGoesBackAndItIsFollowed(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		for n := 1; n < 30; n++ {
			server.Register(instance(fmt.Sprintf("service-%d", n), n))
		}
		r := follow(t, way(config(server.Addr)))
		r.Wait(t, "all", func(p sourcetest.Picture) bool { return len(p.Services) == 29 })
		server.Kill()
		server.Wipe()
		server.Start()
		server.Register(instance("service-1", 1))
		r.Wait(t, "what is there now", func(p sourcetest.Picture) bool { return len(p.Services) == 1 && p.Instances("service-1") == 1 })
		server.Register(instance("service-1", 2))
		r.Wait(t, "what came later", has("service-1", 2))
	})
}

func TestARestoredSnapshotIsFollowed(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := harness.StartConsul(t, harness.ConsulConfig{})
		server.Register(instance("orders", 1))
		saved, _, err := server.Snapshot().Save(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer saved.Close()
		r := follow(t, way(config(server.Addr)))
		r.Wait(t, "orders", has("orders", 1))
		server.Register(instance("orders", 2), instance("stock", 3))
		r.Wait(t, "more", func(p sourcetest.Picture) bool { return p.Instances("orders") == 2 && p.Instances("stock") == 1 })
		if err := server.Snapshot().Restore(nil, saved); err != nil {
			t.Fatal(err)
		}
		r.Wait(t, "what was before", func(p sourcetest.Picture) bool { return p.Instances("orders") == 1 && p.Instances("stock") == -1 })
	})
}

func TestOneOfTwoDatacentersDiesAlone(t *testing.T) {
	t.Parallel()
	first := harness.StartConsul(t, harness.ConsulConfig{})
	second := harness.StartConsul(t, harness.ConsulConfig{Datacenter: "dc2", JoinWAN: first})
	harness.Eventually(t, 30*time.Second, "two datacenters", func() error {
		dcs, err := first.Catalog().Datacenters()
		if err == nil && len(dcs) != 2 {
			err = fmt.Errorf("got %v", dcs)
		}
		return err
	})
	first.Register(instance("orders", 1))
	second.Register(instance("orders", 2), instance("stock", 3))
	for _, named := range [][]string{{"dc1", "dc2"}, {"*"}} {
		t.Run(named[0], func(t *testing.T) {
			c := config(first.Addr)
			c.Datacenters = named
			r := follow(t, c)
			p := r.Wait(t, "both datacenters", func(p sourcetest.Picture) bool { return whole("dc1")(p) && whole("dc2")(p) })
			var keys []string
			for _, s := range p.Services {
				keys = append(keys, fmt.Sprintf("%s %s %s %s", s.Scope, s.Namespace, s.Name, s.Datacenter))
			}
			if got, want := fmt.Sprint(keys), "[dc1  orders dc1 dc2 dc2 orders dc2 dc2 dc2 stock dc2]"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			second.Kill()
			p = r.Wait(t, "the reason of dc2", unknown("dc2", "500"))
			if p.Removals != 0 || p.States["dc1"] != nil {
				t.Errorf("%d removals, dc1 is %v", p.Removals, p.States["dc1"])
			}
			first.Register(instance("orders", 5))
			r.Wait(t, "a change in dc1", has("orders", 2))
			first.Deregister(instance("orders", 5))
			r.Wait(t, "another change in dc1", has("orders", 1))
			second.Start()
			p = r.Wait(t, "dc2 again", whole("dc2"))
			if p.Removals != 1 || p.Instances("stock") != 1 {
				t.Errorf("%d removals", p.Removals)
			}
		})
	}
}

func TestADatacenterThatDoesNotExistIsTheOnlyOneUnknown(t *testing.T) {
	server := harness.StartConsul(t, harness.ConsulConfig{})
	server.Register(instance("orders", 1))
	c := config(server.Addr)
	c.Datacenters = []string{"dc1", "nowhere"}
	r := follow(t, c)
	r.Wait(t, "dc1, and the reason of the other", func(p sourcetest.Picture) bool {
		return whole("dc1")(p) && p.Instances("orders") == 1 && unknown("nowhere", "No path to datacenter")(p)
	})
}

func TestConsulIsFollowedOverTLS(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		authority := harness.NewAuthority(t)
		server := harness.StartConsul(t, harness.ConsulConfig{TLS: authority, VerifyTLS: true})
		server.Register(instance("orders", 1))
		cert, key := authority.Issue("reader", "reader")
		c := way(config(server.Addr))
		c.Address = "https://" + server.SecureAddr
		c.TLS = &sources.TLS{CA: authority.File, Cert: cert, Key: key}
		r := follow(t, c)
		r.Wait(t, "orders", has("orders", 1))
		server.Register(instance("orders", 2))
		r.Wait(t, "a change", has("orders", 2))

		stranger := c
		stranger.TLS = &sources.TLS{CA: harness.NewAuthority(t).File, Cert: cert, Key: key}
		follow(t, stranger).Wait(t, "the reason", unknown(scope, "certificate"))
		nameless := c
		nameless.TLS = &sources.TLS{CA: authority.File}
		follow(t, nameless).Wait(t, "the reason", unknown(scope, "certificate"))
	})
}

func TestNamespacesOfAConsulThatHasNoneAreRefusedClearly(t *testing.T) {
	t.Parallel()
	server := harness.StartConsul(t, harness.ConsulConfig{})
	c := config(server.Addr)
	c.Namespace = "team"
	follow(t, c).Wait(t, "the reason", unknown(scope, "Enterprise"))
	c.Namespace, c.Partition = "", "part"
	follow(t, c).Wait(t, "the reason", unknown(scope, "Enterprise"))
}

func TestAFilterThatIsNoneIsNamedAsTheReason(t *testing.T) {
	server := harness.StartConsul(t, harness.ConsulConfig{})
	server.Register(instance("orders", 1))
	c := config(server.Addr)
	c.Filter = "Service.Meta.env ="
	follow(t, c).Wait(t, "the reason", unknown(scope, "filter"))
}

func TestACatalogThatGrowsIsSweptAndOneThatShrinksIsWatchedSinglyAgain(t *testing.T) {
	t.Parallel()
	server := harness.StartConsul(t, harness.ConsulConfig{})
	server.Register(instance("service-0", 1))
	c := config(server.Addr)
	c.Watches, c.Resync = 8, 3*time.Second
	r := follow(t, c)
	r.Wait(t, "one", has("service-0", 1))
	for n := 1; n < 20; n++ {
		server.Register(instance(fmt.Sprintf("service-%d", n), n))
	}
	r.Wait(t, "twenty", func(p sourcetest.Picture) bool { return len(p.Services) == 20 })
	for n := 3; n < 20; n++ {
		server.Deregister(instance(fmt.Sprintf("service-%d", n), n))
	}
	r.Wait(t, "three", func(p sourcetest.Picture) bool { return len(p.Services) == 3 })
	time.Sleep(2 * c.Resync)
	server.Register(instance("service-0", 2))
	r.Wait(t, "a change", has("service-0", 2))
}

// The agent takes so many connections of one client; the source makes do with those of a sweep.
func TestAnAgentThatLimitsConnectionsIsSwept(t *testing.T) {
	t.Parallel()
	server := harness.StartConsul(t, harness.ConsulConfig{Settings: map[string]any{"limits": map[string]any{"http_max_conns_per_client": 30}}})
	for n := 1; n <= 60; n++ {
		server.Register(instance(fmt.Sprintf("service-%d", n), n))
	}
	r := follow(t, config(server.Addr))
	p := r.Wait(t, "sixty", func(p sourcetest.Picture) bool { return len(p.Services) == 60 })
	server.Register(instance("service-1", 61))
	p = r.Wait(t, "a change", func(p sourcetest.Picture) bool { return p.Instances("service-1") == 2 && whole(scope)(p) })
	if p.Removals != 0 {
		t.Errorf("%d removals", p.Removals)
	}
}
