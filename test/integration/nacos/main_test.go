//go:build integration

// Package nacos shows the Nacos source on real servers of both generations, with real and scripted providers.
package nacos

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
	"meshbridge/sources/nacos"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

func TestMain(m *testing.M) {
	harness.Isolate()
	os.Exit(m.Run())
}

// config follows all groups of servers, with intervals that suit tests.
func config(servers ...*harness.NacosServer) nacos.Config {
	c := nacos.Default()
	for _, s := range servers {
		c.Servers = append(c.Servers, "http://"+s.Addr)
	}
	c.Interval, c.Timeout = time.Second, 2*time.Second
	return c
}

// as shows an identity.
func as(c nacos.Config, user, password string) nacos.Config {
	c.Username, c.Password = user, sources.Secret(password)
	return c
}

func newSource(t *testing.T, c nacos.Config) *nacos.Source {
	t.Helper()
	src, err := nacos.New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// follow runs a source of the configuration until the test ends.
func follow(t *testing.T, c nacos.Config) *sourcetest.Recorder {
	t.Helper()
	r, _ := sourcetest.Start(t, newSource(t, c))
	return r
}

// each runs a test on both generations, side by side: most of the time the servers are waited for. They start one after the
// other, because their database gives up where the machine is busy.
func each(t *testing.T, config harness.NacosConfig, test func(t *testing.T, server *harness.NacosServer)) {
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprintf("nacos %d", major), func(t *testing.T) {
			config := config
			config.Major = major
			server := harness.StartNacos(t, config)
			t.Parallel()
			test(t, server)
		})
	}
}

func has(name string, n int) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool { return p.Instances(name) == n }
}

// well says that every scope was reported and none is unknown.
func well(p sourcetest.Picture) bool { return len(p.Snapshots) > 0 && !unknown(p) }

// unknown says that at least one scope is unknown just now.
func unknown(p sourcetest.Picture) bool {
	for _, err := range p.States {
		if err != nil {
			return true
		}
	}
	return false
}

// instance is one on port 8080.
func instance(ip string) harness.NacosInstance { return harness.NacosInstance{IP: ip, Port: 8080} }

// find is a service's instance at an address.
func find(p sourcetest.Picture, name, address string) *sources.Instance {
	s := p.Service(name)
	if s == nil {
		return nil
	}
	for n := range s.Instances {
		if s.Instances[n].Address == address {
			return &s.Instances[n]
		}
	}
	return nil
}

// ports writes an instance's ports as protocol:number.
func ports(i *sources.Instance) string {
	var out []string
	for _, p := range i.Ports {
		out = append(out, fmt.Sprintf("%s:%d", p.Protocol, p.Number))
	}
	return strings.Join(out, " ")
}

func TestTheSourceKeepsTheContract(t *testing.T) {
	for _, server := range []harness.NacosConfig{
		{Major: 2}, {Major: 2, Auth: true}, {Major: 3, Auth: true}, {Major: 3, Compat: true},
	} {
		t.Run(fmt.Sprintf("nacos %d, auth %t, compatibility %t", server.Major, server.Auth, server.Compat), func(t *testing.T) {
			contract(t, server)
		})
	}
}

// contract runs the suite on one server; each of its parts has a namespace of its own.
func contract(t *testing.T, start harness.NacosConfig) {
	server := harness.StartNacos(t, start)
	parts := 0
	sourcetest.Run(t, func(t *testing.T) sourcetest.Registry {
		parts++
		namespace := fmt.Sprintf("part-%d", parts)
		server.CreateNamespace(namespace)
		c := config(server)
		c.Namespaces = []string{namespace}
		if start.Auth {
			c = as(c, harness.NacosUser, harness.NacosPassword)
		}
		held := map[string]int{}
		put := func(name string, n int) {
			service := harness.NacosService{Namespace: namespace, Name: name}
			for i := 1; i <= max(n, held[name]); i++ {
				if at := instance(fmt.Sprintf("10.0.0.%d", i)); i > n {
					server.Unpersist(service, at)
				} else if i > held[name] {
					server.Persist(service, at)
				}
			}
			held[name] = n
		}
		return sourcetest.Registry{
			Source: newSource(t, c),
			Put:    put,
			Remove: func(name string) { put(name, 0) },
			Break:  server.Kill,
			Mend:   server.Start,
		}
	})
}
