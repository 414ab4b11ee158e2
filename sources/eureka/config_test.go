package eureka

import (
	"encoding/json"
	"fmt"
	"log/slog"
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
		{func(c *Config) { c.Servers = []Server{"http://u:p@[fd00::1]:8761/eureka/", "https://h"} }, ""},
		{func(c *Config) { c.Servers = nil }, "servers: empty: name at least one base URL such as http://eureka-1:8761/eureka"},
		{func(c *Config) { c.Servers = []Server{""} }, `servers[0]: "": empty: a base URL such as http://eureka-1:8761/eureka`},
		{func(c *Config) { c.Servers = []Server{"eureka-1:8761"} }, `servers[0]: "eureka-1:8761": is no http or https URL: a base URL such as http://eureka-1:8761/eureka`},
		{func(c *Config) { c.Servers = []Server{"http://:8761/eureka"} }, `servers[0]: "http://:8761/eureka": has no host`},
		{func(c *Config) { c.Servers = []Server{"http://a/eureka,http://b/eureka"} }, `servers[0]: "http://a/eureka,http://b/eureka": several servers are several list entries`},
		{func(c *Config) { c.Servers = []Server{"http://a/eureka/apps"} }, `servers[0]: "http://a/eureka/apps": ends in /apps: name the URL before it`},
		{func(c *Config) { c.Servers = []Server{"http://a/eureka?x=y"} }, `servers[0]: "http://a/eureka?x=y": has a query or a fragment: a base URL ends in its path`},
		{
			func(c *Config) { c.Servers = []Server{"http://u:h/u@sh@a/eureka"} },
			`servers[0]: "http://u:<secret>@a/eureka": is no URL: a base URL such as http://eureka-1:8761/eureka, with special characters of a password %-encoded`,
		},
		{func(c *Config) { c.Password = "hush" }, "username: empty, but there is a password: name its user"},
		{func(c *Config) { c.TLS = &sources.TLS{Cert: "c"} }, "tls: cert and key belong together: set both or neither"},
		{func(c *Config) { c.TLS = &sources.TLS{} }, "tls: no server has an https URL"},
		{func(c *Config) { c.Interval = 0 }, "interval: 0s is too short: at least 100ms"},
		{func(c *Config) { c.Timeout = -time.Second }, "timeout: -1s is not positive"},
		{func(c *Config) { c.Resync = 0 }, "resync: 0s is not positive"},
		{func(c *Config) { c.Settle = -1 }, "settle: -1ns is negative"},
		{func(c *Config) { c.Region = "eu/1" }, `region: "eu/1": a region has no slash`},
		{func(c *Config) { c.Regions = []string{"a", "b,c"} }, `regions[1]: "b,c": several regions are several list entries`},
		{func(c *Config) { c.Servers, c.Interval = nil, 1 }, "servers: empty: name at least one base URL such as http://eureka-1:8761/eureka\ninterval: 1ns is too short: at least 100ms"},
	} {
		c := Default()
		c.Servers = []Server{"http://eureka-1:8761/eureka"}
		test.change(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestTheIdentityIsWhatIsFollowedAndNotHow(t *testing.T) {
	c := Default()
	c.Servers = []Server{"http://b/eureka", "http://a/eureka"}
	same := Default()
	same.Servers, same.Interval = []Server{"http://u:p@a/eureka/", "http://b/eureka"}, time.Minute
	same.Username, same.Password, same.Region = "u", "p", "eu"
	if c.Identity() != same.Identity() || c.Identity() == "" {
		t.Errorf("%q and %q differ", c.Identity(), same.Identity())
	}
	for what, change := range map[string]func(*Config){
		"a server":   func(c *Config) { c.Servers = c.Servers[:1] },
		"the path":   func(c *Config) { c.Servers[0] = "http://b/eureka/v2" },
		"the region": func(c *Config) { c.Regions = []string{"us"} },
	} {
		other := Default()
		other.Servers = []Server{"http://b/eureka", "http://a/eureka"}
		change(&other)
		if other.Identity() == c.Identity() {
			t.Errorf("%s is not part of %q", what, c.Identity())
		}
	}
}

func TestCredentialsAreNeverPrinted(t *testing.T) {
	c := Default()
	c.Servers = []Server{"http://reader:hush@eureka-1/eureka", "reader:hu@sh@what"}
	c.Username, c.Password = "reader", "hush"
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "config", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "config", c, "servers", c.Servers, "server", c.Servers[0])
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %x %s %s", c, c, c, c.Servers, c.Servers[0], log.String(), text)
	if strings.Contains(all, "hu") || strings.Contains(all, "sh@") {
		t.Errorf("printed: %s", all)
	}
	if !strings.Contains(all, "http://reader:<secret>@eureka-1/eureka") {
		t.Errorf("the server is not told: %s", all)
	}
}
