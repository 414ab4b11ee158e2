package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"meshbridge/config/follow"
	"meshbridge/config/strict"
)

// Env looks up an environment variable, as os.LookupEnv does.
type Env func(name string) (value string, set bool)

// Places is where the file is looked for when no path is given, in this order.
func Places() []string { return []string{"meshbridge.yaml", "/etc/meshbridge/meshbridge.yaml"} }

// ErrNoFile says that none of the Places has a file.
var ErrNoFile = errors.New("no configuration file")

// Locate is the first of the places that has a file; ErrNoFile if none has.
func Locate(places []string) (string, error) {
	for _, place := range places {
		_, err := os.Stat(place)
		if err == nil {
			return place, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("look for the configuration: %w", err)
		}
	}
	return "", fmt.Errorf("%w at %v: name one with --config", ErrNoFile, places)
}

// Files is what a configuration was read from: the file itself and the files that it refers to.
type Files = follow.Files

// Load reads and checks a file. The error joins everything wrong in it (strict.Faults). Files names what was read, also
// when there is an error, so that it can be watched until it is right.
func Load(path string, env Env) (*Config, *Files, error) {
	files := &Files{}
	data, err := files.Read(path)
	if err != nil {
		return nil, files, strict.Faults{{File: path, Wrong: err.Error(), Right: "a file that can be read"}}
	}
	c, err := decode(path, data, filepath.Dir(path), env, files)
	return c, files, err
}

// LoadBytes is Load for a content that is no file, such as the built-in default. Relative paths in it start in dir.
func LoadBytes(name string, data []byte, dir string, env Env) (*Config, *Files, error) {
	files := &Files{}
	c, err := decode(name, data, dir, env, files)
	return c, files, err
}

func decode(name string, data []byte, dir string, env Env, files *Files) (*Config, error) {
	c := Default()
	doc, _ := strict.Decode(name, data, &c, strict.Options{
		Env:     env,
		Read:    func(path string) ([]byte, error) { return files.Read(within(dir, path)) },
		Default: DefaultOf,
		Later:   later(),
	})
	c.resolve(dir)
	if err := doc.Faults(c.Validate()).Err(); err != nil {
		return nil, err
	}
	return &c, nil
}

// within is a path as seen from a folder. An empty path stays empty: it is somebody else's fault.
func within(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
