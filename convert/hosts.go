package convert

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"meshbridge/convert/rollout"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// refState is what is remembered of a service of a source.
type refState struct {
	ref      sources.Ref
	claims   []*claim
	rejected rejections
}

// claim is a service's wish for a host.
type claim struct {
	ref   *refState
	name  name
	alias bool
	since time.Time // when the service ceased to have it; zero: it has it
	path  []string  // the hosts it was sent to: first the one it wants, last the one it has; empty: not yet settled
}

// host is where the claim ended up.
func (c *claim) host() string { return c.path[len(c.path)-1] }

// hostState is what is remembered of a host.
type hostState struct {
	name  string
	wants []*claim // that came by here, whether they stayed or not
	memory
	addrs     []netip.Addr
	served    []store.Key
	endpoints int
	ports     []servedPort
	subsets   []string
	sources   []string
	namespace string
	rejected  rejections
	lookups   []string // host names whose addresses it needs
	passage
	due time.Time // the soonest that it is among the dues; zero: it is not
}

// memory is what a host remembers of its past; it deviates from a pure function only while something is retained or capped.
type memory struct {
	Namespace string              `json:"namespace,omitempty"`
	Homes     []rollout.Home      `json:"homes,omitempty"`     // namespaces that it has left, in which it is still served
	Delegates map[string][]string `json:"delegates,omitempty"` // by name, the namespaces in which a delegate has been served
	Ports     []heldPort          `json:"ports,omitempty"`
	Split     bool                `json:"split,omitempty"`
	Subsets   []rollout.Subset    `json:"subsets,omitempty"`
	Capped    bool                `json:"capped,omitempty"` // there were more values than subsets.max, and these came first
	// Lanes are the primaries, by key, of active documents that name the host by a glob and found an endpoint of their primary here:
	// they stay when the last one goes.
	Lanes map[string]string `json:"lanes,omitempty"`
}

// heldPort is a port that is served; Since says when it lost its last endpoint, and Left when routes ceased to lead to it.
type heldPort struct {
	port
	Since time.Time `json:"since,omitzero"`
	Left  time.Time `json:"left,omitzero"`
}

// retains reports whether something is served that a bridge starting now would not find out, or that routes depend on.
func (m memory) retains() bool {
	return m.Capped || len(m.Homes) > 0 || len(m.Delegates) > 0 || len(m.Lanes) > 0 ||
		slices.ContainsFunc(m.Ports, func(p heldPort) bool { return !p.Since.IsZero() }) ||
		slices.ContainsFunc(m.Subsets, func(s rollout.Subset) bool { return s.Routed || !s.Since.IsZero() })
}

// claims are those that have the host.
func (s *hostState) claims() []*claim {
	var all []*claim
	for _, c := range s.wants {
		if len(c.path) > 0 && c.host() == s.name {
			all = append(all, c)
		}
	}
	return all
}

// hosts settles who has which host. Where names that differ become one host, one of them stays and the others are sent
// aside, to a host with digits of their hash. The outcome depends on the claims alone, not on their order.
type hosts struct {
	all     map[string]*hostState
	recall  func(*hostState) // fills a new host's memory
	touched func(string)     // told every host whose claims changed
	queue   []string         // hosts to be settled
	queued  map[string]bool  // the same, to have each once
}

func (h *hosts) at(host string) *hostState {
	s := h.all[host]
	if s == nil {
		s = &hostState{name: host}
		h.recall(s)
		h.all[host] = s
	}
	return s
}

// add makes a claim known; settle then finds its host.
func (h *hosts) add(c *claim) {
	c.path = nil
	h.send(c, c.name.host)
}

func (h *hosts) send(c *claim, host string) {
	c.path = append(c.path, host)
	s := h.at(host)
	s.wants = append(s.wants, c)
	h.unsettle(host)
}

// unsettle notes that the claims of a host changed.
func (h *hosts) unsettle(host string) {
	h.touched(host)
	if !h.queued[host] {
		h.queued[host] = true
		h.queue = append(h.queue, host)
	}
}

// remove forgets a claim.
func (h *hosts) remove(c *claim) {
	h.recallTo(c, 0)
}

// recallTo takes a claim back from the hosts that it was sent to after the first depth ones.
func (h *hosts) recallTo(c *claim, depth int) {
	for _, host := range c.path[depth:] {
		s := h.all[host]
		s.wants = slices.DeleteFunc(s.wants, func(o *claim) bool { return o == c })
		h.unsettle(host)
	}
	c.path = c.path[:depth]
}

// settle sends aside and calls back until every claim has a host. Hosts further down a path never decide about those
// before, so it ends.
func (h *hosts) settle() {
	for len(h.queue) > 0 {
		host := h.queue[0]
		h.queue = h.queue[1:]
		delete(h.queued, host)
		s := h.all[host]
		if s == nil {
			continue
		}
		owner := s.owner()
		for _, c := range slices.Clone(s.wants) {
			depth := slices.Index(c.path, host) + 1
			stays := c.name.explicit && depth == 1 || owner == nil || c.name.identity == owner.name.identity
			switch {
			case stays && len(c.path) > depth:
				h.recallTo(c, depth)
				h.touched(host)
			case !stays && len(c.path) == depth:
				h.touched(host)
				h.send(c, c.name.aside(depth))
			}
		}
	}
}

// owner is the claim whose name has the host: the one that was sent least, then one whose name needed no change, then byte
// order; nil if all asked for this very host.
func (s *hostState) owner() *claim {
	var best *claim
	for _, c := range s.wants {
		depth := slices.Index(c.path, s.name)
		if c.name.explicit && depth == 0 {
			continue
		}
		if best == nil || s.before(c, best) {
			best = c
		}
	}
	return best
}

func (s *hostState) before(a, b *claim) bool {
	exact := func(c *claim) int {
		if c.name.exact {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(slices.Index(a.path, s.name), slices.Index(b.path, s.name)),
		cmp.Compare(exact(a), exact(b)),
		strings.Compare(a.name.identity, b.name.identity),
	) < 0
}
