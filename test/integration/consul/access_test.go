//go:build integration

package consul

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"meshbridge/sources"
	"meshbridge/sources/consul"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

const scope = consul.Scope

// guarded is an agent with access control, two services on a node and a third one on another.
func guarded(t *testing.T, more map[string]any) *harness.ConsulServer {
	t.Helper()
	server := harness.StartConsul(t, harness.ConsulConfig{ACL: true, Settings: more})
	other := instance("billing", 3)
	other.Node, other.NodeAddress = "node-2", "10.0.1.2"
	more2 := instance("orders", 4)
	more2.Node, more2.NodeAddress = "node-2", "10.0.1.2"
	server.Register(instance("orders", 1), instance("stock", 2), other, more2)
	return server
}

func withToken(server *harness.ConsulServer, token string) consul.Config {
	c := config(server.Addr)
	c.Token = sources.Secret(token)
	return c
}

func all(p sourcetest.Picture) bool {
	return p.Instances("orders") == 2 && p.Instances("stock") == 1 && p.Instances("billing") == 1
}

// nothingLost fails the test if anything that was held is not held any more.
func nothingLost(t *testing.T, p sourcetest.Picture) {
	t.Helper()
	if !all(p) || p.Removals != 0 {
		t.Errorf("something is lost: %d, %d, %d instances, %d removals", p.Instances("orders"), p.Instances("stock"), p.Instances("billing"), p.Removals)
	}
}

func TestWithATokenThatReadsAllEverythingIsThere(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := guarded(t, nil)
		r := follow(t, way(withToken(server, server.Grant(harness.ReadAll).Secret)))
		p := r.Wait(t, "all services", all)
		if len(p.Faults) != 0 || p.Service("consul") != nil {
			t.Errorf("got faults %v, consul itself: %v", p.Faults, p.Service("consul"))
		}
	})
}

func TestWithoutATokenNothingIsKnownRatherThanEmpty(t *testing.T) {
	server := guarded(t, nil)
	r := follow(t, config(server.Addr))
	p := r.Wait(t, "the reason", unknown(scope, "no token", "service_prefix", "allowAnonymous"))
	if p.Snapshots[scope] != 0 {
		t.Error("an empty catalog was reported")
	}
}

func TestTheAnonymousTokenIsFollowedWhereTheOperatorSaysSo(t *testing.T) {
	server := guarded(t, nil)
	policy, _, err := server.ACL().PolicyCreate(&api.ACLPolicy{Name: "anyone", Rules: harness.ReadAll}, nil)
	if err != nil {
		t.Fatal(err)
	}
	anyone := &api.ACLToken{AccessorID: "00000000-0000-0000-0000-000000000002", Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}
	if _, _, err := server.ACL().TokenUpdate(anyone, nil); err != nil {
		t.Fatal(err)
	}
	oneByOne(t, func(t *testing.T, way way) {
		strict := follow(t, way(config(server.Addr)))
		c := way(config(server.Addr))
		c.AllowAnonymous = true
		r := follow(t, c)
		r.Wait(t, "all services", all)
		strict.Wait(t, "the reason", unknown(scope, "allowAnonymous"))
		server.Register(instance("late", 9))
		r.Wait(t, "a new service", has("late", 1))
		server.Deregister(instance("late", 9))
		r.Wait(t, "a service less", has("late", -1))
	})
	r := follow(t, func() consul.Config { c := config(server.Addr); c.AllowAnonymous = true; return c }())
	r.Wait(t, "all services", all)
	policy.Rules = ""
	if _, _, err := server.ACL().PolicyUpdate(policy, nil); err != nil {
		t.Fatal(err)
	}
	nothingLost(t, r.Wait(t, "the reason", unknown(scope, "access control")))
}

func TestTheAgentsDefaultTokenCounts(t *testing.T) {
	server := guarded(t, nil)
	token := server.Grant(harness.ReadAll)
	if _, err := server.Agent().UpdateDefaultACLToken(token.Secret, nil); err != nil {
		t.Fatal(err)
	}
	r := follow(t, config(server.Addr))
	r.Wait(t, "all services", all)
	server.Revoke(token)
	nothingLost(t, r.Wait(t, "the reason", unknown(scope)))
}

func TestATokenThatReadsNothingSaysWhichRulesItNeeds(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := guarded(t, nil)
		for _, rules := range []string{`key_prefix "" { policy = "read" }`, `service_prefix "" { policy = "read" }`} {
			r := follow(t, way(withToken(server, server.Grant(rules).Secret)))
			p := r.Wait(t, "the reason", unknown(scope, "leaves out", "service_prefix", "node_prefix"))
			if p.Snapshots[scope] != 0 {
				t.Errorf("%s: a catalog was reported", rules)
			}
		}
	})
}

