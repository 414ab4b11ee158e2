//go:build integration

// Package eureka shows the Eureka source on Spring Cloud's server with real and scripted clients.
package eureka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
	"meshbridge/sources/eureka"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

func TestMain(m *testing.M) {
	harness.Isolate()
	os.Exit(m.Run())
}

// config is the default one for servers, whose caches are as short as the interval here.
func config(urls ...string) eureka.Config {
	c := eureka.Default()
	for _, u := range urls {
		c.Servers = append(c.Servers, eureka.Server(u))
	}
	c.Interval, c.Settle = 300*time.Millisecond, 10*time.Second
	return c
}

func newSource(t *testing.T, c eureka.Config) *eureka.Source {
	t.Helper()
	src, err := eureka.New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// follow runs a source of the configuration until the test ends.
func follow(t *testing.T, c eureka.Config) *sourcetest.Recorder {
	t.Helper()
	r, _ := sourcetest.Start(t, newSource(t, c))
	return r
}

func has(name string, n int) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool { return p.Instances(name) == n }
}

// known says that the registry is being followed.
func known(p sourcetest.Picture) bool {
	return p.Snapshots[eureka.Scope] > 0 && p.States[eureka.Scope] == nil
}

// says waits for a reason to know nothing that holds a text.
func says(text string) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool {
		return p.States[eureka.Scope] != nil && strings.Contains(p.States[eureka.Scope].Error(), text)
	}
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

func instance(app string, n int) harness.EurekaInstance {
	return harness.EurekaInstance{App: app, IP: fmt.Sprintf("10.0.0.%d", n), Port: 8080}
}

// instances are the first n of an application.
func instances(app string, n int) []harness.EurekaInstance {
	var all []harness.EurekaInstance
	for i := range n {
		all = append(all, instance(app, i+1))
	}
	return all
}

// lower is a source that reports names in lower case, as the contract's suite expects them; Eureka has no others than upper.
type lower struct{ sources.Source }

func (l lower) Run(ctx context.Context, sink sources.Sink) error {
	return l.Source.Run(ctx, lowerSink{sink})
}

type lowerSink struct{ sources.Sink }

func (s lowerSink) Snapshot(scope string, services []*sources.Service, unknown func(sources.Key) bool) {
	s.Sink.Snapshot(scope, lowered(services), unknown)
}

func (s lowerSink) Update(scope string, changed []*sources.Service, removed []sources.Key) {
	for i := range removed {
		removed[i].Name = strings.ToLower(removed[i].Name)
	}
	s.Sink.Update(scope, lowered(changed), removed)
}

func lowered(services []*sources.Service) []*sources.Service {
	for _, s := range services {
		s.Name = strings.ToLower(s.Name)
	}
	return services
}

func TestTheSourceKeepsTheContract(t *testing.T) {
	server := harness.StartEureka(t, harness.EurekaConfig{})
	sourcetest.Run(t, func(t *testing.T) sourcetest.Registry {
		front := harness.NewSwitch(t, server.Addr)
		held := map[string]int{}
		// put returns when the server shows what it was told; its answers are up to half a second old.
		put := func(name string, n int) {
			for i := 1; i <= max(n, held[name]); i++ {
				switch {
				case i > n:
					server.Deregister(instance(name, i))
				case i > held[name]:
					server.Register(instance(name, i))
				}
			}
			held[name] = n
			shown(t, server, name, n)
		}
		t.Cleanup(func() {
			for name := range held {
				put(name, 0)
			}
		})
		return sourcetest.Registry{
			Source: lower{newSource(t, config("http://"+front.Addr+"/eureka"))},
			Put:    put,
			Remove: func(name string) { put(name, 0) },
			Break:  func() { front.To("127.0.0.1:1") },
			Mend:   func() { front.To(server.Addr) },
		}
	})
}

// shown waits until a server's answer has so many instances of an application.
func shown(t *testing.T, server *harness.EurekaServer, name string, n int) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, fmt.Sprintf("%d of %s in %s", n, name, server.Name), func() error {
		request, err := http.NewRequest(http.MethodGet, server.URL+"/apps", nil)
		if err != nil {
			return err
		}
		request.Close = true // an idle connection would look like one that the source has left
		request.Header.Set("Accept", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		var answer struct {
			Applications struct {
				Application []struct {
					Name     string
					Instance []struct{ InstanceID string }
				}
			}
		}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			return err
		}
		for _, a := range answer.Applications.Application {
			if strings.EqualFold(a.Name, name) && len(a.Instance) == n {
				return nil
			} else if strings.EqualFold(a.Name, name) {
				return fmt.Errorf("%d are shown", len(a.Instance))
			}
		}
		if n > 0 {
			return errors.New("none is shown")
		}
		return nil
	})
}
