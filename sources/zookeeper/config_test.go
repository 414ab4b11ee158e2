package zookeeper

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/sources"
)

func TestEachFaultOfAConfigurationIsLedByItsPath(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Servers = nil }, "servers: empty: name at least one host:port"},
		{func(c *Config) { c.Servers = []string{"a:1", "b:0"} }, `servers[1]: "b:0": port "0" is none of 1 to 65535`},
		{func(c *Config) { c.Servers = []string{"a,b"} }, `servers[0]: "a,b": several servers are several list entries`},
		{func(c *Config) { c.Servers = []string{"a:2181/x"} }, `servers[0]: "a:2181/x": is no host:port: a path belongs in chroot, TLS in tls`},
		{func(c *Config) { c.Servers = []string{"zz:1:2"} }, `servers[0]: "zz:1:2": is no host:port`},
		{func(c *Config) { c.Chroot = "x" }, `chroot: "x": does not begin with /`},
		{func(c *Config) { c.Chroot = "/x/" }, `chroot: "/x/": is not in its shortest form: /x`},
		{func(c *Config) { c.SessionTimeout = time.Millisecond }, "sessionTimeout: 1ms is too short: at least 1s"},
		{func(c *Config) { c.Auth.Credentials = "nobody" }, "auth.credentials: digest wants user:password"},
		{func(c *Config) { c.Auth = Auth{Credentials: "a:b"} }, "auth.scheme: empty: digest is the usual one"},
		{func(c *Config) { c.TLS = &sources.TLS{Cert: "c"} }, "tls: cert and key belong together: set both or neither"},
		{func(c *Config) { c.Dubbo.Mode = "both" }, `dubbo.mode: "both" is none of interface, instance, all`},
		{func(c *Config) { c.Dubbo.Root = "/" }, "dubbo.root: / cannot be a root: name a node below it, and use chroot for the rest"},
		{func(c *Config) { c.SpringCloud.Root = "/dubbo" }, "springCloud.root: /dubbo is dubbo.root already: interfaces and applications need roots of their own"},
		{func(c *Config) { c.Dubbo.Root, c.SpringCloud.Root = "", "" }, "dubbo.root: nothing to follow: set a root of dubbo or springCloud"},
		{func(c *Config) { c.Servers, c.Chroot = nil, "" }, "servers: empty: name at least one host:port\n" + `chroot: "": does not begin with /`},
	} {
		c := Default()
		c.Servers = []string{"zk-1:2181"}
		test.change(&c)
		err := c.Validate()
		if err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestServersHaveADefaultPort(t *testing.T) {
	for server, want := range map[string]string{
		"zk-1": "zk-1:2181", "zk-1:1": "zk-1:1", "10.0.0.1": "10.0.0.1:2181", "fd00::1": "[fd00::1]:2181", "[fd00::1]": "[fd00::1]:2181", "[fd00::1]:7": "[fd00::1]:7",
	} {
		if got, err := serverAddress(server); got != want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", server, got, err, want)
		}
	}
}

func TestScopesAreTheRootsThatModeAndFormatsNeed(t *testing.T) {
	for _, test := range []struct {
		mode, dubbo, services, spring string
		want                          []string
	}{
		{ModeAll, "/dubbo", "/services", "/services", []string{"/dubbo im", "/services ds"}},
		{ModeAll, "/dubbo", "/services", "/spring", []string{"/dubbo im", "/services d", "/spring s"}},
		{ModeAll, "/dubbo", "", "", []string{"/dubbo im"}},
		{ModeInterface, "/dubbo", "/services", "/services", []string{"/dubbo i", "/services s"}},
		{ModeInterface, "/dubbo", "/services", "", []string{"/dubbo i"}},
		{ModeInstance, "/dubbo", "/services", "", []string{"/dubbo m", "/services d"}},
		{ModeAll, "", "/services", "/services", []string{"/services s"}},
	} {
		c := Default()
		c.Dubbo = Dubbo{Root: test.dubbo, Services: test.services, Mode: test.mode}
		c.SpringCloud.Root = test.spring
		var got []string
		for _, s := range c.scopes() {
			text := s.name + " "
			for _, part := range []struct {
				letter string
				on     bool
			}{{"i", s.interfaces}, {"m", s.mapping}, {"d", s.dubbo}, {"s", s.spring}} {
				if part.on {
					text += part.letter
				}
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.Dubbo, diff)
		}
	}
}

func TestCredentialsAreNeverPrinted(t *testing.T) {
	c := Default()
	c.Auth.Credentials = "user:hush"
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "config", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "config", c)
	if all := fmt.Sprintf("%v %+v %#v %s", c, c, c, log.String()); strings.Contains(all, "hush") {
		t.Errorf("printed: %s", all)
	}
}
