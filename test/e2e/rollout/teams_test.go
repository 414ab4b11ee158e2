//go:build e2e

package rollout

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// pair is two teams' services, each with a canary by header.
type pair struct {
	w          *world
	one, other *service
	ways       map[*service]way
}

// pair has both teams at the same step. Each may name its own service only.
func (w *world) pair(t *testing.T, keys string) *pair {
	t.Helper()
	folder := filepath.Join(w.dir, "canaries")
	w.configure(t, keys+fmt.Sprintf(`teams: [{name: echo, files: ["%[1]s/echo*.yaml"], services: [echo.mesh]}, {name: foxtrot, files: ["%[1]s/foxtrot*.yaml"], services: [foxtrot.mesh]}]`, folder))
	p := &pair{w: w, one: w.service(t, "echo", ""), other: w.service(t, "foxtrot", ""), ways: map[*service]way{}}
	for _, s := range []*service{p.one, p.other} {
		s.deploy(t, "v1")
		s.deploy(t, "v2")
		p.ways[s] = s.inside("shop")
		p.canary(t, s, "v2", 0)
	}
	for _, s := range []*service{p.one, p.other} {
		s.routed(t, []way{p.ways[s]}, share{"v2": 100}, share{"v1": 100})
		w.settled(t, s.name)
	}
	return p
}

// canary writes a service's document: by header, and by weight.
func (p *pair) canary(t *testing.T, s *service, version string, weight int) {
	t.Helper()
	p.w.document(t, s.name+".yaml", fmt.Sprintf("name: %s\nservices: [%[1]s.mesh]\nprimary: v1\ncanaries: [{version: %s, headers: {stage: canary}, weight: %d}]\n",
		s.name, version, weight))
}

// walkBadDocument has one team name a version that does not exist while the other goes on, and the bridge start anew meanwhile.
func (w *world) walkBadDocument(t *testing.T) {
	p := w.pair(t, "")
	one, other := p.ways[p.one], p.ways[p.other]
	calls := []harness.Request{one.classed("one"), one.with("one canary", "stage", "canary"), other.classed("other"), other.with("other canary", "stage", "canary")}
	defer w.underLoad(t, calls...).end(t)

	p.canary(t, p.one, "v9", 50)
	w.state(t, p.one.name, "lastGood")
	p.canary(t, p.other, "v2", 50)
	p.other.routed(t, []way{other}, share{"v2": 100}, share{"v1": 50, "v2": 50})
	divided(t, 2000, share{"v1": 50, "v2": 50}, other.call)
	all(t, 1000, map[string]string{"one": "v1", "one canary": "v2"}, calls[:2]...)

	w.bridge.Kill()
	w.bridge.Start()
	w.state(t, p.one.name, "lastGood")
	p.canary(t, p.other, "v2", 100)
	p.other.routed(t, []way{other}, share{"v2": 100}, share{"v2": 100})
	all(t, 1000, map[string]string{"one": "v1", "one canary": "v2"}, calls[:2]...)

	w.document(t, "echo-too-far.yaml", "{name: too-far, services: [foxtrot.mesh], primary: v1}")
	w.state(t, "too-far", "held")
	p.canary(t, p.one, "v2", 100)
	p.one.routed(t, []way{one}, share{"v2": 100}, share{"v2": 100})
	w.settled(t, p.one.name)
}

// walkRespond has the requests of a bad rule answered, and no others.
func (w *world) walkRespond(t *testing.T) {
	const body = "This canary is not valid: see meshbridge check.\n"
	p := w.pair(t, fmt.Sprintf("onInvalid: respond, respond: {status: 404, body: %q}, ", body))
	one, other := p.ways[p.one], p.ways[p.other]
	defer w.underLoad(t, one.call, other.call, other.with("other canary", "stage", "canary")).end(t)

	p.canary(t, p.one, "v9", 0)
	w.state(t, p.one.name, "responding")
	harness.Eventually(t, 30*time.Second, "the rule is answered", func() error {
		_, err := harness.Call(http.DefaultClient, one.with("", "stage", "canary"))
		if answer, ok := err.(harness.StatusError); ok && answer.Status == http.StatusNotFound && answer.Body == body {
			return nil
		}
		return fmt.Errorf("the answer is %v", err)
	})
	found := harness.Burst(1000, func(int) harness.Request { return one.with("", "stage", "canary") })
	for answer, n := range found {
		if n != 1000 || !strings.Contains(answer, "meshbridge check") {
			t.Errorf("1000 requests of the rule were answered %v", found)
		}
	}
	all(t, 1000, map[string]string{"shop": "v1", "other canary": "v2"}, one.call, other.with("other canary", "stage", "canary"))
	p.canary(t, p.other, "v2", 100)
	p.other.routed(t, []way{other}, share{"v2": 100}, share{"v2": 100})
}
