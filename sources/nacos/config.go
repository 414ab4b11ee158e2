package nacos

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"meshbridge/sources"
	"meshbridge/sources/dubbo"
)

// The modes of [Dubbo].
const (
	ModeInterface = "interface"
	ModeInstance  = "instance"
	ModeAll       = "all"
)

const (
	everything    = "*"
	public        = "public"
	defaultPort   = "8848"
	grpcOffset    = 1000
	shortInterval = time.Second
)

// Config says which Nacos to follow and what of it.
type Config struct {
	// Base URLs of the servers of one cluster, such as http://nacos-1:8848; a path replaces /nacos. Default: none, at least one is needed.
	Servers []string `yaml:"servers"`
	// IDs of the namespaces to follow; prod=8f3c… gives an ID a name, * stands for all that the server lists. Default: [public].
	Namespaces []string `yaml:"namespaces"`
	// Groups to follow; * stands for all. Default: ["*"].
	Groups []string `yaml:"groups"`
	// User to log in as. Default: none, so no identity is shown.
	Username string `yaml:"username"`
	// Password of the user. Default: none.
	Password sources.Secret `yaml:"password"`
	// Access key of Alibaba Cloud's signed requests, in place of a user. Default: none.
	AccessKey string `yaml:"accessKey"`
	// Secret key that belongs to the access key. Default: none.
	SecretKey sources.Secret `yaml:"secretKey"`
	// TLS towards the servers: of gRPC wherever this block is present, of HTTP by https URLs. Default: the system's authorities for https, none for http.
	TLS *sources.TLS `yaml:"tls"`
	// Port of the servers' gRPC, the same on all of them; 0 is the port of the URL and 1000. Default: 0.
	GRPCPort int `yaml:"grpcPort"`
	// How often the lists of services are read, at least 1s. Default: 5s.
	Interval time.Duration `yaml:"interval"`
	// About how often a service of which nothing was heard is read again all the same, at least 10s. Default: 30m.
	Reread time.Duration `yaml:"reread"`
	// How long a server may take for one answer, at least 100ms. Default: 5s.
	Timeout time.Duration `yaml:"timeout"`
	// What Dubbo registers. Default: see its keys.
	Dubbo Dubbo `yaml:"dubbo"`
}

// Dubbo says which of Dubbo's registrations count.
type Dubbo struct {
	// Which registrations count: interface, instance (applications), or all with duplicates merged. Default: all.
	Mode string `yaml:"mode"`
}

// Default is the configuration that needs no more than servers.
func Default() Config {
	return Config{
		Namespaces: []string{public}, Groups: []string{everything},
		Interval: 5 * time.Second, Reread: 30 * time.Minute, Timeout: 5 * time.Second, Dubbo: Dubbo{Mode: ModeAll},
	}
}

// Validate reports everything that is wrong, each fault led by the path of the key below the source.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if len(c.Servers) == 0 {
		fault("servers: empty: name at least one, such as http://nacos-1:8848")
	}
	for i, s := range c.Servers {
		if _, err := parseServer(s, c.GRPCPort); err != nil {
			fault("servers[%d]: %w", i, err)
		}
	}
	faults = append(faults, c.scopeFaults()...)
	faults = append(faults, c.identityFaults()...)
	if err := c.TLS.Validate(); err != nil {
		fault("tls: %w", err)
	}
	if c.GRPCPort < 0 || c.GRPCPort > 65535 {
		fault("grpcPort: %d is none of 0 to 65535", c.GRPCPort)
	}
	for _, d := range []struct {
		key        string
		value, min time.Duration
	}{{"interval", c.Interval, shortInterval}, {"reread", c.Reread, 10 * time.Second}, {"timeout", c.Timeout, 100 * time.Millisecond}} {
		if d.value < d.min {
			fault("%s: %v is too short: at least %v", d.key, d.value, d.min)
		}
	}
	if !slices.Contains([]string{ModeInterface, ModeInstance, ModeAll}, c.Dubbo.Mode) {
		fault("dubbo.mode: %q is none of interface, instance, all", c.Dubbo.Mode)
	}
	return errors.Join(faults...)
}

