package mcpserver

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/mcpserver/store"
)

// The world does what a converter must: what a route names is put before the route or together with it, and the route waits
// for the generation in which the last of it came; it goes when for a time no route has named it and every client that was
// connected had, settle before, acknowledged a state in which none did. So it is with an entry's rule.

// service is a ServiceEntry with endpoints of some subsets, and its DestinationRule with these subsets. Two services may have
// one host, in different namespaces.
type service struct {
	name, host, revision string
	value                map[store.Kind]int // 0: there is none
	rule                 *part              // which the entry refers to
	subsets              map[string]*part
}

// part is something that another resource may name.
type part struct {
	since  map[*process]store.Gate
	left   map[*process]map[string]uint64 // by host: the generation in which a resource that lives there named it no longer
	leftAt time.Time                      // when a client that was connected had not reached that, last
	named  map[string]bool                // the hosts of the resources that name it
	hosts  map[string]bool                // all that ever did
}

func newPart() *part {
	return &part{since: map[*process]store.Gate{}, left: map[*process]map[string]uint64{}, named: map[string]bool{}, hosts: map[string]bool{}}
}

// ref is the name of a part: a subset of a service, or its rule as a whole.
type ref struct{ service, subset string }

// route is a VirtualService.
type route struct {
	host, revision string
	value          int // 0: there is none
	names          []ref
}

func (r *route) key() store.Key {
	return store.Key{Kind: store.VirtualService, Name: "routes/" + r.host}
}

func (s *service) key(kind store.Kind) store.Key { return store.Key{Kind: kind, Name: s.name} }

// mutate changes one thing.
func (w *world) mutate() {
	r := w.routes[w.any(5)]
	switch w.any(8) {
	case 0, 1, 2, 3: // another route
		r.revision = []string{"", "", "canary"}[w.any(3)]
		names := slices.DeleteFunc(slices.Clone(r.names), func(n ref) bool { return w.any(2) == 0 || !r.sees(w.services[n.service]) })
		r.names = names
		for range 1 + w.any(2) {
			w.lead(r, w.anyService(), w.anySubset())
		}
	case 4: // none
		r.value, r.names = 0, nil
	case 5: // a subset that nothing names yet
		w.add(w.anyService(), w.anySubset(), "")
	default: // other endpoints, and the like
		if s := w.services[w.anyService()]; s != nil {
			w.touch(s, []store.Kind{store.ServiceEntry, store.DestinationRule}[w.any(2)])
		}
	}
}

func (w *world) anyService() string { return fmt.Sprintf("n%d/h%d.mesh", w.any(2), w.any(5)) }
func (w *world) anySubset() string  { return fmt.Sprintf("v%d", w.any(3)) }

// sees reports whether all who see the route see a service.
func (r *route) sees(s *service) bool { return s.revision == "" || s.revision == r.revision }

// lead lets a route name a subset, too, which comes if it is not there.
func (w *world) lead(r *route, name, subset string) {
	revision := r.revision
	if w.any(2) == 0 {
		revision = ""
	}
	if s := w.services[name]; s != nil && !r.sees(s) {
		return
	}
	w.add(name, subset, revision)
	w.route(r, append(slices.Clone(r.names), ref{name, subset}))
}

