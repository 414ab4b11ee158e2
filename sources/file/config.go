package file

import "errors"

// Config is the `file` part of a source.
type Config struct {
	// Path is the folder whose *.yaml and *.yml files list services; relative to the configuration file. No default.
	Path string `yaml:"path"`
}

// Default is the configuration of a source that says nothing.
func Default() Config { return Config{} }

// Identity names what is followed.
func (c Config) Identity() string { return c.Path }

// Validate joins what is wrong, each fault led by its path.
func (c Config) Validate() error {
	if c.Path == "" {
		return errors.New("path: is empty: name the folder that holds the service lists")
	}
	return nil
}
