package zookeeper

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path"
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

const defaultPort = "2181"

// Config says which ensemble to follow and what is registered in it.
type Config struct {
	// Members of the ensemble as host or host:port; names are resolved anew for each connection. Default: none, at least one is needed.
	Servers []string `yaml:"servers"`
	// Node that all other paths are relative to. Default: /.
	Chroot string `yaml:"chroot"`
	// Identity shown to ZooKeeper, for trees that are not readable by anyone. Default: none.
	Auth Auth `yaml:"auth"`
	// TLS towards the servers' secureClientPort; an empty block trusts the system's authorities. Default: plain TCP.
	TLS *sources.TLS `yaml:"tls"`
	// Silence after which a server counts as lost is two thirds of this; the server may bound it. Default: 15s.
	SessionTimeout time.Duration `yaml:"sessionTimeout"`
	// What Dubbo registers. Default: everything below /dubbo and /services.
	Dubbo Dubbo `yaml:"dubbo"`
	// What Spring Cloud ZooKeeper registers. Default: everything below /services.
	SpringCloud SpringCloud `yaml:"springCloud"`
}

// Auth is an identity in one of ZooKeeper's authentication schemes.
type Auth struct {
	// Authentication scheme. Default: digest.
	Scheme string `yaml:"scheme"`
	// Credentials of the scheme, for digest user:password. Default: none, so no identity is shown.
	Credentials sources.Secret `yaml:"credentials"`
}

// Dubbo says where Dubbo registers and which of its registrations count.
type Dubbo struct {
	// Root of the interfaces and of the mapping from interfaces to applications; empty to leave Dubbo out. Default: /dubbo.
	Root string `yaml:"root"`
	// Root of the applications (Dubbo 3's own group); empty to leave them out. Default: /services.
	Services string `yaml:"services"`
	// Which registrations count: interface, instance (applications), or all with duplicates merged. Default: all.
	Mode string `yaml:"mode"`
}

// SpringCloud says where Spring Cloud ZooKeeper registers.
type SpringCloud struct {
	// Root of the applications, which Dubbo's may share; empty to leave Spring Cloud out. Default: /services.
	Root string `yaml:"root"`
}

// Default is the configuration that needs no more than servers.
func Default() Config {
	return Config{
		Chroot:         "/",
		Auth:           Auth{Scheme: "digest"},
		SessionTimeout: 15 * time.Second,
		Dubbo:          Dubbo{Root: "/dubbo", Services: "/services", Mode: ModeAll},
		SpringCloud:    SpringCloud{Root: "/services"},
	}
}

// Identity names what is followed: it changes with the servers and the roots, and not with credentials or timeouts.
func (c Config) Identity() string {
	return fmt.Sprintf("%q %q %q", slices.Sorted(slices.Values(c.Servers)), c.Chroot, []string{c.Dubbo.Root, c.Dubbo.Services, c.Dubbo.Mode, c.SpringCloud.Root})
}

// Validate reports everything that is wrong, each fault led by the path of the key below the source.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if len(c.Servers) == 0 {
		fault("servers: empty: name at least one host:port")
	}
	for i, s := range c.Servers {
		if _, err := serverAddress(s); err != nil {
			fault("servers[%d]: %q: %w", i, s, err)
		}
	}
	if err := checkPath(c.Chroot); err != nil {
		fault("chroot: %q: %w", c.Chroot, err)
	}
	if c.SessionTimeout < time.Second {
		fault("sessionTimeout: %v is too short: at least 1s", c.SessionTimeout)
	}
	faults = append(faults, c.Auth.faults()...)
	if err := c.TLS.Validate(); err != nil {
		fault("tls: %w", err)
	}
	faults = append(faults, c.rootFaults()...)
	return errors.Join(faults...)
}

func (a Auth) faults() []error {
	if a.Credentials == "" {
		return nil
	}
	if a.Scheme == "" {
		return []error{errors.New("auth.scheme: empty: digest is the usual one")}
	}
	if user, _, found := strings.Cut(a.Credentials.Reveal(), ":"); a.Scheme == "digest" && (!found || user == "") {
		return []error{errors.New("auth.credentials: digest wants user:password")}
	}
	return nil
}

