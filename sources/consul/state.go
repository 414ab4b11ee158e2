package consul

import (
	"maps"
	"slices"

	"github.com/hashicorp/consul/api"
)

// node is a node as lists have it.
type node struct {
	Node            string
	Address         string
	Datacenter      string
	TaggedAddresses map[string]string
	Meta            map[string]string
	PeerName        string
	Locality        *api.Locality
}

func (n *node) same(other *node) bool {
	return n.Address == other.Address && maps.Equal(n.TaggedAddresses, other.TaggedAddresses) && maps.Equal(n.Meta, other.Meta) &&
		sameLocality(n.Locality, other.Locality)
}

func sameLocality(a, b *api.Locality) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// check is a check as the list of all has it, without the text that changes at every run.
type check struct {
	Node        string
	CheckID     string
	Status      string
	ServiceID   string
	ServiceName string // "" of a check of the node itself
	PeerName    string
}

// offered is a service on a node as it was last seen: enough to tell that it changed.
type offered struct {
	name  string
	index uint64 // of its last change
}

// state is what a session has last seen of a datacenter, where it does not watch single services. It belongs to the
// session's goroutine.
type state struct {
	nodes    map[string]*node
	services map[string]map[string]offered // by node and service ID
	checks   map[checkKey]check
}

type checkKey struct{ node, id string }

func newState() *state {
	return &state{nodes: map[string]*node{}, services: map[string]map[string]offered{}, checks: map[checkKey]check{}}
}

// names is a set of services to look at.
type names map[string]bool

func (n names) sorted() []string { return slices.Sorted(maps.Keys(n)) }

// on adds the services on a node.
func (st *state) on(node string, affected names) {
	for _, s := range st.services[node] {
		affected[s.name] = true
	}
}

// setNodes takes a new list of nodes. It reports whether there are nodes that it had not.
func (st *state) setNodes(list []node, affected names) (more bool) {
	next := make(map[string]*node, len(list))
	for i := range list {
		n := &list[i]
		if n.PeerName != "" {
			continue
		}
		next[n.Node] = n
		if old := st.nodes[n.Node]; old == nil {
			more = true
		} else if !n.same(old) {
			st.on(n.Node, affected)
		}
	}
	for name := range st.nodes {
		if next[name] == nil {
			st.on(name, affected)
			delete(st.services, name)
		}
	}
	st.nodes = next
	return more
}

// setServices takes a new list of the services on a node.
func (st *state) setServices(node string, list []*api.AgentService, affected names) {
	old, next := st.services[node], make(map[string]offered, len(list))
	for _, s := range list {
		now := offered{name: s.Service, index: s.ModifyIndex}
		next[s.ID] = now
		if was, had := old[s.ID]; had && was != now {
			affected[was.name], affected[now.name] = true, true
		} else if !had {
			affected[now.name] = true
		}
	}
	for id, was := range old {
		if _, has := next[id]; !has {
			affected[was.name] = true
		}
	}
	st.services[node] = next
}

// setChecks takes a new list of all checks. Only a status counts, and a check that is there or not.
func (st *state) setChecks(list []check, affected names) {
	next := make(map[checkKey]check, len(list))
	for _, c := range list {
		if c.PeerName != "" {
			continue
		}
		key := checkKey{c.Node, c.CheckID}
		next[key] = c
		if was, had := st.checks[key]; !had || was != c {
			st.concerns(c, affected)
			st.concerns(was, affected)
		}
	}
	for key, was := range st.checks {
		if _, has := next[key]; !has {
			st.concerns(was, affected)
		}
	}
	st.checks = next
}

func (st *state) concerns(c check, affected names) {
	if c.ServiceName != "" {
		affected[c.ServiceName] = true
	} else {
		st.on(c.Node, affected)
	}
}
