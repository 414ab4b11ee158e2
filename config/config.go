package config

import (
	"reflect"

	"meshbridge/sources"
	"meshbridge/sources/file"
)

// Config is the whole file.
type Config struct {
	// Admin is the listener of the API, the metrics and the health of the bridge.
	Admin Admin `yaml:"admin"`
	// Health is a second listener for probes and scrapers only.
	Health Health `yaml:"health"`
	// State is what outlives the process.
	State State `yaml:"state"`
	// Log is what the bridge writes to stderr.
	Log Log `yaml:"log"`
	// Sources are the registries to follow, any number of any mix; at least one.
	Sources []Source `yaml:"sources"`
}

// Admin is the listener for operators.
type Admin struct {
	// Address is the host:port of the API, metrics and health; anything but loopback needs a token. Default 127.0.0.1:16011.
	Address string `yaml:"address"`
	// Token is what a caller must present as a bearer token; empty asks for none. Default empty.
	Token sources.Secret `yaml:"token"`
}

// Health is the listener for probes and scrapers.
type Health struct {
	// Address is the host:port of /healthz, /readyz and /metrics without a token; empty opens no such listener. Default empty.
	Address string `yaml:"address"`
}

// State is what outlives the process.
type State struct {
	// Dir is the folder for what the sources said last and for the addresses of hosts, used by one process at a time;
	// empty keeps nothing, and a restart with a registry down then has nothing to serve. Default empty.
	Dir string `yaml:"dir"`
}

// Log is what the bridge writes to stderr.
type Log struct {
	// Level is the least level that is written: debug, info, warn or error. Default info.
	Level Level `yaml:"level"`
	// Format is how a line is written: text or json. Default text.
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

// Source is one registry to follow.
type Source struct {
	// Name is unique and stands in every command, metric and reason: lower-case letters, digits and "-". No default.
	Name string `yaml:"name"`
	// File follows a folder of service lists. Exactly one kind of registry is given.
	File *file.Config `yaml:"file"`
}

// Default is the configuration of a file that says nothing but its sources.
func Default() Config {
	return Config{
		Admin: Admin{Address: "127.0.0.1:16011"},
		Log:   Log{Level: Info, Format: Text},
	}
}

// DefaultOf is what a struct of a type starts from where a list or an optional key holds it, nil for its zero value.
func DefaultOf(t reflect.Type) any {
	switch t {
	case reflect.TypeFor[file.Config]():
		return file.Default()
	}
	return nil
}

// Kinds names the kinds of registry that a source can be.
func Kinds() []string { return []string{"file"} }

// Kind is the source's kind of registry, "" unless it has exactly one.
func (s *Source) Kind() string {
	if kinds := s.kinds(); len(kinds) == 1 {
		return kinds[0]
	}
	return ""
}

func (s *Source) kinds() []string {
	var kinds []string
	if s.File != nil {
		kinds = append(kinds, "file")
	}
	return kinds
}

// later lists what the file will hold one day, and this version does not read.
func later() map[string]string {
	keys := map[string]string{}
	for _, key := range []string{
		"protect", "views", "canary", "sources[].protect", "sources[].nacos", "sources[].eureka", "sources[].consul",
	} {
		keys[key] = "not in this version"
	}
	return keys
}

// resolve makes the paths in the file absolute or relative to where the process runs, as seen from the file's folder.
func (c *Config) resolve(dir string) {
	c.State.Dir = within(dir, c.State.Dir)
	for i := range c.Sources {
		if f := c.Sources[i].File; f != nil {
			f.Path = within(dir, f.Path)
		}
	}
}