// rootFaults checks the roots and how they lie to each other.
func (c Config) rootFaults() []error {
	var faults []error
	for _, root := range []struct{ key, path string }{
		{"dubbo.root", c.Dubbo.Root}, {"dubbo.services", c.Dubbo.Services}, {"springCloud.root", c.SpringCloud.Root},
	} {
		if root.path == "" {
			continue
		}
		if err := checkPath(root.path); err != nil {
			faults = append(faults, fmt.Errorf("%s: %q: %w", root.key, root.path, err))
		} else if root.path == "/" {
			faults = append(faults, fmt.Errorf("%s: / cannot be a root: name a node below it, and use chroot for the rest", root.key))
		} else if root.key != "dubbo.root" && root.path == c.Dubbo.Root {
			faults = append(faults, fmt.Errorf("%s: %s is dubbo.root already: interfaces and applications need roots of their own", root.key, root.path))
		}
	}
	if !slices.Contains([]string{ModeInterface, ModeInstance, ModeAll}, c.Dubbo.Mode) {
		faults = append(faults, fmt.Errorf("dubbo.mode: %q is none of interface, instance, all", c.Dubbo.Mode))
	}
	if len(faults) == 0 && len(c.scopes()) == 0 {
		faults = append(faults, errors.New("dubbo.root: nothing to follow: set a root of dubbo or springCloud"))
	}
	return faults
}

// checkPath accepts what ZooKeeper takes as a path that names one node.
func checkPath(p string) error {
	if !strings.HasPrefix(p, "/") {
		return errors.New("does not begin with /")
	}
	if path.Clean(p) != p {
		return fmt.Errorf("is not in its shortest form: %s", path.Clean(p))
	}
	return nil
}

// serverAddress is the host:port that a member of the ensemble means.
func serverAddress(server string) (string, error) {
	switch {
	case server == "":
		return "", errors.New("empty: name a host:port")
	case strings.ContainsAny(server, ", "):
		return "", errors.New("several servers are several list entries")
	case strings.Contains(server, "/"):
		return "", errors.New("is no host:port: a path belongs in chroot, TLS in tls")
	}
	host, port, err := net.SplitHostPort(server)
	if err != nil { // no port, or an address that needs brackets to have one
		host, port = strings.Trim(server, "[]"), defaultPort
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", errors.New("is no host:port")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q is none of 1 to 65535", port)
	}
	if host == "" {
		return "", errors.New("has no host")
	}
	return net.JoinHostPort(host, port), nil
}

// scope is one root that is followed, and what in it counts.
type scope struct {
	name       string // as configured, relative to the chroot
	path       string // as in ZooKeeper
	interfaces bool   // provider URLs below it
	mapping    bool   // the mapping node below it
	dubbo      bool   // Dubbo applications below it
	spring     bool   // other applications below it
}

// applications reports whether Curator instances are read from the scope.
func (s scope) applications() bool { return s.dubbo || s.spring }

// scopes lists the roots to follow: Dubbo's first, then those of the applications.
func (c Config) scopes() []scope {
	var out []scope
	dubboApps := c.Dubbo.Root != "" && c.Dubbo.Mode != ModeInterface
	if c.Dubbo.Root != "" {
		out = append(out, scope{name: c.Dubbo.Root, interfaces: c.Dubbo.Mode != ModeInstance, mapping: dubboApps})
	}
	if dubboApps && c.Dubbo.Services != "" {
		out = append(out, scope{name: c.Dubbo.Services, dubbo: true, spring: c.SpringCloud.Root == c.Dubbo.Services})
	}
	if c.SpringCloud.Root != "" && !(dubboApps && c.SpringCloud.Root == c.Dubbo.Services) {
		out = append(out, scope{name: c.SpringCloud.Root, spring: true})
	}
	for i := range out {
		out[i].path = path.Join(c.Chroot, out[i].name)
	}
	return out
}

// Source follows one ensemble. It is made by [New] and run by Run, one Run at a time.
type Source struct {
	cfg     Config
	servers []string
	log     *slog.Logger
}

var _ sources.Source = (*Source)(nil)

// New checks the configuration and makes a source of it, which connects to nothing until it is run.
func New(cfg Config, log *slog.Logger) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	servers := make([]string, len(cfg.Servers))
	for i, s := range cfg.Servers {
		servers[i], _ = serverAddress(s) // validated
	}
	return &Source{cfg: cfg, servers: servers, log: log}, nil
}

// Volatile names the metadata keys that say nothing lasting about an instance; a trailing * stands for any ending.
func (s *Source) Volatile() []string { return volatile() }

func volatile() []string { return append(dubbo.Volatile(), "instance_status") }
