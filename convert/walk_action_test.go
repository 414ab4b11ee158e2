package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

var walkShort = strings.NewReplacer(`"Name":"",`, "", `"Labels":null,`, "", `"Headers":null,`, "", `"Version":"",`, "", `"Label":"",`, "", `"From":null,`, "", `"Expose":null`, "",
	`"Canaries":null,`, "", `"Colour":null`, "", `"Service":"",`, "", `"Gateway":"",`, "", `"Delegate":"",`, "", `"`, "")

// populate makes the services. Those but the last, which comes later, have an instance of v1 and one of v2.
func (w *walk) populate() {
	for i, name := range []string{"echo", "foxtrot", "golf", "hotel", "india"} {
		s := &walkService{name: name, in: []string{"a"}}
		if s.host() == walkRevised {
			s.in = []string{"c"}
		}
		for k := range 3 + w.rand.IntN(2) {
			s.instances = append(s.instances, w.instance(s, i, k+1, w.pick("v1", "v2", "v3")))
		}
		s.instances[0].labels["version"], s.instances[1].labels["version"] = "v1", "v2"
		if name == "india" {
			s.in = nil
		}
		w.services = append(w.services, s)
	}
}

func (w *walk) instance(s *walkService, i, k int, version string) walkInstance {
	in := walkInstance{addr: fmt.Sprintf("10.0.%d.%d", i, k), ports: []string{"http"}}
	in.labels = map[string]string{"version": version, "track": w.pick("stable", "stable", "beta")}
	if w.chance(30) {
		in.labels["istio.service.tag"] = "gray"
	}
	switch n := w.rand.IntN(20); {
	case n < 2:
		in.ports = []string{"http", "grpc"}
	case n < 3:
		in.ports = []string{"http", "tcp"}
	}
	return in
}

// act has something happen.
func (w *walk) act() {
	switch n := w.rand.IntN(100); {
	case n < 50:
		w.edit()
	case n < 54: // faster than anything settles
		for range 2 + w.rand.IntN(3) {
			w.edit()
			w.pass(w.between(0, w.settle/2))
		}
	case n < 56:
		w.swap()
	case n < 58:
		w.rival()
	case n < 80:
		w.churn()
	case n < 88:
		w.disconnect()
	case n < 91:
		w.restart()
	case n < 93:
		w.reload()
	default:
		w.move()
	}
}

// tell everyone of a change, one replica after the other.
func (w *walk) spread(what func(r *walkReplica)) {
	first := w.rand.IntN(len(w.replicas))
	for i, r := range w.replicas {
		world := r.world
		reach := func() {
			if r.up && r.world == world { // one that has been started since then knows
				what(r)
				r.step()
			}
		}
		if i == first {
			reach()
		} else {
			w.after(w.between(0, 2*time.Second), reach)
		}
	}
}

// edit changes the file of one document.
func (w *walk) edit() {
	w.edits++
	f := walkFiles[w.rand.IntN(len(walkFiles))]
	old, there := w.files[f.file]
	switch {
	case there && w.chance(10):
		w.set(f.file, nil)
		w.tell("EDIT %s is deleted", f.file)
	case there && old.Document != nil && w.chance(3):
		fault := canary.Entry{File: f.file, Team: f.team, Faults: []canary.Fault{{Text: "line 3 is no YAML"}}}
		w.set(f.file, &fault)
		w.tell("EDIT %s cannot be read", f.file)
	default:
		e := f.entry(w.write(f, old.Document))
		w.set(f.file, &e)
		w.tell("EDIT %s: %s", f.file, words(e.Document))
	}
}

// set gives a file another content, or none.
func (w *walk) set(file string, e *canary.Entry) {
	w.put(file, e)
	w.spread(func(r *walkReplica) { r.take(file) })
}

func (w *walk) put(file string, e *canary.Entry) {
	if old := w.files[file]; old.Document != nil {
		w.until[old.Document.Hash()] = w.now
	}
	if e == nil {
		delete(w.files, file)
		return
	}
	w.files[file] = *e
	if e.Document != nil {
		delete(w.until, e.Document.Hash())
	}
}

// take has a replica see what a file has now.
func (r *walkReplica) take(files ...string) {
	for _, file := range files {
		if e, ok := r.w.files[file]; ok {
			r.files[file] = e
		} else {
			delete(r.files, file)
		}
	}
	r.announce()
}

