//go:build integration

package zookeeper

import (
	"fmt"
	"net/url"
	"testing"

	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

const greet = "org.example.Greet"

func TestProvidersComeChangeAndGo(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	r := follow(t, config(server.Addr))
	r.Wait(t, "an empty registry", whole)

	old := provider(greet, "10.0.0.1:20880", "timestamp=1", "zone=a")
	registry.Register(old)
	r.Wait(t, "the first", has(greet, 1))
	// A provider that comes back registers before its old node goes.
	registry.Register(provider(greet, "10.0.0.1:20880", "timestamp=2", "zone=b"))
	r.Wait(t, "the newer registration", func(p sourcetest.Picture) bool {
		s := p.Service(greet)
		return len(s.Instances) == 1 && s.Instances[0].Metadata["zone"] == "b"
	})
	registry.Register(provider(greet, "10.0.0.2:20880"))
	registry.Register(provider(greet, "[fd00::2]:20880"))
	registry.Register(provider(greet, "orders.example.com:20880"))
	r.Wait(t, "all four", has(greet, 4))
	registry.Unregister(old)
	registry.Unregister(provider(greet, "10.0.0.2:20880"))
	p := r.Wait(t, "three", has(greet, 3))
	if got := p.Service(greet).Instances[0].Metadata["zone"]; got != "b" {
		t.Errorf("the old node's end changed the newer registration to zone %q", got)
	}
}

func TestGroupsAndVersionsAreServicesOfTheirOwn(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	registry.Register(provider(greet, "10.0.0.1:20880", "group=g", "version=1.0.0"))
	registry.Register(provider(greet, "10.0.0.1:20880", "version=0.0.0"))
	registry.Register(provider(greet, "10.0.0.2:20880"))
	p := follow(t, config(server.Addr)).Wait(t, "two services", func(p sourcetest.Picture) bool { return len(p.Services) == 2 })
	got := map[string]int{}
	for _, s := range p.Services {
		got[s.Group+"/"+s.Name+":"+s.Version] = len(s.Instances)
	}
	if got["/"+greet+":"] != 2 || got["g/"+greet+":1.0.0"] != 1 {
		t.Errorf("got %v", got)
	}
}

func TestABrokenProviderIsSkippedAndSaysWhy(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	registry.Register(provider(greet, "10.0.0.1:20880"))
	registry.Ephemeral("/dubbo/"+greet+"/providers/"+url.QueryEscape("dubbo://10.0.0.2/x?interface=x"), "")
	p := follow(t, config(server.Addr)).Wait(t, "the good one", has(greet, 1))
	if s := p.Service(greet); len(s.Skipped) != 1 || s.Skipped[0].Reason != "no port" {
		t.Errorf("got %+v, want one that lacks its port", s.Skipped)
	}
}

func TestLateAndDeletedNodesAreNoticed(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	r := follow(t, config(server.Addr))
	r.Wait(t, "no root", whole)
	registry.Ensure("/dubbo", "")
	registry.Ensure("/dubbo/"+greet+"/consumers", "") // a consumer was first
	registry.Ensure("/dubbo/config/dubbo", "")        // no interface at all
	registry.Register(provider("org.example.Other", "10.0.0.9:20880"))
	r.Wait(t, "the interface after it", has("org.example.Other", 1))

	one := provider(greet, "10.0.0.1:20880")
	registry.Register(one)
	r.Wait(t, "providers that came late", has(greet, 1))
	registry.Unregister(one)
	registry.Remove("/dubbo/" + greet + "/providers")
	r.Wait(t, "no instance", has(greet, 0))
	registry.Register(one)
	r.Wait(t, "providers that came back", has(greet, 1))

	registry.Unregister(one)
	registry.Remove("/dubbo/" + greet + "/providers")
	registry.Remove("/dubbo/" + greet + "/consumers")
	registry.Remove("/dubbo/" + greet)
	r.Wait(t, "no service", has(greet, -1))
	registry.Register(one)
	r.Wait(t, "an interface that came back", has(greet, 1))
}

func TestConfiguratorsChangeProviders(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	registry.Register(provider(greet, "10.0.0.1:20880"))
	registry.Register(provider(greet, "10.0.0.2:20880", "dubbo.tag=blue"))
	r := follow(t, config(server.Addr))
	state := func(p sourcetest.Picture) string {
		text := ""
		if s := p.Service(greet); s != nil {
			for _, i := range s.Instances {
				text += fmt.Sprintf("%s %d %v %s;", i.Address, i.Weight, i.Enabled, i.Metadata["dubbo.tag"])
			}
		}
		return text
	}
	expect := func(want string) {
		t.Helper()
		r.Wait(t, want, func(p sourcetest.Picture) bool { return state(p) == want })
	}
	rule := func(text string) string {
		return "/dubbo/" + greet + "/configurators/" + url.QueryEscape(text)
	}
	expect("10.0.0.1 100 true ;10.0.0.2 100 true blue;")
	weight := rule("override://0.0.0.0/" + greet + "?category=configurators&dynamic=false&weight=30")
	registry.Ensure(weight, "") // its parent comes late
	expect("10.0.0.1 30 true ;10.0.0.2 30 true blue;")
	disabled := rule("override://10.0.0.2:20880/" + greet + "?category=configurators&dynamic=false&disabled=true")
	registry.Ensure(disabled, "")
	expect("10.0.0.1 30 true ;10.0.0.2 30 false blue;")
	tag := rule("absent://0.0.0.0/" + greet + "?category=configurators&dubbo.tag=gray")
	registry.Ensure(tag, "")
	expect("10.0.0.1 30 true gray;10.0.0.2 30 false blue;")
	registry.Remove(disabled)
	registry.Remove(weight)
	expect("10.0.0.1 100 true gray;10.0.0.2 100 true blue;")
	registry.Ensure(rule("override://0.0.0.0/"+greet+"?category=configurators&enabled=false&weight=1"), "")
	registry.Ensure(rule("override://0.0.0.0/"+greet+"?category=configurators&providerAddresses=10.0.0.1:20880&weight=7"), "")
	expect("10.0.0.1 7 true gray;10.0.0.2 100 true blue;")
}

// curator is an instance's node as Spring Cloud writes it.
func curator(app, id, address string, port int, status string) string {
	return fmt.Sprintf(`{"name":%q,"id":%q,"address":%q,"port":%d,"sslPort":null,"payload":{"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance",`+
		`"id":"application-1","name":%q,"metadata":{"instance_status":%q,"version":"v1"}},"registrationTimeUTC":1700000000000,"serviceType":"DYNAMIC","uriSpec":`+
		`{"parts":[{"value":"scheme","variable":true},{"value":"://","variable":false},{"value":"address","variable":true},{"value":":","variable":false},{"value":"port","variable":true}]}}`,
		app, id, address, port, app, status)
}

func TestInstancesChangeInPlace(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	r := follow(t, config(server.Addr))
	r.Wait(t, "an empty registry", whole)
	registry.Ensure("/services/billing/a", curator("billing", "a", "billing.example.com", 8080, "UP"))
	registry.Ensure("/services/billing/b", curator("billing", "b", "10.0.0.2", 8080, "UP"))
	usable := func(n int) func(sourcetest.Picture) bool {
		return func(p sourcetest.Picture) bool {
			s := p.Service("billing")
			if s == nil || len(s.Instances) != 2 {
				return false
			}
			usable := 0
			for _, i := range s.Instances {
				if i.Usable() {
					usable++
				}
			}
			return usable == n
		}
	}
	r.Wait(t, "both", usable(2))
	registry.Ensure("/services/billing/b", curator("billing", "b", "10.0.0.2", 8080, "OUT_OF_SERVICE"))
	r.Wait(t, "one out of service", usable(1))
	registry.Ensure("/services/billing/b", curator("billing", "b", "10.0.0.2", 8080, "UP"))
	r.Wait(t, "both again", usable(2))
	registry.Ensure("/services/billing/b", "{")
	p := r.Wait(t, "one unreadable", has("billing", 1))
	if s := p.Service("billing"); len(s.Skipped) != 1 {
		t.Errorf("got %+v, want a reason", s.Skipped)
	}
	registry.Remove("/services/billing/a")
	registry.Remove("/services/billing/b")
	r.Wait(t, "none", has("billing", 0))
	registry.Remove("/services/billing")
	r.Wait(t, "no service", has("billing", -1))
}

func TestManyInterfacesArriveInOneSnapshot(t *testing.T) {
	const interfaces, providers = 2000, 10
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	fill(t, server, interfaces, providers)
	r := follow(t, config(server.Addr))
	p := r.Wait(t, "the snapshot", func(p sourcetest.Picture) bool { return len(p.Services) > 0 })
	instances := 0
	for _, s := range p.Services {
		instances += len(s.Instances)
	}
	if len(p.Services) != interfaces || instances != interfaces*providers || p.Snapshots["/dubbo"] != 1 {
		t.Errorf("got %d services with %d instances in %d snapshots, want %d with %d in one", len(p.Services), instances, p.Snapshots["/dubbo"], interfaces, interfaces*providers)
	}
}
