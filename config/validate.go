package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"meshbridge/config/strict"
)

// Validate joins what is wrong, each fault led by its path.
func (c Config) Validate() error {
	errs := []error{
		strict.Prefix("mcp", c.MCP.Validate()),
		strict.Prefix("admin", c.Admin.Validate()),
		strict.Prefix("health", c.Health.Validate()),
		strict.Prefix("log", c.Log.Validate()),
		strict.Prefix("protect", c.Protect.Validate()),
		c.Config.Validate(),
		c.validateSources(),
	}
	return errors.Join(errs...)
}

func (c Config) validateSources() error {
	if len(c.Sources) == 0 {
		return errors.New("sources: names none: a list with at least one source")
	}
	var errs []error
	first := map[string]int{}
	for i, s := range c.Sources {
		path := strict.Item("sources", i)
		if j, twice := first[s.Name]; twice && s.Name != "" {
			errs = append(errs, fmt.Errorf("%s.name: %q is the name of sources[%d] already: a name of its own", path, s.Name, j))
		} else {
			first[s.Name] = i
		}
		errs = append(errs, strict.Prefix(path, s.Validate()))
		if c.Protect.Validate() == nil {
			errs = append(errs, strict.Prefix(path+".protect", s.Protect.Of(c.Protect).Validate()))
		}
	}
	return errors.Join(errs...)
}

var sourceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Validate joins what is wrong, each fault led by its path.
func (s Source) Validate() error {
	var errs []error
	switch {
	case s.Name == "":
		errs = append(errs, errors.New("name: is missing: a name such as orders"))
	case !sourceName.MatchString(s.Name):
		errs = append(errs, fmt.Errorf(`name: %q is no name: at most 63 lower-case letters, digits and "-", a letter or digit at both ends`, s.Name))
	}
	if kinds := s.kinds(); len(kinds) != 1 {
		given := "has no registry"
		if len(kinds) > 1 {
			given = "has several registries (" + strings.Join(kinds, ", ") + ")"
		}
		errs = append(errs, fmt.Errorf("%s: exactly one of %s", given, strings.Join(Kinds(), ", ")))
	}
	if s.File != nil {
		errs = append(errs, strict.Prefix("file", s.File.Validate()))
	}
	if s.Zookeeper != nil {
		errs = append(errs, strict.Prefix("zookeeper", s.Zookeeper.Validate()))
	}
	if s.Nacos != nil {
		errs = append(errs, strict.Prefix("nacos", s.Nacos.Validate()))
	}
	if s.Eureka != nil {
		errs = append(errs, strict.Prefix("eureka", s.Eureka.Validate()))
	}
	if s.Consul != nil {
		errs = append(errs, strict.Prefix("consul", s.Consul.Validate()))
	}
	errs = append(errs, s.SourceConfig.Validate())
	return errors.Join(errs...)
}

// Validate joins what is wrong, each fault led by its path.
func (a Admin) Validate() error {
	if err := listenAddress(a.Address); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if host, _, _ := net.SplitHostPort(a.Address); a.Token == "" && !loopback(host) {
		return fmt.Errorf("token: is empty, and %s can be reached from outside: a token, or an address on loopback", a.Address)
	}
	return nil
}

// Validate joins what is wrong, each fault led by its path.
func (h Health) Validate() error {
	if h.Address == "" {
		return nil
	}
	if err := listenAddress(h.Address); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	return nil
}

// Validate joins what is wrong, each fault led by its path.
func (l Log) Validate() error {
	return errors.Join(
		oneOf("level", l.Level, Debug, Info, Warn, Error),
		oneOf("format", l.Format, Text, JSON),
	)
}

func oneOf[T ~string](key string, value T, values ...T) error {
	if slices.Contains(values, value) {
		return nil
	}
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	list := strings.Join(names, ", ")
	if near := strict.Nearest(string(value), names); near != "" {
		return fmt.Errorf("%s: %q is none of %s: did you mean %s?", key, value, list, near)
	}
	return fmt.Errorf("%s: %q is none of %s", key, value, list)
}

// listenAddress checks a host:port to listen on.
func listenAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is no address: host:port such as 127.0.0.1:16011", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port: a number up to 65535 after the colon", address)
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
