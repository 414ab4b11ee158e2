// Package consul follows Consul.
package consul

import (
	"context"
	"errors"
	"log/slog"

	"meshbridge/sources"
)

// Config says which Consul to follow.
type Config struct {
	// Address is the base URL of an agent, such as http://consul:8500. Default: none, it is needed.
	Address string `yaml:"address"`
	// TLS towards an https address. Default: the system's authorities.
	TLS *sources.TLS `yaml:"tls"`
}

// Default is the configuration that needs no more than an address.
func Default() Config { return Config{} }

// Validate reports everything that is wrong, each fault led by the path of the key below the source.
func (c Config) Validate() error { return nil }

// Identity names what is followed: it changes with the servers and with what of them is followed, and not with
// credentials, intervals or the like. What one identity said last is nothing to another.
func (c Config) Identity() string { return "" }

// Source follows one Consul.
type Source struct{ cfg Config }

// New checks the configuration and makes a source of it, which connects to nothing until it is run.
func New(cfg Config, _ *slog.Logger) (*Source, error) { return &Source{cfg: cfg}, cfg.Validate() }

// Run implements sources.Source.
func (s *Source) Run(context.Context, sources.Sink) error { return errors.New("not written yet") }

// Volatile names the metadata keys that say nothing lasting about an instance; a trailing * stands for any ending.
func (s *Source) Volatile() []string { return nil }
