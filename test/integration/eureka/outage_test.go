//go:build integration

package eureka

import (
	"fmt"
	"testing"
	"time"

	"meshbridge/sources/eureka"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

// unchanged fails if anything went or was reported anew between two pictures.
func unchanged(t *testing.T, before, after sourcetest.Picture) {
	t.Helper()
	if after.Removals != before.Removals || after.Reports != before.Reports {
		t.Errorf("%d removals and %d reports more, want none", after.Removals-before.Removals, after.Reports-before.Reports)
	}
}

func TestAServerThatComesBackEmptyEmptiesNothing(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	clients := server.Keep(3*time.Second, append(instances("orders", 5), instances("stock", 3)...)...)
	r := follow(t, config(server.URL))
	before := r.Wait(t, "all", func(p sourcetest.Picture) bool { return p.Instances("ORDERS") == 5 && p.Instances("STOCK") == 3 })
	server.Kill()
	r.Wait(t, "unknown", says("connection refused"))
	server.Start()
	r.Wait(t, "doubt", says("as it does when a server has only just started"))
	after := r.Wait(t, "known again", known)
	unchanged(t, before, after)
	clients.Remove(instance("stock", 1))
	r.Wait(t, "one that goes now", has("STOCK", 2))
}

func TestWhatDoesNotComeBackWithTheServerGoesAfterAWhile(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	clients := server.Keep(time.Second, instances("orders", 4)...)
	r := follow(t, config(server.URL))
	r.Wait(t, "all", has("ORDERS", 4))
	server.Kill()
	r.Wait(t, "unknown", says("connection refused"))
	clients.Lose(instance("orders", 1))
	server.Start()
	clients.Add(instance("new", 1))
	p := r.Wait(t, "what is new, at once", has("NEW", 1))
	if p.Instances("ORDERS") != 4 {
		t.Errorf("got %d instances while the server is in doubt, want 4", p.Instances("ORDERS"))
	}
	r.Wait(t, "what is left", func(p sourcetest.Picture) bool { return known(p) && p.Instances("ORDERS") == 3 })
}

func TestARegistryThatIsEmptyAtFirstIsReportedWhenReadAgain(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	r := follow(t, config(server.URL))
	p := r.Wait(t, "known to be empty", known)
	if len(p.Services) != 0 {
		t.Errorf("got %d services", len(p.Services))
	}
	server.Register(instance("orders", 1))
	r.Wait(t, "the first instance", has("ORDERS", 1))
}

func TestAPeerTakesOverWithoutLoss(t *testing.T) {
	first, second := harness.StartEurekaPeers(t, harness.EurekaConfig{})
	first.Keep(2*time.Second, instances("orders", 3)...)
	shown(t, second, "orders", 3)
	c := config(first.URL, second.URL)
	r := follow(t, c)
	r.Wait(t, "all", has("ORDERS", 3))
	for round, killed := range []*harness.EurekaServer{first, second} {
		other := map[*harness.EurekaServer]*harness.EurekaServer{first: second, second: first}[killed]
		killed.Kill()
		app := fmt.Sprintf("round-%d", round)
		other.Keep(2*time.Second, instance(app, 1))
		p := r.Wait(t, "what is registered with the other", has(fmt.Sprintf("ROUND-%d", round), 1))
		if p.Instances("ORDERS") != 3 {
			t.Errorf("round %d: %d instances are left", round, p.Instances("ORDERS"))
		}
		killed.Start()
		shown(t, killed, "orders", 3)
		shown(t, killed, app, 1)
		r.Wait(t, "known", known)
	}
	if p := r.Wait(t, "known", known); p.Instances("ORDERS") != 3 || p.Snapshots[eureka.Scope] != 1 {
		t.Errorf("got %d instances and %d snapshots", p.Instances("ORDERS"), p.Snapshots[eureka.Scope])
	}
}

func TestAServerThatOnlyStartsIsUnknown(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	server.Register(instance("orders", 1))
	r := follow(t, config(server.URL))
	before := r.Wait(t, "the instance", has("ORDERS", 1))
	for range 2 {
		server.Kill()
		r.Wait(t, "unknown", says("connection refused"))
		server.Start()
		server.Register(instance("orders", 1))
		unchanged(t, before, r.Wait(t, "known again", known))
	}
}
