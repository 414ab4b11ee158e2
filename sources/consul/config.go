package consul

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"meshbridge/sources"
)

// Config says which Consul to follow.
type Config struct {
	// Base URL of an agent, such as http://consul:8500. Default: none, it is needed.
	Address string `yaml:"address"`
	// ACL token; it needs the rules service_prefix "" and node_prefix "" with policy read. Default: none, so the agent's own
	// default token or the anonymous one counts.
	Token sources.Secret `yaml:"token"`
	// TLS towards an https address; an empty block trusts the system's authorities. Default: the system's authorities.
	TLS *sources.TLS `yaml:"tls"`
	// Datacenters to follow, each a scope; in the default naming all but the first are the namespace. "*" is all that the agent
	// knows, its own first. Default: [], the agent's own.
	Datacenters []string `yaml:"datacenters"`
	// Namespace to read, of Consul Enterprise; it is the group in names. Default: none, so none is asked for.
	Namespace string `yaml:"namespace"`
	// Admin partition to read, of Consul Enterprise. Default: none, so none is asked for.
	Partition string `yaml:"partition"`
	// Filter on instances in Consul's expression language, such as Service.Meta.env == "prod"; see Consul's health API. With
	// one, each service is read on its own. Default: none.
	Filter string `yaml:"filter"`
	// Which of the tagged addresses is an instance's: lan is its plain address; wan, lan_ipv4, wan_ipv6 or any other tag, and the
	// plain one where an instance lacks it. Default: lan.
	TaggedAddress string `yaml:"taggedAddress"`
	// Take instances with a warning for unhealthy. Default: false.
	PassingOnly bool `yaml:"passingOnly"`
	// Follow without a token where access control is on: what the anonymous token may not read does not exist then. Default: false.
	AllowAnonymous bool `yaml:"allowAnonymous"`
	// The token reads a part on purpose: what it may not read does not exist then. Default: false.
	AllowFiltered bool `yaml:"allowFiltered"`
	// Most services, of all datacenters together, that are each watched by a query, which takes a connection of its own except
	// over https; larger catalogs are watched by three queries for each datacenter. 0 never watches single services. Default: 128.
	Watches int `yaml:"watches"`
	// Time that a blocking query may take when nothing changes. Default: 2m.
	Wait time.Duration `yaml:"wait"`
	// Time within which any other request must have been answered. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
	// Time in which changes are gathered before they are read. Default: 100ms.
	Debounce time.Duration `yaml:"debounce"`
	// Time between two reads of everything. Default: 10m.
	Resync time.Duration `yaml:"resync"`
}

// lan is the tag of the plain address.
const lan = "lan"

// all stands for every datacenter.
const all = "*"

// Default is the configuration that needs no more than an address.
func Default() Config {
	return Config{
		TaggedAddress: lan, Watches: 128, Wait: 2 * time.Minute, Timeout: 30 * time.Second, Debounce: 100 * time.Millisecond, Resync: 10 * time.Minute,
	}
}

// Limits of Consul's blocking queries, and of what an agent can be asked by default (http_max_conns_per_client is 200).
const (
	maxWait    = 10 * time.Minute
	minWait    = time.Second
	maxWatches = 4096
)

// Validate reports everything that is wrong, each fault led by the path of the key below the source.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	base, err := c.base()
	if err != nil {
		fault("address: %w", err)
	}
	if err := c.TLS.Validate(); err != nil {
		fault("tls: %w", err)
	} else if c.TLS != nil && base != nil && base.Scheme != "https" {
		fault("tls: the address is no https URL")
	}
	for i, dc := range c.Datacenters {
		switch {
		case dc == "":
			fault("datacenters[%d]: empty: name a datacenter, or none for the agent's own", i)
		case dc == all && len(c.Datacenters) > 1:
			fault(`datacenters[%d]: "*" is all of them: it stands alone`, i)
		case slices.Contains(c.Datacenters[:i], dc):
			fault("datacenters[%d]: %s is there twice", i, dc)
		}
	}
	for _, one := range []struct{ key, value string }{{"namespace", c.Namespace}, {"partition", c.Partition}} {
		if one.value == "*" {
			fault("%s: a source reads one: several are several sources", one.key)
		}
	}
	if c.TaggedAddress == "" {
		fault("taggedAddress: empty: lan is the plain address")
	}
	if c.Watches < 0 || c.Watches > maxWatches {
		fault("watches: %d is none of 0 to %d", c.Watches, maxWatches)
	}
	if c.Wait < minWait || c.Wait > maxWait {
		fault("wait: %v is none of %v to %v", c.Wait, minWait, maxWait)
	}
	for _, one := range []struct {
		key   string
		value time.Duration
	}{{"timeout", c.Timeout}, {"debounce", c.Debounce}, {"resync", c.Resync}} {
		if one.value <= 0 {
			fault("%s: %v is not positive", one.key, one.value)
		}
	}
	return errors.Join(faults...)
}

// base is the URL that paths of the API are appended to.
func (c Config) base() (*url.URL, error) {
	if c.Address == "" {
		return nil, errors.New("empty: name the base URL of an agent, such as http://consul:8500")
	}
	base, err := url.Parse(c.Address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("no URL such as http://consul:8500: %w", errors.Unwrap(err)) // the text may hold a password
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, errors.New("no http or https URL such as http://consul:8500")
	case base.User != nil:
		return nil, errors.New("has a user in it, which Consul does not know: a token goes to token")
	case base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("has a query or fragment: it is what /v1/catalog/services is appended to")
	}
	base.Path = strings.TrimRight(base.Path, "/")
	return base, nil
}

// Identity names what is followed: it changes with the servers and with what of them is followed, and not with
// credentials, intervals or the like. What one identity said last is nothing to another.
func (c Config) Identity() string {
	address := c.Address
	if base, err := c.base(); err == nil {
		address = base.String()
	}
	identity := []string{address}
	for _, one := range []struct{ key, value string }{
		{"datacenters", strings.Join(c.Datacenters, ",")}, {"namespace", c.Namespace}, {"partition", c.Partition}, {"filter", c.Filter},
	} {
		if one.value != "" {
			identity = append(identity, one.key+"="+one.value)
		}
	}
	return strings.Join(identity, " ")
}

// Source follows the datacenters of one Consul. It is made by [New] and run by Run, one Run at a time.
type Source struct {
	cfg Config
	log *slog.Logger
	// transport makes the connections of one Run.
	transport func(Config) transport
}

var _ sources.Source = (*Source)(nil)

// New checks the configuration and makes a source of it, which connects to nothing until it is run.
func New(cfg Config, log *slog.Logger) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Source{cfg: cfg, log: cmp.Or(log, slog.New(slog.DiscardHandler)), transport: newTransport}, nil
}

// Volatile names the metadata keys that say nothing lasting about an instance; a trailing * stands for any ending.
func (s *Source) Volatile() []string {
	return []string{
		"consul-*", "external-source", "fabio-*", "k8s-*", "management.*", "pod-name", "synthetic-node", "timestamp", "traefik.*", "urlprefix-*",
	}
}
