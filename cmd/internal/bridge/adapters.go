package bridge

import (
	"fmt"
	"log/slog"

	"meshbridge/config"
	"meshbridge/convert"
	"meshbridge/sources"
	"meshbridge/sources/consul"
	"meshbridge/sources/eureka"
	"meshbridge/sources/file"
	"meshbridge/sources/nacos"
	"meshbridge/sources/zookeeper"
)

// Open makes the source of a configured registry. Every kind of registry is listed here.
func Open(c config.Source, log *slog.Logger) (sources.Source, error) {
	log = log.With("source", c.Name)
	switch {
	case c.File != nil:
		return file.New(*c.File, log), nil
	case c.Zookeeper != nil:
		return zookeeper.New(*c.Zookeeper, log)
	case c.Nacos != nil:
		return nacos.New(*c.Nacos, log)
	case c.Eureka != nil:
		return eureka.New(*c.Eureka, log)
	case c.Consul != nil:
		return consul.New(*c.Consul, log)
	}
	return nil, fmt.Errorf("source %s has no registry", c.Name)
}

// volatile is a source that names the metadata keys which its registry changes with every registration.
type volatile interface{ Volatile() []string }

// Sources opens every configured source, by name, and compiles the rules of conversion for them.
func Sources(cfg *config.Config, log *slog.Logger) (map[string]sources.Source, *convert.Rules, error) {
	opened := make(map[string]sources.Source, len(cfg.Sources))
	described := make([]convert.Source, 0, len(cfg.Sources))
	for i, c := range cfg.Sources {
		src, err := Open(c, log)
		if err != nil {
			return nil, nil, err
		}
		opened[c.Name] = src
		d := convert.Source{Name: c.Name, Order: i, Config: c.SourceConfig, Declared: c.File != nil}
		if v, ok := src.(volatile); ok {
			d.Volatile = v.Volatile()
		}
		described = append(described, d)
	}
	rules, err := convert.Compile(cfg.Config, described)
	if err != nil {
		return nil, nil, err
	}
	return opened, rules, nil
}

// Expected lists the configured sources as a mirror expects them.
func Expected(cfg *config.Config) []sources.Expected {
	all := make([]sources.Expected, 0, len(cfg.Sources))
	for _, c := range cfg.Sources {
		all = append(all, sources.Expected{
			Name: c.Name, Kind: c.Kind(), Required: c.Required, Identity: c.Identity(), Protect: c.Protect.Of(cfg.Protect),
		})
	}
	return all
}
