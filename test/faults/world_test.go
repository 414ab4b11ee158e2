//go:build faults

package faults

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"meshbridge/test/harness"
)

// instance is what every registry can hold.
type instance struct {
	address string
	down    bool // unhealthy, or what comes next to it in the registry
}

// port is that of every instance.
const port = 8080

// The scopes of every registry. Those with one scope only have no other.
const (
	mainScope  = "main"
	otherScope = "other"
)

// world is what is registered.
type world struct {
	registry registry
	services map[name][]instance
	next     int // the next address
}

// name is a service in a scope.
type name struct{ scope, service string }

func newWorld(r registry) *world { return &world{registry: r, services: map[name][]instance{}} }

// fill registers 10 services of 6 instances and one of 10, and in the other scope 5 of 4.
func (w *world) fill() {
	all := map[name][]instance{{mainScope, "large"}: w.fresh(10)}
	for i := range 10 {
		all[name{mainScope, fmt.Sprintf("main-%d", i)}] = w.fresh(6)
	}
	if _, ok := w.registry.(scoped); ok {
		for i := range 5 {
			all[name{otherScope, fmt.Sprintf("other-%d", i)}] = w.fresh(4)
		}
	}
	w.setAll(all)
}

// fresh makes instances at addresses that nobody had.
func (w *world) fresh(n int) []instance {
	var all []instance
	for range n {
		w.next++
		all = append(all, instance{address: fmt.Sprintf("10.20.%d.%d", w.next/200, 1+w.next%200)})
	}
	return all
}

// set makes these the instances of the service.
func (w *world) set(n name, instances []instance) { w.setAll(map[name][]instance{n: instances}) }

// setAll makes these the instances of the services, as nearly at once as the registry takes them.
func (w *world) setAll(services map[name][]instance) {
	w.registry.put(services)
	for n, instances := range services {
		if len(instances) == 0 {
			delete(w.services, n)
		} else {
			w.services[n] = slices.Clone(instances)
		}
	}
}

// add registers one more instance.
func (w *world) add(n name) { w.set(n, append(slices.Clone(w.services[n]), w.fresh(1)...)) }

// in lists the services of a scope in order.
func (w *world) in(scope string) []name {
	var all []name
	for n := range w.services {
		if n.scope == scope {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b name) int { return strings.Compare(a.service, b.service) })
	return all
}

// remember returns what restores the services as they are now.
func (w *world) remember() (restore func()) {
	was := maps.Clone(w.services)
	return func() {
		all := maps.Clone(was)
		for n := range w.services {
			if was[n] == nil {
				all[n] = nil
			}
		}
		w.setAll(all)
	}
}

// clear deregisters everything.
func (w *world) clear() {
	none := map[name][]instance{}
	for n := range w.services {
		none[n] = nil
	}
	w.setAll(none)
}

// endpoints is what a client should hold of what is registered.
func (w *world) endpoints() endpoints {
	all := endpoints{}
	for n, instances := range w.services {
		for _, i := range instances {
			if !i.down {
				all[endpointOf(n, i)] = true
			}
		}
	}
	return all
}

func endpointOf(n name, i instance) endpoint {
	return endpoint{n.service + ".mesh", net.JoinHostPort(i.address, fmt.Sprint(port))}
}

// registry is one real registry, with what every one can do. One serves all faults, one after the other.
type registry interface {
	// source is what follows it, as the value of a source in the bridge's configuration.
	source() string
	// put makes these the instances of the services; none takes a service away. It returns when the registry has them.
	put(services map[name][]instance)
	// kill ends it, or takes it out of reach, with its data kept.
	kill()
	// start starts it again and returns when it serves.
	start()
	// wipe takes all data of one that was killed, and all that its clients would register again.
	wipe()
}

// What some registries can do beside.
type (
	// scoped has a second scope, which can go and come back whole, and be forbidden and allowed.
	scoped interface {
		registry
		loseScope()
		findScope()
		forbidScope()
		allowScope()
	}
	// remote is reached over a network.
	remote interface{ cable() *harness.Cable }
	// guarded has permissions, or a password.
	guarded interface {
		forbid()
		allow()
	}
	// tokens has identities that end.
	tokens interface {
		expire()
		renew()
	}
	// clocked has answers with a time in them: the cable turns it back.
	clocked interface {
		turnBack()
		turnRight()
	}
	// spoilable answers what it should not, in one of three ways.
	spoilable interface {
		spoil(way int)
		unspoil()
	}
)

// registryNames are the columns of the table, and registries start them.
var registryNames = []string{"ZooKeeper", "Nacos", "Eureka", "Consul", "file"}

var registries = map[string]func(*testing.T) registry{
	"ZooKeeper": newEnsemble, "Nacos": newNamespaces, "Eureka": newApps, "Consul": newDatacenters, "file": newFolder,
}
