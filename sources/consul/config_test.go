package consul

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
)

func TestEachFaultOfAConfigurationIsLedByItsPath(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Address, c.TLS = "https://[fd00::1]:8501/consul/", &sources.TLS{} }, ""},
		{func(c *Config) { c.Datacenters, c.Watches = []string{"*"}, 0 }, ""},
		{func(c *Config) { c.Address = "" }, "address: empty: name the base URL of an agent, such as http://consul:8500"},
		{func(c *Config) { c.Address = "consul:8500" }, "address: no http or https URL such as http://consul:8500"},
		{func(c *Config) { c.Address = "http://u:hush@consul:8500" }, "address: has a user in it, which Consul does not know: a token goes to token"},
		{func(c *Config) { c.Address = "http://consul:8500?dc=a" }, "address: has a query or fragment: it is what /v1/catalog/services is appended to"},
		{func(c *Config) { c.TLS = &sources.TLS{} }, "tls: the address is no https URL"},
		{func(c *Config) { c.Address, c.TLS = "https://consul", &sources.TLS{Key: "k"} }, "tls: cert and key belong together: set both or neither"},
		{func(c *Config) { c.Datacenters = []string{"a", ""} }, "datacenters[1]: empty: name a datacenter, or none for the agent's own"},
		{func(c *Config) { c.Datacenters = []string{"a", "a"} }, "datacenters[1]: a is there twice"},
		{func(c *Config) { c.Datacenters = []string{"*", "a"} }, `datacenters[0]: "*" is all of them: it stands alone`},
		{func(c *Config) { c.Namespace = "*" }, "namespace: a source reads one: several are several sources"},
		{func(c *Config) { c.Partition = "*" }, "partition: a source reads one: several are several sources"},
		{func(c *Config) { c.TaggedAddress = "" }, "taggedAddress: empty: lan is the plain address"},
		{func(c *Config) { c.Watches = -1 }, "watches: -1 is none of 0 to 4096"},
		{func(c *Config) { c.Wait = 11 * time.Minute }, "wait: 11m0s is none of 1s to 10m0s"},
		{func(c *Config) { c.Timeout, c.Resync = 0, -time.Second }, "timeout: 0s is not positive\nresync: -1s is not positive"},
		{func(c *Config) { c.Debounce = 0 }, "debounce: 0s is not positive"},
	} {
		c := Default()
		c.Address = "http://consul:8500"
		test.change(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
		if _, err := New(c, nil); (err == nil) != (test.want == "") {
			t.Errorf("%q: New gave %v", test.want, err)
		}
	}
}

func TestTheIdentityIsWhatIsFollowedAndNoCredential(t *testing.T) {
	of := func(change func(*Config)) string {
		c := Default()
		c.Address = "http://consul:8500"
		change(&c)
		return c.Identity()
	}
	plain := of(func(*Config) {})
	for _, same := range []func(*Config){
		func(c *Config) { c.Address += "/" }, func(c *Config) { c.Token = "t" }, func(c *Config) { c.Wait, c.Watches, c.Resync = 1, 2, 3 },
		func(c *Config) { c.AllowAnonymous, c.PassingOnly = true, true },
	} {
		if got := of(same); got != plain {
			t.Errorf("got %q, want %q", got, plain)
		}
	}
	for _, other := range []func(*Config){
		func(c *Config) { c.Address = "http://other:8500" }, func(c *Config) { c.Datacenters = []string{"dc2"} }, func(c *Config) { c.Namespace = "n" },
		func(c *Config) { c.Partition = "n" }, func(c *Config) { c.Filter = "n" },
	} {
		if got := of(other); got == plain {
			t.Errorf("%q stands for both", got)
		}
	}
}

func TestTheTokenIsNeverPrinted(t *testing.T) {
	c := Default()
	c.Token = "hush"
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%v %+v %s", c, c, text); strings.Contains(all, "hush") {
		t.Error(all)
	}
}
