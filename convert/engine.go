package convert

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"meshbridge/convert/canary"
	"meshbridge/convert/rollout"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// engine is the memory of the translation and does its work: reports in, a change of the store out. It has no clock, no
// goroutine and no lock, and its work is in what changed. Once open it is deterministic but for what is retained: who had
// an address first, and what is empty since when.
type engine struct {
	rules  *Rules
	read   func(sources.Ref) *sources.Service // the last report of a service, or nil
	lookup func(string) []netip.Addr          // the addresses of a host name as far as they are known

	refs      map[sources.Ref]*refState
	hosts     hosts
	vips      *vips
	entries   *[]canary.Entry // what the files say of canaries, to be adopted; nil: nothing new
	documents documents
	saved     map[string]record          // from disk, until a host takes it
	gone      map[string][]goneRecord    // from disk, until the gate opens
	wrote     map[string]string          // what is on disk of each host
	users     map[string]map[string]bool // the hosts that need a host name
	count     map[classCount]int         // rejections by source and class; the key's count is 0
	dirty     map[string]time.Time       // hosts to convert, and when the first report was seen that made them so
	dues      dues
	open      bool
	opened    time.Time
	built     int                              // resources since metrics last asked
	event     time.Time                        // of what is being worked on
	batch     map[sources.Ref]*sources.Service // read already in this step

	clients    rollout.Clients
	generation uint64          // of the store's newest state
	routes     *rollout.Routes // the VirtualServices of all hosts
	owners     owners

	puts    map[store.Removal]*store.Resource // of the step that is being made
	removes map[store.Removal]bool
	left    map[rollout.ID]bool // VirtualServices that their hosts no longer want
	saves   map[string]string   // host to record; "" deletes it
}

func newEngine(rules *Rules, read func(sources.Ref) *sources.Service, lookup func(string) []netip.Addr) *engine {
	e := &engine{
		rules:  rules,
		read:   read,
		lookup: lookup,
		refs:   map[sources.Ref]*refState{},
		vips:   newVIPs(rules.ranges, nil),
		wrote:  map[string]string{},
		users:  map[string]map[string]bool{},
		count:  map[classCount]int{},
		dirty:  map[string]time.Time{},
		batch:  map[sources.Ref]*sources.Service{},

		clients: rollout.Nobody{}, routes: rollout.NewRoutes(), owners: newOwners(),
	}
	e.documents = newDocuments(rules, e.namespaceOf, e.wanted)
	e.hosts = hosts{all: map[string]*hostState{}, recall: e.recall, touched: e.touch, queued: map[string]bool{}}
	return e
}

// touch notes that a host must be converted.
func (e *engine) touch(host string) {
	if at, ok := e.dirty[host]; !ok || e.event.Before(at) {
		e.dirty[host] = e.event
	}
}

// keepRead is the most changes of a step whose services are kept in memory until it ends.
const keepRead = 64

// step takes changes in and returns what they change in the store; nothing until the gate opens.
func (e *engine) step(changes []sources.Change, open bool, now time.Time) store.Change {
	e.takeIn(changes, now)
	return e.build(open, now)
}

// takeIn notes what changed. A change without a service means that the service is gone, or is to be read.
func (e *engine) takeIn(changes []sources.Change, now time.Time) {
	clear(e.batch)
	for i := range changes {
		c := &changes[i]
		e.event = c.At
		svc := c.Service
		c.Service = nil // the rest of the work must not hold what can be read again
		if svc == nil {
			svc = e.read(c.Ref)
		}
		e.report(c.Ref, svc, now, false)
		if len(changes) <= keepRead {
			e.batch[c.Ref] = svc
		}
	}
	e.event = now
	e.hosts.settle()
}

// build converts the hosts that changed, once the gate is open.
func (e *engine) build(open bool, now time.Time) store.Change {
	e.puts, e.removes, e.saves = map[store.Removal]*store.Resource{}, map[store.Removal]bool{}, map[string]string{}
	e.left = map[rollout.ID]bool{}
	e.announce()
	if !e.open && !open {
		return store.Change{}
	}
	e.event = now
	if !e.open {
		e.restore(now)
		e.open, e.opened = true, now
	}
	for _, host := range e.dues.until(now) {
		if s := e.hosts.all[host]; s != nil {
			s.due = time.Time{}
			e.touch(host)
		}
	}
	e.accept(now) // what only the documents changed
	for len(e.dirty) > 0 {
		round, order := e.dirty, e.order()
		e.dirty = map[string]time.Time{} // an emptied map would keep the size, and the cost of walking it, of its largest round
		for _, host := range order {
			e.event = round[host]
			delete(e.dirty, host)
			e.convert(host, now)
		}
		e.event = now
		e.hosts.settle()
		e.accept(now)
		for _, host := range e.vips.freed {
			e.touch(host)
		}
		e.vips.freed = nil
		for _, host := range e.owners.takeShared() {
			e.touch(host)
		}
	}
	e.finish(now)
	clear(e.batch)
	return e.change()
}

// change is what the step made, in the order of the keys.
func (e *engine) change() store.Change {
	c := store.Change{Open: true}
	for _, r := range e.puts {
		c.Put = append(c.Put, r)
	}
	slices.SortFunc(c.Put, func(a, b *store.Resource) int { return compareStoreKeys(a.Key, b.Key) })
	for r := range e.removes {
		c.Remove = append(c.Remove, r)
	}
	slices.SortFunc(c.Remove, func(a, b store.Removal) int {
		return cmp.Or(compareStoreKeys(a.Key, b.Key), strings.Compare(a.Host, b.Host))
	})
	e.puts, e.removes = nil, nil
	return c
}

