//go:build e2e

package rollout

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"meshbridge/test/harness"
)

// kinds are what instances may be. Each service has one of each kind at any time.
var kinds = []labels{
	{"version": "v1", "track": "stable"},
	{"version": "v2", "track": "stable"},
	{"version": "v3", "track": "beta"},
	{"version": "v1", "track": "stable", "istio.service.tag": "gray"},
}

// grace is how long an instance at least goes on answering that has left the registry, as one does that is shut down in good order.
const grace = 5 * time.Second

// leaver is an instance that has left the registry.
type leaver struct {
	*instance
	since time.Time
}

func labelled(kind labels) func(*harness.EchoConfig, map[string]string) {
	return func(_ *harness.EchoConfig, l map[string]string) { maps.Copy(l, kind) }
}

// churn changes the instances of a service: one comes, goes, gives way to another, or is of another kind from now on.
func (w *walk) churn() {
	s := w.services[w.pick(slices.Sorted(maps.Keys(w.services))...)]
	kind := kinds[w.rand.IntN(len(kinds))]
	i := s.instances[w.rand.IntN(len(s.instances))]
	spare := s.count(i.Labels) > 1
	switch n := w.rand.IntN(4); {
	case n == 0 && spare:
		w.note("%s: %s %v leaves", s.name, i.Address, i.Labels)
		w.leave(s, i)
		s.write(w.t)
	case n == 1 && spare:
		w.note("%s: %s %v becomes %v", s.name, i.Address, i.Labels, kind)
		i.Labels = maps.Clone(kind)
		s.write(w.t)
	case n == 2:
		next := s.start(w.t, i.Version, labelled(i.Labels))
		w.note("%s: %s %v gives way to %s", s.name, i.Address, i.Labels, next.Address)
		w.leave(s, i)
		s.register(w.t, next)
	case len(s.instances) < 2*len(kinds):
		w.note("%s: %s %v comes", s.name, s.deploy(w.t, kind["version"], labelled(kind)).Address, kind)
	}
}

// count is how many instances have just these labels.
func (s *service) count(of labels) int {
	n := 0
	for _, i := range s.instances {
		if maps.Equal(i.Labels, of) {
			n++
		}
	}
	return n
}

// leave takes an instance out of the registry, once that is written.
func (w *walk) leave(s *service, i *instance) {
	s.instances = slices.DeleteFunc(s.instances, func(o *instance) bool { return o == i })
	w.leaving = append(w.leaving, leaver{i, time.Now()})
}

// move has a service in another namespace of the mesh.
func (w *walk) move(s *service, namespace string) {
	w.t.Helper()
	w.note("%s moves to the namespace %q", s.name, namespace)
	s.home = namespace
	s.write(w.t)
}

// bury ends instances that have left the registry: after the grace, when no proxy has them any more.
func (w *walk) bury() {
	w.t.Helper()
	if time.Since(w.looked) < time.Second || len(w.leaving) == 0 || time.Since(w.leaving[0].since) < grace {
		return
	}
	w.looked = time.Now()
	known := map[string]string{}
	for name, proxy := range w.proxies {
		clusters, err := proxy.Endpoints()
		if err != nil {
			w.t.Fatal(err)
		}
		for cluster, addresses := range clusters {
			for _, a := range addresses {
				known[a] = fmt.Sprintf("%s in %s", name, cluster)
			}
		}
	}
	w.leaving = slices.DeleteFunc(w.leaving, func(l leaver) bool {
		where := known[l.Address]
		switch age := time.Since(l.since); {
		case age < grace:
			return false
		case where != "" && age > 30*time.Second:
			w.t.Errorf("%s left the registry %s ago, and %s still has it", l.Address, age, where)
		case where != "":
			return false
		}
		l.Kill()
		return true
	})
}
