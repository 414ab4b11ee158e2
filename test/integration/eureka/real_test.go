//go:build integration

package eureka

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
	"meshbridge/sources/eureka"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

func TestARealSpringCloudClientIsFollowed(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	server.Keep(time.Second, instance("stays", 1))
	r := follow(t, config(server.URL))
	r.Wait(t, "a scripted one", has("STAYS", 1))
	client := harness.StartSpringEureka(t, harness.SpringConfig{
		Registry: server.URL, App: "billing", Metadata: map[string]string{"version": "v1", "zone": "eu-1", "region": "eu", "weight": "3"},
	})
	i := only(t, r.Wait(t, "the client", has("BILLING", 1)), "BILLING")
	r.Wait(t, "that it is up", func(p sourcetest.Picture) bool {
		i := only(t, p, "BILLING")
		return i.Usable()
	})
	if i.Address != client.Address || len(i.Ports) != 1 || int(i.Ports[0].Number) != client.Port || i.Ports[0].Protocol != "" {
		t.Errorf("got %s and %v, want %s and one port %d", i.Address, i.Ports, client.Address, client.Port)
	}
	if i.Metadata["version"] != "v1" || i.Metadata["vipAddress"] != "billing" || i.Locality != "eu/eu-1" || i.Weight != 3*sources.DefaultWeight {
		t.Errorf("got metadata %v, locality %q, weight %d", i.Metadata, i.Locality, i.Weight)
	}
	if _, found := i.Metadata["@class"]; found {
		t.Error("the class of the metadata is reported")
	}
	client.Stop()
	p := r.Wait(t, "that it has shut down", has("BILLING", -1))
	if p.Instances("STAYS") != 1 || p.Snapshots[eureka.Scope] != 1 {
		t.Errorf("got %d snapshots and %d of the neighbour", p.Snapshots[eureka.Scope], p.Instances("STAYS"))
	}
}

func TestAClientThatDiesGoesWithItsLease(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	server.Keep(time.Second, instance("stays", 1))
	client := harness.StartSpringEureka(t, harness.SpringConfig{Registry: server.URL, App: "billing"})
	r := follow(t, config(server.URL))
	r.Wait(t, "the client", has("BILLING", 1))
	client.Kill()
	r.Wait(t, "that it is gone", has("BILLING", -1))
}

func TestAnOverriddenStatusTakesAnInstanceOut(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	server.Register(instances("orders", 2)...)
	r := follow(t, config(server.URL))
	r.Wait(t, "both", has("ORDERS", 2))
	first := func(want func(sources.Instance) bool) func(sourcetest.Picture) bool {
		return func(p sourcetest.Picture) bool {
			s := p.Service("ORDERS")
			return len(s.Instances) == 2 && s.Instances[1].Usable() && want(s.Instances[0])
		}
	}
	server.SetStatus("OUT_OF_SERVICE", instance("orders", 1))
	r.Wait(t, "disabled", first(func(i sources.Instance) bool { return i.Healthy && !i.Enabled }))
	server.SetStatus("DOWN", instance("orders", 1))
	r.Wait(t, "unhealthy", first(func(i sources.Instance) bool { return !i.Healthy && i.Enabled }))
	server.ClearStatus(instance("orders", 1))
	r.Wait(t, "up again", first(func(i sources.Instance) bool { return i.Usable() }))
}

func TestPortsZonesAndHostNamesComeThrough(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	server.Register(
		harness.EurekaInstance{App: "both", IP: "10.0.0.1", Port: 8080, SecurePort: 8443, Metadata: map[string]string{"zone": "eu-1"}},
		harness.EurekaInstance{App: "secure", IP: "10.0.0.1", SecurePort: 8443},
		harness.EurekaInstance{App: "none", IP: "10.0.0.1"},
		harness.EurekaInstance{App: "amazon", IP: "10.0.0.2", Port: 7001, VIP: "shop,shop-legacy", Change: func(i map[string]any) {
			// The server wants the metadata last.
			i["dataCenterInfo"] = json.RawMessage(`{"@class":"com.netflix.appinfo.AmazonInfo","name":"Amazon",` +
				`"metadata":{"availability-zone":"us-east-1c","instance-id":"i-0a1b","local-ipv4":"10.0.0.2"}}`)
		}},
		harness.EurekaInstance{App: "named", ID: "n", Host: "named.example.com", IP: "0.0.0.0", Port: 80},
	)
	c := config(server.URL + "/")
	c.Region = "eu"
	p := follow(t, c).Wait(t, "all of them", func(p sourcetest.Picture) bool { return len(p.Services) == 5 })
	for app, want := range map[string]string{"BOTH": ":8080 https:8443", "SECURE": "https:8443", "AMAZON": ":7001", "NAMED": ":80"} {
		if got := ports(only(t, p, app)); got != want {
			t.Errorf("%s: got ports %s, want %s", app, got, want)
		}
	}
	if got := only(t, p, "BOTH").Locality; got != "eu/eu-1" {
		t.Errorf("got locality %s", got)
	}
	amazon := only(t, p, "AMAZON")
	if amazon.Locality != "us-east-1/us-east-1c" || amazon.Metadata["vipAddress"] != "shop" {
		t.Errorf("got locality %s, metadata %v", amazon.Locality, amazon.Metadata)
	}
	if got := only(t, p, "NAMED").Address; got != "named.example.com" {
		t.Errorf("got address %s", got)
	}
	none := p.Service("NONE")
	if len(none.Instances) != 0 || len(none.Skipped) != 1 || !strings.HasPrefix(none.Skipped[0].Reason, "no port") {
		t.Errorf("without a port: got %+v", none)
	}
}

func TestThePasswordDecides(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{User: "reader", Password: "p@ss/word"})
	server.Register(instance("orders", 1))
	c := config(server.URL)
	follow(t, c).Wait(t, "that a password is wanted", says("401 Unauthorized: the server wants a username and a password"))
	c.Username, c.Password = "reader", "wrong"
	follow(t, c).Wait(t, "that it is wrong", says("401 Unauthorized: the server refuses the password of user reader"))
	c.Password = "p@ss/word"
	follow(t, c).Wait(t, "the instance", has("ORDERS", 1))
	inURL := config(strings.Replace(server.URL, "http://", "http://reader:"+url.QueryEscape("p@ss/word")+"@", 1))
	inURL.Username, inURL.Password = "another", "wrong"
	follow(t, inURL).Wait(t, "the instance by the URL's password", has("ORDERS", 1))
}

func TestAnotherPathIsNoEmptyRegistry(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	server.Register(instance("orders", 1))
	follow(t, config("http://"+server.Addr)).Wait(t, "a word on the path", says("404 Not Found: no Eureka here"))
}

func TestWithoutDeltasChangesArrive(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{Flags: []string{"eureka.server.disable-delta=true"}})
	server.Register(instances("orders", 2)...)
	r := follow(t, config(server.URL))
	r.Wait(t, "both", has("ORDERS", 2))
	server.Register(instance("orders", 3))
	r.Wait(t, "a third", has("ORDERS", 3))
	server.Deregister(instance("orders", 1))
	p := r.Wait(t, "one less", has("ORDERS", 2))
	if p.Snapshots[eureka.Scope] != 1 || !known(p) {
		t.Errorf("got %d snapshots and state %v", p.Snapshots[eureka.Scope], p.States[eureka.Scope])
	}
}