// swap has two documents exchange their paths in one edit.
func (w *walk) swap() {
	a, b := walkFiles[w.rand.IntN(3)], walkFiles[w.rand.IntN(3)]
	one, two := w.files[a.file], w.files[b.file]
	if a.file == b.file || one.Document == nil || two.Document == nil {
		return
	}
	x, y := copyDocument(one.Document), copyDocument(two.Document)
	x.Expose, y.Expose = y.Expose, x.Expose
	if x.Validate("version") != nil || y.Validate("version") != nil || x.Hash() == one.Document.Hash() {
		return
	}
	w.edits++
	w.known[x.Hash()], w.known[y.Hash()] = x, y
	one, two = a.entry(x), b.entry(y)
	w.put(a.file, &one)
	w.put(b.file, &two)
	w.tell("EDIT %s and %s swap their paths: %s %s", a.file, b.file, words(x), words(y))
	w.spread(func(r *walkReplica) { r.take(a.file, b.file) })
}

// rival has two documents claim one path at a moment, so that each may be the first.
func (w *walk) rival() {
	path := canary.DefaultExpose()
	path.Gateway, path.Prefix = "ops/public", w.pick("/rival", "/echo", "/shop")
	for _, f := range []walkFile{walkFiles[w.rand.IntN(3)], walkFiles[3+w.rand.IntN(3)]} {
		old := w.files[f.file].Document
		if old == nil {
			continue
		}
		d := copyDocument(old)
		d.Expose = []canary.Expose{path}
		if d.Validate("version") != nil || d.Hash() == old.Hash() {
			continue
		}
		w.edits++
		w.known[d.Hash()] = d
		e := f.entry(d)
		w.set(f.file, &e)
		w.tell("EDIT %s takes a rival path: %s", f.file, words(d))
	}
}

// churn changes the instances of a service.
func (w *walk) churn() {
	i := w.rand.IntN(len(w.services))
	s := w.services[i]
	n := len(s.instances)
	version := w.pick("v1", "v2", "v3")
	switch k := w.rand.IntN(12); {
	case k < 4: // one comes, at an address that is free
		for addr := 1; addr <= 6; addr++ {
			in := w.instance(s, i, addr, version)
			if !slices.ContainsFunc(s.instances, func(o walkInstance) bool { return o.addr == in.addr }) {
				s.instances = append(slices.Clone(s.instances), in)
				break
			}
		}
	case k < 6 && n > 0:
		s.instances = slices.Delete(slices.Clone(s.instances), 0, 1)
	case k < 8 && n > 0: // one has another version
		s.instances = slices.Clone(s.instances)
		at := w.rand.IntN(n)
		in := s.instances[at]
		in.labels = maps.Clone(in.labels)
		in.labels["version"] = version
		s.instances[at] = in
	case k < 9: // a version loses its last
		s.instances = slices.DeleteFunc(slices.Clone(s.instances), func(in walkInstance) bool { return in.labels["version"] == version })
	case k < 11 && n > 0: // one has other ports
		s.instances = slices.Clone(s.instances)
		at := w.rand.IntN(n)
		s.instances[at].ports = strings.Split(w.pick("http", "http", "http+grpc", "grpc", "http+tcp"), "+")
	default:
		s.instances = nil
	}
	w.tell("REGISTRY %s", s)
	w.spread(func(r *walkReplica) { r.report(s) })
	if len(s.instances) == 0 { // it comes back
		back := w.between(w.settle/2, 20*w.settle)
		w.after(back, func() {
			if len(s.instances) == 0 {
				s.instances = []walkInstance{w.instance(s, i, 1, "v1"), w.instance(s, i, 2, "v2")}
				w.tell("REGISTRY %s", s)
				w.spread(func(r *walkReplica) { r.report(s) })
			}
		})
	}
}

// move has a service go from one source to another, or come, or go.
func (w *walk) move() {
	s := w.services[w.rand.IntN(len(w.services))]
	if s.host() == walkRevised {
		return
	}
	switch in := strings.Join(s.in, ""); {
	case in == "ab":
		s.in = []string{w.pick("a", "b")}
	case in == "":
		s.in = []string{w.pick("a", "b")}
	case s.name == "india" && w.chance(50):
		s.in = nil
	default:
		s.in = []string{"a", "b"}
	}
	w.tell("REGISTRY %s", s)
	w.spread(func(r *walkReplica) { r.report(s) })
}

