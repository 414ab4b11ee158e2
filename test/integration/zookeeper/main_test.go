//go:build integration

// Package zookeeper shows the ZooKeeper source on real servers with real and scripted providers.
package zookeeper

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"meshbridge/sources"
	"meshbridge/sources/sourcetest"
	"meshbridge/sources/zookeeper"
	"meshbridge/test/harness"
)

func TestMain(m *testing.M) {
	harness.Isolate()
	os.Exit(m.Run())
}

// config is the default one for servers, with a session that ends soon.
func config(servers ...string) zookeeper.Config {
	c := zookeeper.Default()
	c.Servers = servers
	c.SessionTimeout = 3 * time.Second
	return c
}

func newSource(t *testing.T, c zookeeper.Config) *zookeeper.Source {
	t.Helper()
	src, err := zookeeper.New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// follow runs a source of the configuration until the test ends.
func follow(t *testing.T, c zookeeper.Config) *sourcetest.Recorder {
	t.Helper()
	r, _ := sourcetest.Start(t, newSource(t, c))
	return r
}

// whole says that every scope has been reported and none is unknown.
func whole(p sourcetest.Picture) bool {
	for _, err := range p.States {
		if err != nil {
			return false
		}
	}
	return len(p.Snapshots) > 0 && len(p.Snapshots) == len(p.States)
}

// unknown says that at least one scope is unknown just now.
func unknown(p sourcetest.Picture) bool {
	for _, err := range p.States {
		if err != nil {
			return true
		}
	}
	return false
}

func has(name string, n int) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool { return p.Instances(name) == n }
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

// ports writes an instance's ports as protocol:number.
func ports(i sources.Instance) string {
	var out []string
	for _, p := range i.Ports {
		out = append(out, fmt.Sprintf("%s:%d", p.Protocol, p.Number))
	}
	return strings.Join(out, " ")
}

// provider is a scripted provider of an interface.
func provider(name, address string, parameters ...string) harness.DubboProvider {
	p := harness.DubboProvider{Interface: name, Address: address, Parameters: map[string]string{}}
	for _, kv := range parameters {
		k, v, _ := strings.Cut(kv, "=")
		p.Parameters[k] = v
	}
	return p
}

// persist writes a node that outlives sessions, trying until the server takes it.
func persist(t *testing.T, r *harness.Registry, node string) {
	t.Helper()
	at := ""
	parts := strings.Split(strings.TrimPrefix(node, "/"), "/")
	for _, part := range parts {
		at += "/" + part
		harness.Eventually(t, 20*time.Second, "node "+at, func() error {
			_, err := r.Create(at, nil, 0, zk.WorldACL(zk.PermAll))
			if errors.Is(err, zk.ErrNodeExists) {
				return nil
			}
			return err
		})
	}
}

// erase deletes a node, trying until the server takes it.
func erase(t *testing.T, r *harness.Registry, node string) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, "no node "+node, func() error {
		err := r.Delete(node, -1)
		if errors.Is(err, zk.ErrNoNode) {
			return nil
		}
		return err
	})
}

func TestTheSourceKeepsTheContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Registry {
		server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
		registry := server.Dial(t)
		held := map[string]int{}
		put := func(name string, n int) {
			for i := 1; i <= max(n, held[name]); i++ {
				node := provider(name, fmt.Sprintf("10.0.0.%d:8080", i)).Node()
				if i <= n {
					persist(t, registry, node)
				} else {
					erase(t, registry, node)
				}
			}
			held[name] = n
		}
		return sourcetest.Registry{
			Source: newSource(t, config(server.Addr)),
			Put:    put,
			Remove: func(name string) {
				put(name, 0)
				erase(t, registry, "/dubbo/"+name+"/providers")
				erase(t, registry, "/dubbo/"+name)
			},
			Break: server.Kill,
			Mend:  server.Start,
		}
	})
}
