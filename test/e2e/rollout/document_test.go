//go:build e2e

package rollout

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/test/harness"
)

// document writes a canary document; it goes with the test.
func (w *world) document(t *testing.T, file, text string) {
	t.Helper()
	name := filepath.Join(w.dir, "canaries", file)
	if _, err := os.Stat(name); os.IsNotExist(err) {
		t.Cleanup(func() {
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
		})
	}
	replaceFile(t, name, []byte(text))
}

// way is one on which requests come to a service: through whose Envoy, and how.
type way struct {
	proxy *harness.Envoy
	name  string // domain of the virtual host
	port  int    // of the listener; 0 at the gateway
	call  harness.Request
}

// inside is the way from a workload's sidecar.
func (s *service) inside(workload string) way {
	address, _, _ := strings.Cut(sidecar(workload), ":")
	return way{
		proxy: s.w.proxies[workload], name: s.host(), port: s.port,
		call: harness.Request{Address: fmt.Sprintf("%s:%d", address, s.port), Host: fmt.Sprintf("%s:%d", s.host(), s.port), Path: "/" + s.name, Class: workload},
	}
}

// outside is the way through the gateway, by a host of the gateway's.
func (s *service) outside(host string) way {
	return way{
		proxy: s.w.proxies["gateway"], name: host,
		call: harness.Request{Address: gateway, Host: host, Path: "/" + s.name, Class: host},
	}
}

// with is the same way with a header of one or more values.
func (v way) with(class, header string, values ...string) harness.Request {
	call := v.call
	call.Class, call.Header = class, map[string][]string{http.CanonicalHeaderKey(header): values}
	return call
}

// classed is the call of the way, counted under a class.
func (v way) classed(class string) harness.Request {
	call := v.call
	call.Class = class
	return call
}

// share is the percentage of each subset; in an Envoy without the weights 0.
type share map[string]int

// routed waits until the Envoy of each way has these rules for the service, in order.
func (s *service) routed(t *testing.T, ways []way, want ...share) {
	t.Helper()
	for _, v := range ways {
		harness.Eventually(t, 40*time.Second, fmt.Sprintf("the Envoy routes %s as wanted", v.call.Class), func() error {
			routes, err := v.proxy.Routes(v.port, v.name)
			if err != nil {
				return err
			}
			var got []share
			for _, r := range routes {
				if rule := s.share(r); len(rule) > 0 {
					got = append(got, rule)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				return fmt.Errorf("rules (-want +got)\n%s%s", diff, s.w.explain())
			}
			return nil
		})
	}
}

// share is the part of a rule that leads to the service.
func (s *service) share(r harness.Route) share {
	found := share{}
	for cluster, weight := range r.Split {
		parts := strings.Split(cluster, "|")
		if len(parts) == 4 && parts[3] == s.host() {
			found[parts[2]] = weight
		}
	}
	return found
}

// explain is what the bridge says of its documents, for a test that waits in vain.
func (w *world) explain() string {
	canaries, err := w.bridge.Canaries()
	return fmt.Sprintf("%+v %v", canaries, err)
}

// settled waits until the bridge says that the document is served and no client waits for a part of it.
func (w *world) settled(t *testing.T, name string) {
	t.Helper()
	w.state(t, name, "serving")
}

func (w *world) state(t *testing.T, name, want string) {
	t.Helper()
	harness.Eventually(t, 40*time.Second, name+" is "+want, func() error {
		canaries, err := w.bridge.Canaries()
		if err != nil {
			return err
		}
		if got := canaries[name]; got.State != want {
			return fmt.Errorf("it is %+v", got)
		}
		return nil
	})
}

// all fails the test unless all of n requests, taken in turn from calls, come to versions, by the class of the call.
func all(t *testing.T, n int, versions map[string]string, calls ...harness.Request) {
	t.Helper()
	want := map[string]int{}
	for i := range n {
		class := calls[i%len(calls)].Class
		want[class+" "+versions[class]]++
	}
	if diff := cmp.Diff(want, harness.Burst(n, func(i int) harness.Request { return calls[i%len(calls)] })); diff != "" {
		t.Errorf("%d requests (-want +got)\n%s", n, diff)
	}
}

// divided fails the test unless, of n requests, each version gets its percentage, give or take five standard deviations of the
// binomial distribution: chance alone leaves that bound once in 1.7 million.
func divided(t *testing.T, n int, want share, calls ...harness.Request) {
	t.Helper()
	got := map[string]int{}
	for answer, count := range harness.Burst(n, func(i int) harness.Request { return calls[i%len(calls)] }) {
		_, version, _ := strings.Cut(answer, " ")
		got[version] += count
	}
	var versions []string
	for version := range got {
		versions = append(versions, version)
	}
	for version := range want {
		if !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	for _, version := range versions {
		p := float64(want[version]) / 100
		bound := 5 * math.Sqrt(float64(n)*p*(1-p))
		if off := math.Abs(float64(got[version]) - float64(n)*p); off > bound {
			t.Errorf("of %d requests %d came to %s, want %.0f ± %.0f", n, got[version], version, float64(n)*p, bound)
		}
	}
	t.Logf("%d requests by weight: %v", n, got)
}

// rate is how many requests a load sends in a second.
const rate = 300

// load is a steady one.
type load struct {
	*harness.Load
	w *world
}

// underLoad sends the calls in turn until the load ends.
func (w *world) underLoad(t *testing.T, calls ...harness.Request) *load {
	t.Helper()
	return &load{harness.StartLoad(t, rate, func(n int) harness.Request { return calls[n%len(calls)] }), w}
}

// end stops the load, and fails the test if one request failed or the mesh is not healthy.
func (l *load) end(t *testing.T) {
	t.Helper()
	if r := l.Stop(); r.Failed > 0 {
		t.Errorf("%d of %d requests failed, the first:\n%s", r.Failed, r.Sent, strings.Join(r.Faults, "\n"))
	}
	l.w.healthy(t)
}