// disconnect breaks the streams of a client: all for long, or one for a moment.
func (w *walk) disconnect() {
	c := w.clients[w.rand.IntN(len(w.clients))]
	switch {
	case w.chance(50):
		s := c.streams[w.rand.IntN(len(c.streams))]
		w.tell("CUT %s", s)
		s.cut()
		s.returns(w.between(0, time.Second))
	default:
		away := w.between(0, 9*w.settle) // comes back, and is sent what there is, within rollout.Keep
		w.tell("CUT %s for %s", c.name, away)
		for _, s := range c.streams {
			s.cut()
			s.returns(away)
		}
	}
}

// restart ends a replica and starts it again from its state.
func (w *walk) restart() {
	r := w.replicas[w.rand.IntN(len(w.replicas))]
	if !r.up {
		return
	}
	w.tell("STOP %s", r.name)
	r.stop()
	w.after(w.between(0, 10*time.Second), func() {
		w.tell("START %s", r.name)
		r.start(nil)
	})
}

// reload gives all replicas other rules.
func (w *walk) reload() {
	rules := w.rules[w.rand.IntN(len(w.rules))]
	w.tell("RELOAD retain %s", rules.config.Subsets.Retain)
	w.spread(func(r *walkReplica) { r.world.engine.adopt(rules, w.now) })
}

// rest lets all come to rest: each client then holds what there is, nothing waits, and a process that starts with the same
// state, or another one that follows the same registries and documents, has the same bytes.
func (w *walk) rest() {
	w.prompt = true
	if w.chance(70) {
		w.mend()
	}
	w.pass(120*w.settle + 2*walkSlow) // a name that comes free, moves, and comes free where it was
	w.resting()
	if w.chance(40) {
		w.pass(21 * time.Minute) // all that is retained has gone
		w.resting()
		w.compare()
	}
	for _, c := range w.clients {
		c.judge.settle()
	}
}

// quiet reports whether nothing is under way: no session waits, and no host is being withdrawn.
func (w *walk) quiet() bool {
	for _, c := range w.clients {
		for _, s := range c.streams {
			if s.session == nil || s.waking {
				return false
			}
			_, waits := s.session.Deadline()
			if _, busy := s.session.Busy(); busy || waits {
				return false
			}
		}
	}
	for _, r := range w.replicas {
		for _, s := range r.world.engine.hosts.all {
			if !s.gone.IsZero() {
				return false
			}
		}
	}
	return true
}

func (w *walk) resting() {
	for range 40 { // what was retained may have gone just now
		if w.quiet() {
			break
		}
		w.pass(w.settle)
	}
	for _, c := range w.clients {
		for _, s := range c.streams {
			if s.session == nil {
				w.t.Fatalf("%s is not connected at rest", s)
			}
			if at, ok := s.session.Deadline(); ok {
				w.fault("a session waits at rest", "%s until %s", s, w.stamp(at))
			}
			if _, busy := s.session.Busy(); busy {
				w.fault("a session waits at rest", "%s for an acknowledgement", s)
			}
		}
		if lacks := c.lacks(); lacks != "" {
			w.tell("%s holds:\n%s", c.name, c.judge.describe())
			w.fault("a client differs at rest", "%s", lacks)
		}
	}
	for _, r := range w.replicas {
		after := r.world.restart()
		after.now = w.now
		after.documents(r.entries()...)
		after.step()
		if diff := w.differences(r.world, after); diff != "" {
			w.fault("a restart changes what is served", "%s (-before +after):\n%s", r.name, diff)
		}
	}
}

