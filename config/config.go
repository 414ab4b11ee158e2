package config

import (
	"reflect"
	"strings"

	"meshbridge/config/follow"
	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/mcpserver"
	"meshbridge/sources"
	"meshbridge/sources/consul"
	"meshbridge/sources/eureka"
	"meshbridge/sources/file"
	"meshbridge/sources/nacos"
	"meshbridge/sources/zookeeper"
)

// Config is the whole file.
type Config struct {
	// MCP is the listener of MCP over xDS, for istiod. Default: see its keys.
	MCP mcpserver.Config `yaml:"mcp"`
	// Admin is the listener of the API, the metrics and the health of the bridge. Default: see its keys.
	Admin Admin `yaml:"admin"`
	// Health is a second listener for probes and scrapers only. Default: see its keys.
	Health Health `yaml:"health"`
	// State is what outlives the process. Default: see its keys.
	State State `yaml:"state"`
	// Protect says which losses of instances are held back. Default: see its keys.
	Protect sources.Protect `yaml:"protect"`
	// Log is what the bridge writes to stderr. Default: see its keys.
	Log Log `yaml:"log"`
	// Config is what holds for everything that is generated: mesh, subsets, retainEmpty and canary.
	convert.Config `yaml:",inline"`
	// Sources are the registries to follow, any number of any mix. Default: none, at least one is needed.
	Sources []Source `yaml:"sources"`
}

// Admin is the listener for operators.
type Admin struct {
	// Address is the host:port of the API, metrics and health; anything but loopback needs a token.
	// Default: 127.0.0.1:16011.
	Address string `yaml:"address"`
	// Token is what a caller must present as a bearer token; empty asks for none. Default: "".
	Token sources.Secret `yaml:"token"`
}

// Health is the listener for probes and scrapers.
type Health struct {
	// Address is the host:port of /healthz, /readyz and /metrics without a token; empty opens no such listener. Default: "".
	Address string `yaml:"address"`
}

// State is what outlives the process.
type State struct {
	// Dir is the folder for what the sources said last and for the addresses of hosts, used by one process at a time;
	// empty keeps nothing, and a restart with a registry down then has nothing to serve. Default: "".
	Dir string `yaml:"dir"`
}

// Log is what the bridge writes to stderr.
type Log struct {
	// Level is the least level that is written: debug, info, warn or error. Default: info.
	Level Level `yaml:"level"`
	// Format is how a line is written: text or json. Default: text.
	Format Format `yaml:"format"`
}

// Level is a level of the log.
type Level string

// The levels of the log.
const (
	Debug Level = "debug"
	Info  Level = "info"
	Warn  Level = "warn"
	Error Level = "error"
)

// Format is a form of the log.
type Format string

// The forms of the log.
const (
	Text Format = "text"
	JSON Format = "json"
)

// Source is one registry to follow: exactly one kind of registry, and what is common to all kinds.
type Source struct {
	// Name is unique and stands in every command, metric and reason: at most 63 lower-case letters, digits and "-".
	// Default: none, it is needed.
	Name string `yaml:"name"`
	// File follows a folder of service lists. Default: none; a source has exactly one kind of registry.
	File *file.Config `yaml:"file"`
	// Zookeeper follows Dubbo and Spring Cloud in ZooKeeper. Default: none; a source has exactly one kind of registry.
	Zookeeper *zookeeper.Config `yaml:"zookeeper"`
	// Nacos follows the services of Nacos 2 or 3. Default: none; a source has exactly one kind of registry.
	Nacos *nacos.Config `yaml:"nacos"`
	// Eureka follows the applications of Eureka. Default: none; a source has exactly one kind of registry.
	Eureka *eureka.Config `yaml:"eureka"`
	// Consul follows the catalog of Consul. Default: none; a source has exactly one kind of registry.
	Consul *consul.Config `yaml:"consul"`
	// Required says whether the first answer to any client waits until this source is read, or covered by what it last
	// said. Default: true.
	Required bool `yaml:"required"`
	// Protect changes for this source what protect says. Default: nothing changes.
	Protect Protect `yaml:"protect"`
	// SourceConfig is what is made of the source's services.
	convert.SourceConfig `yaml:",inline"`
}

