package nacos

import (
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
)

func TestTheDefaultNeedsOnlyServers(t *testing.T) {
	c := Default()
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "servers: empty") {
		t.Errorf("without servers: %v", err)
	}
	c.Servers = []string{"http://nacos-1:8848", "https://nacos.example.com/", "http://[2001:db8::1]:80/registry/nacos/"}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestAServersURLSaysWhereHTTPAndGRPCAre(t *testing.T) {
	for text, want := range map[string][2]string{
		"http://nacos-1:8848":                     {"http://nacos-1:8848/nacos", "nacos-1:9848"},
		"https://nacos.example.com/":              {"https://nacos.example.com:8848/nacos", "nacos.example.com:9848"},
		"http://[2001:db8::1]:80/registry/nacos/": {"http://[2001:db8::1]:80/registry/nacos", "[2001:db8::1]:1080"},
	} {
		s, err := parseServer(text, 0)
		if err != nil || s.String() != want[0] || s.grpc != want[1] || s.https != strings.HasPrefix(text, "https") {
			t.Errorf("%s: got %s, %s, %v", text, s, s.grpc, err)
		}
	}
	if s, err := parseServer("http://nacos-1:64999", 19848); err != nil || s.grpc != "nacos-1:19848" {
		t.Errorf("got %s, %v", s.grpc, err)
	}
}

func TestEveryFaultNamesItsKey(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"servers[1]":    func(c *Config) { c.Servers = append(c.Servers, "nacos-2:8848") },
		"servers[0]":    func(c *Config) { c.Servers = []string{"http://user:password@nacos-1:8848"} },
		"query":         func(c *Config) { c.Servers = []string{"http://nacos-1:8848?a=b"} },
		"set grpcPort":  func(c *Config) { c.Servers = []string{"http://nacos-1:64999"} },
		"namespaces":    func(c *Config) { c.Namespaces = nil },
		"namespaces[0]": func(c *Config) { c.Namespaces = []string{"pay-*"} },
		"namespaces[1]": func(c *Config) { c.Namespaces = []string{"a=x", "b=x"} },
		"ID, or name":   func(c *Config) { c.Namespaces = []string{"prod="} },
		"groups":        func(c *Config) { c.Groups = nil },
		"groups[1]":     func(c *Config) { c.Groups = []string{"pay", "pay"} },
		"groups[0]":     func(c *Config) { c.Groups = []string{"pay*"} },
		"password":      func(c *Config) { c.Username = "reader" },
		"secretKey":     func(c *Config) { c.AccessKey = "LTAI" },
		"accessKey":     func(c *Config) { c.Username, c.Password, c.AccessKey, c.SecretKey = "a", "b", "c", "d" },
		"tls":           func(c *Config) { c.TLS = &sources.TLS{Cert: "a.crt"} },
		"grpcPort":      func(c *Config) { c.GRPCPort = 70000 },
		"interval":      func(c *Config) { c.Interval = time.Millisecond },
		"reread":        func(c *Config) { c.Reread = time.Second },
		"timeout":       func(c *Config) { c.Timeout = 0 },
		"dubbo.mode":    func(c *Config) { c.Dubbo.Mode = "both" },
	} {
		c := Default()
		c.Servers = []string{"http://nacos-1:8848"}
		change(&c)
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want a fault of %s, got %v", want, err)
		}
		if err != nil && strings.Contains(err.Error(), "user:password") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}

func TestTheIdentityIsWhatIsFollowed(t *testing.T) {
	c := Default()
	c.Servers = []string{"http://nacos-1:8848", "http://nacos-2:8848"}
	first := c.Identity()
	for what, change := range map[string]func(*Config){
		"credentials": func(c *Config) { c.Username, c.Password = "a", "b" },
		"intervals":   func(c *Config) { c.Interval, c.Reread, c.Timeout = time.Minute, time.Hour, time.Minute },
		"order":       func(c *Config) { c.Servers = []string{"http://nacos-2:8848", "http://nacos-1:8848"} },
	} {
		other := c
		if change(&other); other.Identity() != first {
			t.Errorf("%s: %s is another than %s", what, other.Identity(), first)
		}
	}
	for what, change := range map[string]func(*Config){
		"servers":    func(c *Config) { c.Servers = c.Servers[:1] },
		"namespaces": func(c *Config) { c.Namespaces = []string{"*"} },
		"groups":     func(c *Config) { c.Groups = []string{"pay"} },
		"mode":       func(c *Config) { c.Dubbo.Mode = ModeInstance },
	} {
		other := c
		if change(&other); other.Identity() == first {
			t.Errorf("%s: still %s", what, first)
		}
	}
}
