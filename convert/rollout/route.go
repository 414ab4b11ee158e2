package rollout

import (
	"slices"
	"time"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

// Route is a VirtualService that is served.
type Route struct {
	Resource *store.Resource
	Docs     []string // names of the documents that it is made of
	Uses     []canary.Use
	Requests []canary.Requests
	Copy     bool // of a delegate, under a key that it had in a former namespace

	Unwanted bool      // its host no longer asks for it
	Heirs    []Heir    // those that take its requests over, while it waits for their arrival; none: it is wanted itself
	since    time.Time // when it began to leave, or had other heirs
}

// Heir is a VirtualService that takes over requests of another one.
type Heir struct {
	ID
	Generation uint64 // the first state of the store that has it
}

// Leaves reports whether the route is served only until others have taken over.
func (r *Route) Leaves() bool { return len(r.Heirs) > 0 }

// ID tells routes apart. A delegate that moves to another host keeps its key.
type ID struct {
	Key  store.Key
	Host string
}

// ID is that of the route.
func (r *Route) ID() ID { return ID{Key: r.Resource.Key, Host: r.Resource.Host} }

// Routes are the VirtualServices of all hosts, and which of them take which requests.
type Routes struct {
	byID       map[ID]*Route
	byKey      map[store.Key]map[*Route]bool
	byRequests map[canary.Requests]map[*Route]bool // without the prefix
}

// NewRoutes makes the empty set.
func NewRoutes() *Routes {
	return &Routes{byID: map[ID]*Route{}, byKey: map[store.Key]map[*Route]bool{}, byRequests: map[canary.Requests]map[*Route]bool{}}
}

// Of is a route, or nil.
func (rs *Routes) Of(id ID) *Route { return rs.byID[id] }

// Put adds a route, in place of one of its ID.
func (rs *Routes) Put(r *Route) {
	rs.Remove(r.ID())
	rs.byID[r.ID()] = r
	if rs.byKey[r.Resource.Key] == nil {
		rs.byKey[r.Resource.Key] = map[*Route]bool{}
	}
	rs.byKey[r.Resource.Key][r] = true
	for _, c := range r.Requests {
		c.Prefix = ""
		if rs.byRequests[c] == nil {
			rs.byRequests[c] = map[*Route]bool{}
		}
		rs.byRequests[c][r] = true
	}
}

// Remove takes a route away, if it is there.
func (rs *Routes) Remove(id ID) {
	r := rs.byID[id]
	if r == nil {
		return
	}
	delete(rs.byID, id)
	if delete(rs.byKey[id.Key], r); len(rs.byKey[id.Key]) == 0 {
		delete(rs.byKey, id.Key)
	}
	for _, c := range r.Requests {
		c.Prefix = ""
		if delete(rs.byRequests[c], r); len(rs.byRequests[c]) == 0 {
			delete(rs.byRequests, c)
		}
	}
}

// Namesakes are the wanted routes of a key that live with other hosts.
func (rs *Routes) Namesakes(id ID) []*Route {
	var all []*Route
	for r := range rs.byKey[id.Key] {
		if r.Resource.Host != id.Host && !r.Unwanted {
			all = append(all, r)
		}
	}
	return all
}

// Leave has a route that is no longer wanted stay until others have its requests, and reports whether there are such others:
// without, it is to be removed. generation is that of the next state of the store.
func (rs *Routes) Leave(r *Route, generation uint64, now time.Time) bool {
	before := r.Heirs
	r.Heirs = nil
	for _, claim := range r.Requests {
		whole := claim
		whole.Prefix = ""
		for o := range rs.byRequests[whole] {
			if o == r || o.Unwanted || !slices.ContainsFunc(o.Requests, claim.Overlap) {
				continue
			}
			heir := Heir{ID: o.ID(), Generation: generation}
			if i := slices.IndexFunc(before, func(h Heir) bool { return h.ID == heir.ID }); i >= 0 {
				heir = before[i]
			}
			if !slices.Contains(r.Heirs, heir) {
				r.Heirs = append(r.Heirs, heir)
			}
		}
	}
	if slices.ContainsFunc(r.Heirs, func(h Heir) bool { return !slices.Contains(before, h) }) {
		r.since = now
	}
	return r.Leaves()
}

// Successor is the host of an heir that has the route's own key, or "".
func (r *Route) Successor() string {
	for _, h := range r.Heirs {
		if h.Key == r.Resource.Key {
			return h.Host
		}
	}
	return ""
}

// Arrived reports whether every client has had all heirs of a leaving route for settle. Where some istiod follows an heir by
// another replica alone, that is so after a stated time.
func (r *Route) Arrived(clients Clients, now time.Time, settle time.Duration) bool {
	if now.Sub(r.since) < settle {
		return false
	}
	for _, h := range r.Heirs {
		if !clients.Reached(h.Host, h.Generation, now.Add(-settle)) {
			return false
		}
		if now.Sub(r.since) < Elsewhere(settle) && clients.Elsewhere(h.Host) {
			return false
		}
	}
	return true
}