func (w *world) route(r *route, names []ref) {
	w.value++
	slices.SortFunc(names, func(a, b ref) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	r.names, r.value = slices.Compact(names), w.value
}

// add gives a service a subset, and makes it, of a revision, if it is not there.
func (w *world) add(name, subset, revision string) {
	s := w.services[name]
	if s == nil {
		_, host, _ := strings.Cut(name, "/")
		s = &service{name: name, host: host, revision: revision, value: map[store.Kind]int{}, rule: newPart(), subsets: map[string]*part{}}
		w.services[name] = s
		w.value++
		s.value[store.DestinationRule] = w.value
	}
	if s.subsets[subset] == nil {
		s.subsets[subset] = newPart()
		w.touch(s, store.DestinationRule)
	}
	w.value++
	s.value[store.ServiceEntry] = w.value
}

// touch changes what is there.
func (w *world) touch(s *service, kind store.Kind) {
	if s.value[kind] > 0 {
		w.value++
		s.value[kind] = w.value
	}
}

// parts are those that are in the stores, by name.
func (w *world) parts() map[ref]*part {
	out := map[ref]*part{}
	for name, s := range w.services {
		out[ref{name, ""}] = s.rule
		for subset, p := range s.subsets {
			out[ref{name, subset}] = p
		}
	}
	return out
}

// apply puts what there is now into all stores.
func (w *world) apply(open bool) {
	w.moment++
	left := map[*part][]string{}
	parts := w.parts()
	for n, p := range parts {
		now := w.namedBy(n)
		for host := range p.named {
			if !now[host] {
				left[p] = append(left[p], host)
				p.leftAt = w.now
			}
		}
		p.named = now
		maps.Copy(p.hosts, now)
	}
	for _, proc := range w.processes {
		generation := w.fill(proc, open)
		for p, hosts := range left {
			if p.left[proc] == nil {
				p.left[proc] = map[string]uint64{}
			}
			for _, host := range hosts {
				p.left[proc][host] = generation
			}
		}
	}
	for _, p := range parts {
		if p.leftAt.IsZero() {
			p.leftAt = w.now
		}
	}
}

// namedBy are the hosts of the resources that name a part.
func (w *world) namedBy(n ref) map[string]bool {
	out := map[string]bool{}
	if s := w.services[n.service]; n.subset == "" && s.value[store.ServiceEntry] > 0 {
		out[s.host] = true
	}
	for _, r := range w.routes {
		if slices.Contains(r.names, n) {
			out[r.host] = true
		}
	}
	return out
}

// fill applies all to one store, and returns the generation.
func (w *world) fill(proc *process, open bool) uint64 {
	next := store.Gate{Generation: current(proc.store).Generation + 1, Since: w.now}
	for _, p := range w.parts() {
		if p.since[proc].Generation == 0 {
			p.since[proc] = next
		}
	}
	c := store.Change{Open: open}
	put := map[store.Key]bool{}
	for _, s := range w.services {
		for kind, value := range s.value {
			if value > 0 {
				c.Put = append(c.Put, w.resource(s, kind, proc))
			}
		}
	}
	for _, r := range w.routes {
		if r.value > 0 {
			c.Put = append(c.Put, w.virtualService(r, proc))
		}
	}
	for _, r := range c.Put {
		put[r.Key] = true
	}
	for _, kind := range store.Kinds() {
		for r := range current(proc.store).All(kind, store.Shard{}) {
			if !put[r.Key] {
				c.Remove = append(c.Remove, store.Removal{Key: r.Key, Host: r.Host})
				w.gone[r.Key] = w.moment
			}
		}
	}
	for _, r := range c.Put {
		if old := current(proc.store).Lookup(r.Key, r.Host); old != nil && old.Revision() != r.Revision() {
			w.gone[r.Key] = w.moment
		}
	}
	snap := proc.store.Apply(c)
	proc.moments[snap.Generation] = w.moment
	return snap.Generation
}

func (w *world) resource(s *service, kind store.Kind, proc *process) *store.Resource {
	meta := store.Meta{Key: s.key(kind), Host: s.host, Created: created}
	if s.revision != "" {
		revision(s.revision)(&meta)
	}
	if kind == store.ServiceEntry {
		meta.Gate = s.rule.since[proc]
	}
	return makeResource(w.t, meta, simSpec(kind, s.host, s.value[kind], slices.Sorted(maps.Keys(s.subsets))))
}

func (w *world) virtualService(r *route, proc *process) *store.Resource {
	meta := store.Meta{Key: r.key(), Host: r.host, Created: created}
	if r.revision != "" {
		revision(r.revision)(&meta)
	}
	for _, n := range r.names {
		if gate := w.services[n.service].subsets[n.subset].since[proc]; gate.Generation > meta.Gate.Generation {
			meta.Gate = gate
		}
	}
	return makeResource(w.t, meta, simRoute(r.host, r.value, r.names))
}

// clean takes away what nothing needs any more: subsets, then entries without any, then their rules.
func (w *world) clean() {
	changed := false
	for name, s := range w.services {
		for subset, p := range s.subsets {
			if w.over(p) {
				delete(s.subsets, subset)
				w.touch(s, store.ServiceEntry)
				w.touch(s, store.DestinationRule)
				changed = true
			}
		}
		if len(s.subsets) > 0 {
			continue
		}
		if s.value[store.ServiceEntry] > 0 {
			s.value[store.ServiceEntry], changed = 0, true
		} else if w.over(s.rule) {
			delete(w.services, name)
			changed = true
		}
	}
	if changed {
		w.apply(false)
	}
}

// over reports whether a part may go, and notes that a client still has something to do with it.
func (w *world) over(p *part) bool {
	if len(p.named) > 0 {
		return false
	}
	for _, c := range w.clients {
		for host, generation := range p.left[c.bridge] {
			if c.session != nil && !c.session.Reached(current(c.bridge.store), host, generation, w.now.Add(-propSettle)) {
				p.leftAt = w.now
				return false
			}
		}
	}
	return w.now.Sub(p.leftAt) >= w.keep
}
