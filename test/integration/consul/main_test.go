//go:build integration

// Package consul shows the Consul source on real agents.
package consul

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
	"meshbridge/sources/consul"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

func TestMain(m *testing.M) {
	harness.Isolate()
	os.Exit(m.Run())
}

// config is the default one for an agent, with queries that end soon.
func config(address string) consul.Config {
	c := consul.Default()
	c.Address = "http://" + address
	c.Wait = 5 * time.Second
	return c
}

// sweeping never watches single services.
func sweeping(c consul.Config) consul.Config {
	c.Watches = 0
	return c
}

func newSource(t *testing.T, c consul.Config) *consul.Source {
	t.Helper()
	src, err := consul.New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// follow runs a source of the configuration until the test ends.
func follow(t *testing.T, c consul.Config) *sourcetest.Recorder {
	t.Helper()
	r, _ := sourcetest.Start(t, newSource(t, c))
	return r
}

type way = func(consul.Config) consul.Config

// oneByOne runs a test with services watched singly, and with nodes swept.
func oneByOne(t *testing.T, test func(t *testing.T, way way)) {
	t.Run("singly", func(t *testing.T) { test(t, func(c consul.Config) consul.Config { return c }) })
	t.Run("sweeping", func(t *testing.T) { test(t, sweeping) })
}

// bothWays does the same at the same time.
func bothWays(t *testing.T, test func(t *testing.T, way way)) {
	oneByOne(t, func(t *testing.T, way way) {
		t.Parallel()
		test(t, way)
	})
}

func has(name string, n int) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool { return p.Instances(name) == n }
}

// unknown says that the scope is unknown for a reason that has all the words.
func unknown(scope string, words ...string) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool {
		err := p.States[scope]
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				return false
			}
		}
		return err != nil
	}
}

// whole says that the scope has been reported and is not unknown.
func whole(scope string) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool { return p.Snapshots[scope] > 0 && p.States[scope] == nil }
}

// only is the one instance of a service.
func only(t *testing.T, p sourcetest.Picture, name string) sources.Instance {
	t.Helper()
	s := p.Service(name)
	if s == nil || len(s.Instances) != 1 {
		t.Fatalf("%s: got %+v, want one instance", name, s)
	}
	return s.Instances[0]
}

// instance is the nth one of a service: at 10.0.0.n:8080.
func instance(service string, n int) harness.ConsulInstance {
	return harness.ConsulInstance{Service: service, Address: fmt.Sprintf("10.0.0.%d", n), Port: 8080}
}

func TestTheSourceKeepsTheContract(t *testing.T) {
	oneByOne(t, func(t *testing.T, way way) { // it counts goroutines
		sourcetest.Run(t, func(t *testing.T) sourcetest.Registry {
			server := harness.StartConsul(t, harness.ConsulConfig{})
			held := map[string]int{}
			put := func(name string, n int) {
				for i := 1; i <= max(n, held[name]); i++ {
					if i <= n {
						server.Register(instance(name, i))
					} else {
						server.Deregister(instance(name, i))
					}
				}
				held[name] = n
			}
			return sourcetest.Registry{
				Source: newSource(t, way(config(server.Addr))),
				Put:    put,
				Remove: func(name string) { put(name, 0) },
				Break:  server.Kill,
				Mend:   server.Start,
			}
		})
	})
}