// Default is the configuration of a file that says nothing but its sources.
func Default() Config {
	return Config{
		MCP:     mcpserver.Default(),
		Admin:   Admin{Address: "127.0.0.1:16011"},
		Protect: sources.DefaultProtect(),
		Log:     Log{Level: Info, Format: Text},
		Config:  convert.Default(),
	}
}

// DefaultOf is what a struct of a type starts from where a list or an optional key holds it, nil for its zero value.
func DefaultOf(t reflect.Type) any {
	switch t {
	case reflect.TypeFor[Source]():
		return Source{Required: true}
	case reflect.TypeFor[canary.Grant]():
		return canary.DefaultGrant()
	case reflect.TypeFor[file.Config]():
		return file.Default()
	case reflect.TypeFor[zookeeper.Config]():
		return zookeeper.Default()
	case reflect.TypeFor[nacos.Config]():
		return nacos.Default()
	case reflect.TypeFor[eureka.Config]():
		return eureka.Default()
	case reflect.TypeFor[consul.Config]():
		return consul.Default()
	}
	return nil
}

// Kinds names the kinds of registry that a source can be.
func Kinds() []string { return []string{"file", "zookeeper", "nacos", "eureka", "consul"} }

// Kind is the source's kind of registry, "" unless it has exactly one.
func (s *Source) Kind() string {
	if kinds := s.kinds(); len(kinds) == 1 {
		return kinds[0]
	}
	return ""
}

func (s *Source) kinds() []string {
	var kinds []string
	for i, given := range []bool{s.File != nil, s.Zookeeper != nil, s.Nacos != nil, s.Eureka != nil, s.Consul != nil} {
		if given {
			kinds = append(kinds, Kinds()[i])
		}
	}
	return kinds
}

// Identity names what the source follows: it changes with its servers and with what of them is followed.
func (s *Source) Identity() string {
	var of interface{ Identity() string }
	switch {
	case s.File != nil:
		of = s.File
	case s.Zookeeper != nil:
		of = s.Zookeeper
	case s.Nacos != nil:
		of = s.Nacos
	case s.Eureka != nil:
		of = s.Eureka
	case s.Consul != nil:
		of = s.Consul
	default:
		return ""
	}
	return s.Kind() + " " + of.Identity()
}

// tls is how the source trusts its servers, nil for plain TCP.
func (s *Source) tls() *sources.TLS {
	switch {
	case s.Zookeeper != nil:
		return s.Zookeeper.TLS
	case s.Nacos != nil:
		return s.Nacos.TLS
	case s.Eureka != nil:
		return s.Eureka.TLS
	case s.Consul != nil:
		return s.Consul.TLS
	}
	return nil
}

// later lists what the file will hold one day, and this version does not read.
func later() map[string]string {
	keys := map[string]string{}
	for _, key := range []string{"views"} {
		keys[key] = "not in this version"
	}
	return keys
}

// resolve makes the paths in the file absolute or relative to where the process runs, as seen from the file's folder.
func (c *Config) resolve(dir string) {
	paths := []*string{&c.State.Dir, &c.MCP.TLS.Cert, &c.MCP.TLS.Key, &c.MCP.TLS.ClientCA}
	for i := range c.Sources {
		if f := c.Sources[i].File; f != nil {
			paths = append(paths, &f.Path)
		}
		if t := c.Sources[i].tls(); t != nil {
			paths = append(paths, &t.CA, &t.Cert, &t.Key)
		}
	}
	for _, path := range paths {
		*path = within(dir, *path)
	}
	literal := follow.Literal(dir)
	for i, glob := range c.Canary.Files {
		c.Canary.Files[i] = within(literal, glob)
	}
	for _, team := range c.Canary.Teams {
		for i, glob := range team.Files {
			team.Files[i] = within(literal, glob)
			if strings.HasSuffix(glob, "/") && !strings.HasSuffix(team.Files[i], "/") {
				team.Files[i] += "/" // it means all below the folder
			}
		}
	}
}
