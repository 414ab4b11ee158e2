//go:build faults

package faults

import (
	"slices"
	"time"

	"meshbridge/test/harness"
)

// can reports whether a registry has the power.
func can[P any](r registry) bool {
	_, ok := r.(P)
	return ok
}

// scenarios are the sections of docs/faults.md.
var scenarios = []scenario{
	{name: "down at start", begin: (*run).kill, end: (*run).start, outlives: true, down: true, stateful: true},
	{name: "down at start, nothing kept", begin: (*run).kill, end: (*run).start, outlives: true, down: true},
	{name: "killed and back", begin: (*run).kill, end: (*run).start, outlives: true},
	{name: "back empty", begin: (*run).empty, end: (*run).restore, outlives: true},
	{name: "half of it gone", begin: (*run).halve, end: (*run).restore, outlives: true},
	{name: "dribbling loss", begin: (*run).dribble, end: (*run).restore, window: 10 * time.Second, outlives: true},
	{name: "mass health flip", begin: (*run).flip, end: (*run).restore, outlives: true},
	{name: "one scope gone", exists: can[scoped], begin: (*run).loseScope, end: func(r *run) { r.world.registry.(scoped).findScope(); r.restore() }, outlives: true},
	{name: "one scope forbidden", exists: can[scoped], begin: (*run).forbidScope, end: func(r *run) { r.world.registry.(scoped).allowScope() }, outlives: true},
	{name: "permission revoked", exists: can[guarded], begin: func(r *run) { r.world.registry.(guarded).forbid() },
		end: func(r *run) { r.world.registry.(guarded).allow() }, outlives: true},
	{name: "token expired", exists: can[tokens], begin: func(r *run) { r.world.registry.(tokens).expire() },
		end: func(r *run) { r.world.registry.(tokens).renew() }, during: 12 * time.Second, outlives: true},
	{name: "cut off", exists: can[remote], begin: func(r *run) { r.cable().Cut() }, end: func(r *run) { r.cable().Mend() }, outlives: true},
	{name: "slow", exists: can[remote], begin: (*run).slow, end: func(r *run) { r.cable().Mend() }, during: 12 * time.Second, plain: true},
	{name: "garbage answers", exists: can[spoilable], begin: (*run).spoil, end: func(r *run) { r.world.registry.(spoilable).unspoil() }, outlives: true},
	{name: "clock behind", exists: can[clocked], begin: (*run).turnBack, end: func(r *run) { r.world.registry.(clocked).turnRight() }, during: 20 * time.Second, plain: true},
	{name: "a held address reused", begin: (*run).reuse, end: (*run).restore, outlives: true},
	{name: "rolling replacement", begin: (*run).replace, steady: true, plain: true},
	{name: "scale-down from 10 to 2", begin: (*run).scaleDown, during: hold - time.Second, plain: true},
}

func (r *run) cable() *harness.Cable { return r.world.registry.(remote).cable() }

func (r *run) kill()  { r.world.registry.kill() }
func (r *run) start() { r.world.registry.start() }

// restore registers again what was registered when the fault began.
func (r *run) restore() { r.undo() }

// empty brings the registry back with nothing in it.
func (r *run) empty() {
	r.undo = r.world.remember()
	r.world.registry.kill()
	r.world.registry.wipe()
	clear(r.world.services)
	r.world.registry.start()
}

// halve deregisters half of each service.
func (r *run) halve() {
	r.undo = r.world.remember()
	half := map[name][]instance{}
	for _, n := range r.world.in(mainScope) {
		all := r.world.services[n]
		half[n] = all[:len(all)/2]
	}
	r.world.setAll(half)
}

// dribble deregisters 5 % each second until 40 % are gone.
func (r *run) dribble() {
	r.undo = r.world.remember()
	services := r.world.in(mainScope)
	total := 0
	for _, n := range services {
		total += len(r.world.services[n])
	}
	gone := 0
	for second := 1; second <= 8; second++ {
		step := map[name][]instance{}
		for ; gone < second*total*5/100; gone++ {
			n := services[gone%len(services)]
			step[n] = r.world.services[n][1:]
		}
		r.world.setAll(step)
		wait(r.t, time.Until(r.began.Add(time.Duration(second)*time.Second)))
	}
}

// flip makes every instance unhealthy.
func (r *run) flip() {
	r.undo = r.world.remember()
	all := map[name][]instance{}
	for n, instances := range r.world.services {
		down := slices.Clone(instances)
		for i := range down {
			down[i].down = true
		}
		all[n] = down
	}
	r.world.setAll(all)
}

// elsewhere changes the scope that the fault leaves alone; it must arrive while the fault lasts.
func (r *run) elsewhere() {
	r.t.Helper()
	n := r.world.in(mainScope)[1]
	r.world.add(n)
	added := endpoints{}
	for e := range r.world.endpoints() {
		if !r.before[e] && e.host == n.service+".mesh" {
			added[e] = true
		}
	}
	harness.Eventually(r.t, observe, "what changes in the other scope arrives", func() error {
		if lacks := r.client.seen().held.missing(added); len(lacks) > 0 {
			return errLacks(lacks)
		}
		return nil
	})
}

type errLacks []string

func (e errLacks) Error() string { return "the client lacks " + some(e) }

// loseScope takes the second scope away with all that is in it.
func (r *run) loseScope() {
	was := map[name][]instance{}
	for _, n := range r.world.in(otherScope) {
		was[n] = r.world.services[n]
	}
	r.undo = func() { r.world.setAll(was) }
	r.world.registry.(scoped).loseScope()
	for n := range was {
		delete(r.world.services, n)
	}
	r.elsewhere()
}

func (r *run) forbidScope() {
	r.world.registry.(scoped).forbidScope()
	r.elsewhere()
}

// slow delays everything and changes one service.
func (r *run) slow() {
	r.cable().Delay(time.Second)
	r.exchange()
}

// turnBack sets the registry's clock back and changes one service.
func (r *run) turnBack() {
	r.world.registry.(clocked).turnBack()
	r.exchange()
}

// exchange replaces one instance by another, which no guard minds.
func (r *run) exchange() {
	n := r.world.in(mainScope)[0]
	r.world.set(n, append(slices.Clone(r.world.services[n][1:]), r.world.fresh(1)...))
}

// spoil has the registry answer what it should not, in one way after the other.
func (r *run) spoil() {
	for way := range 3 {
		r.world.registry.(spoilable).spoil(way)
		wait(r.t, observe)
	}
}

// reuse loses half, and registers an address of that half in another service once it is held.
func (r *run) reuse() {
	reused := r.world.services[r.world.in(mainScope)[2]]
	r.halve()
	wait(r.t, observe/2)
	if lacks := r.client.seen().held.missing(r.before); len(lacks) > 0 {
		r.t.Fatalf("half of it is not held: the client lacks %s", some(lacks))
	}
	r.world.set(name{mainScope, "heir"}, reused[len(reused)-1:])
}

// replace gives every service new instances, one at a time, the new one first.
func (r *run) replace() {
	for range 10 {
		both, replaced := map[name][]instance{}, map[name][]instance{}
		for n, all := range r.world.services {
			if r.before[endpointOf(n, all[0])] {
				both[n] = append(slices.Clone(all), r.world.fresh(1)...)
				replaced[n] = both[n][1:]
			}
		}
		r.world.setAll(both)
		wait(r.t, 250*time.Millisecond)
		r.world.setAll(replaced)
	}
}

// scaleDown takes 8 of 10 instances.
func (r *run) scaleDown() {
	n := name{mainScope, "large"}
	r.world.set(n, r.world.services[n][:2])
}
