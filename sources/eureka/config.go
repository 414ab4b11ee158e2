package eureka

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"meshbridge/sources"
)

// Config says which Eureka to follow.
type Config struct {
	// Base URLs such as http://eureka-1:8761/eureka (Spring Cloud) or http://eureka-1:8080/eureka/v2 (Netflix), of servers that
	// replicate to each other: one is asked at a time, in random order. A name and password may stand in a URL. Default:
	// none, at least one is needed.
	Servers []Server `yaml:"servers"`
	// Name shown to the servers by basic authentication, where a URL has none. Default: none, so none is shown.
	Username string `yaml:"username"`
	// Password that goes with username. Default: none.
	Password sources.Secret `yaml:"password"`
	// TLS towards servers with https URLs; an empty block trusts the system's authorities. Default: the system's authorities.
	TLS *sources.TLS `yaml:"tls"`
	// Time between two polls; servers make a new answer every 30s unless told otherwise. Default: 30s.
	Interval time.Duration `yaml:"interval"`
	// Time within which a whole answer must have arrived. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
	// Time between two full reads while changes are followed by deltas. Default: 10m.
	Resync time.Duration `yaml:"resync"`
	// Time for which a list must not have grown before a loss is believed that the server may have by having only just started:
	// within it clients register again, and servers' caches age. Default: 1m30s.
	Settle time.Duration `yaml:"settle"`
	// Region of instances that name a zone in their metadata but no region. Default: none, so such zones are not taken.
	Region string `yaml:"region"`
	// Further regions whose applications the servers are asked for, where the servers know them. Default: none.
	Regions []string `yaml:"regions"`
}

// Default is the configuration that needs no more than servers.
func Default() Config {
	return Config{Interval: 30 * time.Second, Timeout: 30 * time.Second, Resync: 10 * time.Minute, Settle: 90 * time.Second}
}

// minInterval bounds how often a server may be asked.
const minInterval = 100 * time.Millisecond

// Validate reports everything that is wrong, each fault led by the path of the key below the source.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if len(c.Servers) == 0 {
		fault("servers: empty: name at least one base URL such as http://eureka-1:8761/eureka")
	}
	secure := false
	for i, s := range c.Servers {
		base, err := s.parse()
		if err != nil {
			fault("servers[%d]: %q: %w", i, s, err)
		} else {
			secure = secure || base.Scheme == "https"
		}
	}
	if c.Password != "" && c.Username == "" {
		fault("username: empty, but there is a password: name its user")
	}
	if err := c.TLS.Validate(); err != nil {
		fault("tls: %w", err)
	} else if c.TLS != nil && !secure && len(faults) == 0 {
		fault("tls: no server has an https URL")
	}
	if c.Interval < minInterval {
		fault("interval: %v is too short: at least %v", c.Interval, minInterval)
	}
	if c.Timeout <= 0 {
		fault("timeout: %v is not positive", c.Timeout)
	}
	if c.Resync <= 0 {
		fault("resync: %v is not positive", c.Resync)
	}
	if c.Settle < 0 {
		fault("settle: %v is negative", c.Settle)
	}
	if strings.Contains(c.Region, "/") {
		fault("region: %q: a region has no slash", c.Region)
	}
	for i, r := range c.Regions {
		if r == "" || strings.ContainsAny(r, ", ") {
			fault("regions[%d]: %q: several regions are several list entries", i, r)
		}
	}
	return errors.Join(faults...)
}

// Identity names what is followed: it changes with the servers and with what of them is followed, and not with
// credentials, intervals or the like. What one identity said last is nothing to another.
func (c Config) Identity() string {
	servers := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		servers[i] = s.String()
		if base, err := s.parse(); err == nil {
			base.User = nil
			servers[i] = base.String()
		}
	}
	slices.Sort(servers)
	identity := strings.Join(slices.Compact(servers), " ")
	if query := c.query(); query != "" {
		identity += " " + query
	}
	return identity
}

// query asks for further regions, or is empty.
func (c Config) query() string {
	if len(c.Regions) == 0 {
		return ""
	}
	regions := make([]string, len(c.Regions))
	for i, r := range c.Regions {
		regions[i] = strings.ToLower(r)
	}
	slices.Sort(regions)
	return "regions=" + strings.Join(slices.Compact(regions), ",")
}

// Source follows the servers of one Eureka. It is made by [New] and run by Run, one Run at a time.
type Source struct {
	cfg Config
	log *slog.Logger
	// transport makes the connections of one Run.
	transport func(Config) transport
	random    *rand.Rand
}

var _ sources.Source = (*Source)(nil)

// New checks the configuration and makes a source of it, which connects to nothing until it is run.
func New(cfg Config, log *slog.Logger) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Source{cfg: cfg, log: cmp.Or(log, slog.New(slog.DiscardHandler)), transport: newTransport, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}, nil
}

// Volatile names the metadata keys that say nothing lasting about an instance; a trailing * stands for any ending.
func (s *Source) Volatile() []string { return volatile() }

func volatile() []string {
	return []string{
		"instanceId", "jmx.port", "management.*", "pid", "startup", "timestamp", "user.name", "user.password", vipKey,
	}
}