func compareStoreKeys(a, b store.Key) int {
	if c := slices.Index(store.Kinds(), a.Kind) - slices.Index(store.Kinds(), b.Kind); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// order sorts the dirty hosts: those with a pinned address first, then those that had another address than the pure one
// before a restart, so that they find it free.
func (e *engine) order() []string {
	rank := make(map[string]int, len(e.dirty))
	for host := range e.dirty {
		switch s := e.hosts.all[host]; {
		case s != nil && e.pin(e.parts(s, false)).IsValid():
			rank[host] = 0
		case len(e.vips.saved[host]) > 0:
			rank[host] = 1
		default:
			rank[host] = 2
		}
	}
	return slices.SortedFunc(maps.Keys(e.dirty), func(a, b string) int {
		if c := rank[a] - rank[b]; c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
}

// parts are the claims that have a host with their settings, and, if read is set, their services.
func (e *engine) parts(s *hostState, read bool) []part {
	var parts []part
	for _, c := range s.claims() {
		set := e.rules.of(c.ref.ref)
		if set == nil {
			continue
		}
		p := part{ref: c.ref.ref, set: set, claim: c}
		if read {
			var ok bool
			if p.svc, ok = e.batch[p.ref]; !ok {
				p.svc = e.read(p.ref)
			}
		}
		parts = append(parts, p)
	}
	slices.SortFunc(parts, compareParts)
	return parts
}

// pin is the address that an override pins for a host, not for its aliases.
func (e *engine) pin(parts []part) netip.Addr {
	for _, p := range parts {
		if !p.claim.alias && p.set.address.IsValid() {
			return p.set.address
		}
	}
	return netip.Addr{}
}

// convert makes the resources of one host anew.
func (e *engine) convert(host string, now time.Time) {
	s := e.hosts.all[host]
	if s == nil {
		return
	}
	e.expire(s, now)
	parts := e.parts(s, true)
	if len(parts) == 0 {
		e.drop(s, now)
		return
	}
	s.gone = time.Time{}
	docs := e.documents.at(host)
	d := e.rules.draft(host, parts, docs, s.memory, s.passage, e.moment(now))
	e.judge(d, docs)
	s.passage = d.next
	e.lookups(s, d.merged.lookups)
	var resources []*store.Resource
	if len(d.ports) == 0 {
		d.memory = memory{}
		e.vips.release(host, s.addrs)
		s.addrs = nil
	} else {
		s.addrs = e.give(s, d)
		if len(s.addrs) > 0 {
			resources = d.resources(s.addrs, e.event)
		}
	}
	s.memory, s.points = d.memory, d.next.points
	for _, p := range parts {
		if len(p.claim.path) > 1 {
			d.merged.rejected.add(e.clash(p))
		}
	}
	e.tally(&s.rejected, &d.merged.rejected)
	e.show(s, d)
	s.documents = d.describe()
	e.own(s, d)
	e.serve(s, resources, d.made, now)
	for _, p := range parts {
		if !p.claim.since.IsZero() {
			d.until(p.claim.since.Add(e.rules.config.RetainEmpty))
		}
	}
	e.wait(s, d.due)
	e.record(s, e.vips.moved[host])
}

// moment is what drafts are made in.
func (e *engine) moment(now time.Time) moment {
	return moment{now: now, opened: e.opened, generation: e.generation + 1, lookup: e.lookup, clients: e.clients, routes: e.routes, taken: e.owners.taken}
}

// applied notes the state that the last change has made.
func (e *engine) applied(snap *store.Snapshot) { e.generation = snap.Generation }

// wait has a host converted anew at a time, if that is not zero.
func (e *engine) wait(s *hostState, at time.Time) {
	if !at.IsZero() && (s.due.IsZero() || at.Before(s.due)) {
		e.dues.add(at, s.name)
		s.due = at
	}
}

// expire forgets claims that were retained long enough.
func (e *engine) expire(s *hostState, now time.Time) {
	for _, c := range s.claims() {
		if c.since.IsZero() || c.since.Add(e.rules.config.RetainEmpty).After(now) {
			continue
		}
		e.hosts.remove(c)
		state := c.ref
		state.claims = slices.DeleteFunc(state.claims, func(o *claim) bool { return o == c })
		if len(state.claims) == 0 && e.read(state.ref) == nil {
			delete(e.refs, state.ref)
		}
	}
}

// clash tells that a service's name was sent aside.
func (e *engine) clash(p part) Rejection {
	owner := "another name"
	if s := e.hosts.all[p.claim.path[0]]; s != nil && s.owner() != nil {
		owner = s.owner().name.identity
	}
	return Rejection{Source: p.ref.Source, Service: p.ref.Key.Name, Host: p.claim.host(), Class: ClassClash,
		Reason: fmt.Sprintf("host %s is that of %s, so %s has %s", p.claim.path[0], owner, p.claim.name.identity, p.claim.host())}
}

// give finds the host's addresses and tells what is not as wished.
func (e *engine) give(s *hostState, d *draft) []netip.Addr {
	g := e.vips.give(s.name, s.addrs, e.pin(d.parts))
	if g.clash != "" {
		d.reject(ClassVIP, fmt.Sprintf("its address by hash is taken by %s, so it has %s; overrides[].address pins one", g.clash, joinAddrs(g.addrs)))
	}
	if g.refused.IsValid() {
		d.reject(ClassVIP, fmt.Sprintf("address %s is pinned by another host too, so it has %s", g.refused, joinAddrs(g.addrs)))
	}
	if g.full {
		d.reject(ClassVIP, "mesh.vips has no free address left in the host's part; name a larger range")
	}
	return g.addrs
}

func joinAddrs(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, " and ")
}