func (c Config) scopeFaults() []error {
	var faults []error
	if len(c.Namespaces) == 0 {
		faults = append(faults, errors.New(`namespaces: empty: name some, or ["*"] for all`))
	}
	names, ids := map[string]bool{}, map[string]bool{}
	for i, n := range c.Namespaces {
		s := parseNamespace(n)
		switch {
		case s.name == "" || s.id == "":
			faults = append(faults, fmt.Errorf("namespaces[%d]: %q: an ID, or name=ID, is needed", i, n))
		case strings.ContainsAny(s.id, "*, ") && n != everything:
			faults = append(faults, fmt.Errorf("namespaces[%d]: %q is no ID of a namespace; * alone stands for all", i, n))
		case names[s.name] || ids[s.id]:
			faults = append(faults, fmt.Errorf("namespaces[%d]: %q is there twice", i, n))
		}
		names[s.name], ids[s.id] = true, true
	}
	if len(c.Groups) == 0 {
		faults = append(faults, errors.New(`groups: empty: name some, or ["*"] for all`))
	}
	for i, g := range c.Groups {
		switch {
		case g == "" || g != everything && strings.ContainsAny(g, "*, "):
			faults = append(faults, fmt.Errorf("groups[%d]: %q is no group's name; * alone stands for all", i, g))
		case slices.Contains(c.Groups[:i], g):
			faults = append(faults, fmt.Errorf("groups[%d]: %q is there twice", i, g))
		}
	}
	return faults
}

func (c Config) identityFaults() []error {
	var faults []error
	if (c.Username == "") != (c.Password == "") {
		faults = append(faults, errors.New("password: username and password belong together: set both or neither"))
	}
	if (c.AccessKey == "") != (c.SecretKey == "") {
		faults = append(faults, errors.New("secretKey: accessKey and secretKey belong together: set both or neither"))
	}
	if c.Username != "" && c.AccessKey != "" {
		faults = append(faults, errors.New("accessKey: username is set too: a request carries one identity"))
	}
	return faults
}

// Identity names what is followed: it changes with the servers and with what of them is followed, and not with
// credentials, intervals or the like. What one identity said last is nothing to another.
func (c Config) Identity() string {
	sorted := func(list []string) string { return strings.Join(slices.Sorted(slices.Values(list)), ",") }
	return fmt.Sprintf("%s namespaces %s groups %s dubbo %s", sorted(c.Servers), sorted(c.Namespaces), sorted(c.Groups), c.Dubbo.Mode)
}

// namespace is one to follow: its name is the scope's, its ID the server's.
type namespace struct{ name, id string }

// parseNamespace reads an entry of Config.Namespaces.
func parseNamespace(s string) namespace {
	if name, id, found := strings.Cut(s, "="); found {
		return namespace{name, id}
	}
	return namespace{s, s}
}

// named lists the namespaces that the configuration names, sorted, and whether it wants all others too.
func (c Config) named() (list []namespace, all bool) {
	for _, n := range c.Namespaces {
		if n == everything {
			all = true
		} else {
			list = append(list, parseNamespace(n))
		}
	}
	slices.SortFunc(list, func(a, b namespace) int { return strings.Compare(a.name, b.name) })
	return list, all
}

// allGroups reports whether groups are to be found rather than named.
func (c Config) allGroups() bool { return slices.Contains(c.Groups, everything) }

// server is one of the cluster.
type server struct {
	base  *url.URL // with the context path, without a slash at its end
	grpc  string   // host:port
	https bool
}

// parseServer reads a base URL.
func parseServer(text string, grpcPort int) (server, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return server{}, fmt.Errorf("%q is no URL, such as http://nacos-1:8848", text)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return server{}, fmt.Errorf("%q is no URL of http or https, such as http://nacos-1:8848", text)
	case u.User != nil:
		return server{}, errors.New("a user in the URL: use username and password")
	case u.RawQuery != "" || u.Fragment != "":
		return server{}, fmt.Errorf("%q has a query or a fragment: leave it out", text)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return server{}, fmt.Errorf("%q: port %q is none of 1 to 65535", text, port)
	}
	if grpcPort == 0 {
		grpcPort = int(number) + grpcOffset
	}
	if grpcPort > 65535 {
		return server{}, fmt.Errorf("%q: port %s and %d is no port: set grpcPort", text, port, grpcOffset)
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	if u.Path = strings.TrimRight(u.Path, "/"); u.Path == "" {
		u.Path = "/nacos"
	}
	return server{base: u, grpc: net.JoinHostPort(u.Hostname(), strconv.Itoa(grpcPort)), https: u.Scheme == "https"}, nil
}

// String names the server in messages.
func (s server) String() string { return s.base.String() }

// volatile are the metadata keys that differ between equal instances or say nothing about them.
func volatile() []string {
	return append(dubbo.Volatile(), "IPv6", "management.*", "nacos.ephemeral", "preserved.*", "protocol", "secure")
}
