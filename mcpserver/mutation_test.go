package mcpserver

import (
	"cmp"
	"fmt"
	"slices"

	"meshbridge/mcpserver/store"
)

// subsets are those that a host of the simulation may have.
var subsets = []string{"v1", "v2", "v3", "v4"}

// mutate changes one host in a way that the phase allows.
func (w *world) mutate(h *host) {
	if w.phases {
		if w.taking {
			w.take(h)
		} else {
			w.give(h)
		}
		return
	}
	switch w.rand.IntN(5) {
	case 0, 1:
		w.give(h)
	case 2, 3:
		w.take(h)
	default:
		w.replace(h)
	}
}

// give changes a host without taking anything that may be needed.
func (w *world) give(h *host) {
	switch w.rand.IntN(6) {
	case 0:
		w.touch(h, se)
	case 1: // a subset
		w.add(h, w.any(subsets))
	case 2: // a subset and a route to it
		part := w.any(subsets)
		w.add(h, part)
		w.route(h, append(w.ofHost(h), w.need(h, part)...))
	case 3: // other routes
		w.reroute(h)
	case 4:
		if h.value[dr] > 0 {
			w.touch(h, dr)
		}
	case 5: // a route to another host, too
		o := w.hosts[w.rand.IntN(len(w.hosts))]
		if routes := w.routable(o); h.value[vs] > 0 && o.revision == "" && len(routes) > 0 {
			w.route(h, append(slices.Clone(h.needs), w.need(o, w.any(routes))...))
		}
	}
}

// take changes a host without giving anything that may be needed.
func (w *world) take(h *host) {
	switch w.rand.IntN(7) {
	case 0:
		w.touch(h, se)
	case 1, 2: // a subset, from one of the two or both, and all routes to it
		part := w.any(subsets)
		kinds := [][]store.Kind{{se}, {dr}, {se, dr}}[w.rand.IntN(3)]
		w.leave(func(n store.Need) bool {
			return n.Key.Name == "ns/"+h.name && n.Part == part && slices.Contains(kinds, n.Key.Kind)
		})
		for _, kind := range kinds {
			w.drop(h, kind, part)
		}
	case 3: // other routes
		w.reroute(h)
	case 4: // the route
		w.remove(h, vs)
	case 5: // the rule
		w.leave(func(n store.Need) bool { return n.Key == key(dr, h.name) })
		w.remove(h, dr)
	case 6: // all of it
		w.leave(func(n store.Need) bool { return n.Key.Name == "ns/"+h.name })
		for _, kind := range store.Kinds() {
			w.remove(h, kind)
		}
	}
}

// replace changes a host as no converter should, so that what waits may wait for each other.
func (w *world) replace(h *host) {
	from, to := w.any(subsets), w.any(subsets)
	if w.rand.IntN(4) > 0 {
		w.leave(func(n store.Need) bool { return n.Key.Name == "ns/"+h.name && n.Part == from })
		w.add(h, to)
		w.route(h, append(w.ofHost(h), w.need(h, to)...))
		if from != to {
			w.drop(h, se, from)
			w.drop(h, dr, from)
		}
		return
	}
	// Another revision, with all that is in it.
	w.leave(func(n store.Need) bool { return n.Key.Name == "ns/"+h.name })
	w.remove(h, vs)
	h.revision = []string{"", "canary", "stable"}[w.rand.IntN(3)]
	for _, kind := range store.Kinds() {
		h.present[kind] = 0 // for some it goes, for some it comes
		if h.value[kind] > 0 {
			w.touch(h, kind)
		}
	}
}

func (w *world) any(of []string) string { return of[w.rand.IntN(len(of))] }

func (w *world) touch(h *host, kind store.Kind) {
	w.value++
	h.value[kind], h.changed[kind] = w.value, w.now
}

func (w *world) add(h *host, part string) {
	for _, kind := range []store.Kind{se, dr} {
		h.parts[kind] = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(h.parts[kind]), part))))
		w.touch(h, kind)
	}
}

func (w *world) drop(h *host, kind store.Kind, part string) {
	if i := slices.Index(h.parts[kind], part); i >= 0 {
		h.parts[kind] = slices.Delete(slices.Clone(h.parts[kind]), i, i+1)
		w.touch(h, kind)
	}
}

func (w *world) remove(h *host, kind store.Kind) {
	h.value[kind], h.parts[kind] = 0, nil
	if kind == vs {
		h.needs = nil
	}
}

// routable are the parts of a host to which a route may lead.
func (w *world) routable(h *host) []string {
	return slices.DeleteFunc(slices.Clone(h.parts[dr]), func(p string) bool { return !slices.Contains(h.parts[se], p) })
}

// need is what a route to a part needs: its subset and, mostly, an endpoint; or just the rule.
func (w *world) need(h *host, part string) []store.Need {
	needs := []store.Need{{Key: key(dr, h.name), Part: part}, {Key: key(se, h.name), Part: part}}
	switch w.rand.IntN(6) {
	case 0:
		return needs[:1]
	case 1:
		return []store.Need{{Key: key(dr, h.name)}}
	}
	return needs
}

// ofHost is a random part of what a host's own route needs.
func (w *world) ofHost(h *host) []store.Need {
	return slices.DeleteFunc(slices.Clone(h.needs), func(store.Need) bool { return w.rand.IntN(2) == 0 })
}

// reroute lets a host's route lead to random parts that are there.
func (w *world) reroute(h *host) {
	var needs []store.Need
	for _, p := range w.routable(h) {
		if w.rand.IntN(2) == 0 {
			needs = append(needs, w.need(h, p)...)
		}
	}
	if len(needs) > 0 {
		w.route(h, needs)
	}
}

func (w *world) route(h *host, needs []store.Need) {
	slices.SortFunc(needs, compareNeeds)
	h.needs = slices.Compact(needs)
	w.touch(h, vs)
}

// leave takes needs from all routes; a route without any goes.
func (w *world) leave(of func(store.Need) bool) {
	for _, h := range w.hosts {
		if !slices.ContainsFunc(h.needs, of) {
			continue
		}
		if needs := slices.DeleteFunc(slices.Clone(h.needs), of); len(needs) > 0 {
			w.route(h, needs)
		} else {
			w.remove(h, vs)
		}
	}
}

func compareNeeds(a, b store.Need) int {
	text := func(n store.Need) string { return fmt.Sprint(n) }
	return cmp.Compare(text(a), text(b))
}