// differences say in which resources two processes differ, or "".
func (w *walk) differences(a, b *world) string {
	var lines []string
	one, two := a.resources(), b.resources()
	has := func(all map[store.Key]*store.Resource, key store.Key) string {
		if all[key] == nil {
			return "nothing"
		}
		return all[key].Version + " " + strings.Join(w.describe(all[key]), " | ")
	}
	for key, r := range one {
		if two[key] == nil || two[key].Version != r.Version {
			lines = append(lines, fmt.Sprintf("%s %s:\n  - %s\n  + %s", key.Kind.Kind, key.Name, has(one, key), has(two, key)))
		}
	}
	for key := range two {
		if one[key] == nil {
			lines = append(lines, fmt.Sprintf("%s %s:\n  - nothing\n  + %s", key.Kind.Kind, key.Name, has(two, key)))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (w *world) resources() map[store.Key]*store.Resource {
	all := map[store.Key]*store.Resource{}
	snap, _ := w.store.Snapshot()
	for _, kind := range store.Kinds() {
		for r := range snap.All(kind, store.Shard{}) {
			all[r.Key] = r
		}
	}
	return all
}

// mend has people delete the documents of which what is served is history: a former content, or one that would not be served
// any more.
func (w *walk) mend() {
	for _, file := range slices.Sorted(maps.Keys(w.files)) {
		if w.replicas[0].up && w.history(file) {
			w.tell("EDIT %s is deleted, since what is served of it is history", file)
			w.set(file, nil)
		}
	}
}

// history reports whether some replica serves of a file what one that begins without state would not, were it alone.
func (w *walk) history(file string) bool {
	serves := false
	for _, r := range w.replicas {
		if slices.Contains(r.former, file) {
			return true
		}
		serves = serves || w.files[file].Document != nil && slices.ContainsFunc(r.docs, func(d walkServed) bool { return d.Hash() == w.files[file].Document.Hash() })
	}
	if !serves {
		return false
	}
	alone := w.fresh(w.files[file])
	docs, former := w.served(alone.engine)
	return len(docs) == 0 || len(former) > 0
}

// fresh is a process that begins without state.
func (w *walk) fresh(entries ...canary.Entry) *world {
	one := w.replicas[0]
	fresh := newWorld(w.t, one.world.engine.rules)
	fresh.reports, fresh.now = one.world.reports, w.now
	for ref := range fresh.reports {
		fresh.changes[ref] = w.now
	}
	fresh.documents(entries...)
	fresh.step()
	return fresh
}

// compare compares the replicas, and a process that begins without state. What is retained has gone by now.
func (w *walk) compare() {
	for _, file := range slices.Sorted(maps.Keys(w.files)) {
		if w.history(file) {
			return
		}
	}
	w.compared++
	one := w.replicas[0]
	for _, other := range w.replicas[1:] {
		if diff := w.differences(one.world, other.world); diff != "" {
			w.fault("replicas differ at rest", "-%s +%s:\n%s", one.name, other.name, diff)
		}
	}
	for _, s := range one.world.engine.hosts.all {
		if len(s.memory.Lanes) > 0 {
			return // which hosts a lane by a glob has is kept on disk, and so is history
		}
	}
	fresh := w.fresh(one.entries()...)
	if !maps.Equal(states(one.world), states(fresh)) {
		return // a content that was accepted stays when what it names goes: that is history
	}
	if diff := w.differences(one.world, fresh); diff != "" {
		w.fault("history decides", "-%s +one that begins without state:\n%s", one.name, diff)
	}
}

// states are those of the documents, by team, name and file.
func states(w *world) map[string]string {
	all := map[string]string{}
	for _, v := range w.engine.canaries() {
		all[v.Team+" "+v.Name+" "+v.File] = v.State
	}
	return all
}

// describe is what a client holds, in short.
func (j *walkJudge) describe() string {
	var lines []string
	for _, r := range j.client.holds() {
		for _, line := range j.client.w.describe(r) {
			lines = append(lines, fmt.Sprintf("  %s %s: %s", r.Kind.Kind, r.Name, line))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// describe is a resource in short.
func (w *walk) describe(r *store.Resource) []string {
	var lines []string
	switch o := w.object(r); {
	case o.entry != nil:
		for _, e := range o.entry.Endpoints {
			lines = append(lines, fmt.Sprintf("%s %v %v", e.Address, e.Labels, e.Ports))
		}
		lines = append(lines, fmt.Sprintf("ports %v", o.entry.Ports))
	case o.rule != nil:
		for _, s := range o.rule.Subsets {
			lines = append(lines, fmt.Sprintf("%s %v", s.Name, s.Labels))
		}
	default:
		for _, h := range o.route.Http {
			lines = append(lines, fmt.Sprintf("%v %v: %v", o.route.Gateways, o.route.Hosts, h))
		}
	}
	return lines
}