func TestAnUnknownTokenIsNamedAsTheReason(t *testing.T) {
	server := guarded(t, nil)
	r := follow(t, withToken(server, "99999999-0000-0000-0000-000000000000"))
	r.Wait(t, "the reason", unknown(scope, "403", "unknown, revoked or expired"))
}

func TestATokenRevokedWhileAQueryBlocksTakesNothingAway(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := guarded(t, nil)
		token := server.Grant(harness.ReadAll)
		r := follow(t, way(withToken(server, token.Secret)))
		r.Wait(t, "all services", all)
		server.Revoke(token)
		nothingLost(t, r.Wait(t, "the reason", unknown(scope, "403", "revoked")))
		server.Restore(token)
		nothingLost(t, r.Wait(t, "that it reads again", whole(scope)))
		server.Register(instance("late", 9))
		r.Wait(t, "what came later", has("late", 1))
	})
}

func TestATokenRevokedWhileServicesChangeTakesNothingAway(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := guarded(t, nil)
		token := server.Grant(harness.ReadAll)
		r := follow(t, way(withToken(server, token.Secret)))
		r.Wait(t, "all services", all)
		server.Revoke(token)
		for n := 5; n < 8; n++ { // each wakes the queries that are blocking
			server.Register(instance("orders", n))
		}
		nothingLost(t, r.Wait(t, "the reason", unknown(scope, "403")))
	})
}

func TestAnExpiredTokenTakesNothingAway(t *testing.T) {
	t.Parallel()
	server := guarded(t, map[string]any{"acl": map[string]any{
		"enabled": true, "default_policy": "deny",
		"tokens": map[string]any{"initial_management": harnessToken, "agent": harnessToken},
	}})
	policy, _, err := server.ACL().PolicyCreate(&api.ACLPolicy{Name: "reader", Rules: harness.ReadAll}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A minute is the shortest that Consul takes.
	token, _, err := server.ACL().TokenCreate(&api.ACLToken{ExpirationTTL: time.Minute, Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r := follow(t, withToken(server, token.SecretID))
	r.Wait(t, "all services", all)
	time.Sleep(time.Until(began.Add(61 * time.Second)))
	nothingLost(t, r.Wait(t, "the reason", unknown(scope, "403", "expired")))
}

// harnessToken is the management token of every agent with access control.
const harnessToken = "11111111-2222-3333-4444-555555555555"

func TestWhatATokenMayNoLongerReadIsUnknownAndTheRestIsFollowed(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := guarded(t, nil)
		token := server.Grant(harness.ReadAll)
		r := follow(t, way(withToken(server, token.Secret)))
		r.Wait(t, "all services", all)
		// Nothing of stock, and nothing on node-2: billing and half of orders.
		server.Restrict(token, `service_prefix "" { policy = "read" } service "stock" { policy = "deny" } node_prefix "" { policy = "read" } node "node-2" { policy = "deny" }`)
		server.Register(instance("late", 9))
		p := r.Wait(t, "a new service, and a fault", func(p sourcetest.Picture) bool { return p.Instances("late") == 1 && len(p.Faults) > 0 })
		nothingLost(t, p)
		server.Deregister(instance("late", 9))
		p = r.Wait(t, "a service that went, as nothing is left out of the answer for it", has("late", -1))
		if !all(p) {
			t.Error("what is hidden is taken for gone")
		}
		server.Restrict(token, harness.ReadAll)
		server.Register(instance("later", 9))
		r.Wait(t, "no fault", func(p sourcetest.Picture) bool { return all(p) && p.Instances("later") == 1 })
	})
}

func TestATokenThatReadsAPartOnPurposeSeesThatPart(t *testing.T) {
	bothWays(t, func(t *testing.T, way way) {
		server := guarded(t, nil)
		c := way(withToken(server, server.Grant(`service_prefix "o" { policy = "read" } node_prefix "" { policy = "read" }`).Secret))
		c.AllowFiltered = true
		r := follow(t, c)
		p := r.Wait(t, "orders", has("orders", 2))
		if len(p.Services) != 1 || len(p.Faults) != 0 {
			t.Errorf("got %d services, faults %v", len(p.Services), p.Faults)
		}
		server.Deregister(instance("orders", 1))
		r.Wait(t, "one instance less", has("orders", 1))
	})
}
