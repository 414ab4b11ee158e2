package rollout

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"meshbridge/convert/canary"
)

// Discover says which values of labels make subsets of their own.
type Discover int

// The ways to discover subsets.
const (
	Never    Discover = iota
	Multiple          // where there are two values or more at once
	Always
)

// Rules are what the holding of subsets has in common for all hosts.
type Rules struct {
	Settle time.Duration
	Retain time.Duration // how long a subset stays that has lost its last endpoint or route
	Labels []string      // whose values make subsets
	Max    int           // subsets of a host; those that routes name are there in any case

	Label func(text string) string                       // makes a DNS label of any text
	Aside func(label, identity string, depth int) string // tells a label from others, with more digits at each depth
}

// Holding decides which subsets a host has: those that routes name or named lately, the values that endpoints have, and those
// that were subsets and are retained. What a document names has the name that it says, unless a route may still mean another
// subset by it.
type Holding struct {
	Rules
	Now       time.Time
	Discover  Discover
	Before    []Subset
	Endpoints []map[string]string // the labels of each, its own
	Wanted    []canary.Subset     // by the plan
	Needed    map[string]bool     // names that VirtualServices name which the plan no longer asks for
	Left      func() bool         // every client has left what routes do not name any more

	// What came of it.
	Subsets []Subset // by place of their label and value
	Names   []string // of Wanted
	Due     time.Time
	Crowded []Subset // for which there was no room
	Most    int      // the room
}

// Hold decides.
func (h *Holding) Hold() {
	held := h.routed()
	if h.Discover != Never {
		for _, label := range h.Labels {
			for _, s := range h.discovered(label) {
				s.Name, s.Routed = "", false
				if !slices.ContainsFunc(held, func(o Subset) bool { return o.Name == h.Label(s.wish()) && o.ID() == s.ID() }) {
					held = append(held, s)
				}
			}
		}
	}
	h.Subsets = h.named(h.limit(held))
}

// until notes that time alone changes the subsets then.
func (h *Holding) until(at time.Time) {
	if h.Due.IsZero() || at.Before(h.Due) {
		h.Due = at
	}
}

// routed are the subsets that routes name, and those that routes have left but not every client.
func (h *Holding) routed() []Subset {
	var held []Subset
	taken := map[string]string{}
	for _, s := range h.Before {
		if s.Routed {
			taken[s.Name] = s.ID()
		}
	}
	names := h.names()
	for i, wanted := range h.Wanted {
		s := Subset{Name: names[i], Labels: wanted.Labels, Failover: wanted.Failover, Stamp: wanted.Stamp, Routed: true}
		for depth := 1; taken[s.Name] != "" && taken[s.Name] != s.ID(); depth++ {
			s.Name = h.Aside(names[i], s.ID(), depth)
		}
		taken[s.Name] = s.ID()
		held, h.Names = append(held, s), append(h.Names, s.Name)
	}
	for _, s := range h.Before {
		if s.Routed && !slices.ContainsFunc(held, s.same) && h.kept(&s) {
			held = append(held, s)
		}
	}
	for i, name := range names {
		if h.Names[i] != name && !slices.ContainsFunc(held, func(s Subset) bool { return s.Name == name }) {
			h.until(h.Now.Add(h.Settle)) // its name has just come free; from then on it may have it
		}
	}
	return held
}

// names are those that the wanted subsets have once nobody means other subsets by them: the first that wishes for a name has it,
// the others get digits.
func (h *Holding) names() []string {
	var names []string
	for _, wanted := range h.Wanted {
		name := h.Label(wanted.Name)
		for depth := 1; slices.Contains(names, name); depth++ {
			name = h.Aside(h.Label(wanted.Name), wanted.ID(), depth)
		}
		names = append(names, name)
	}
	return names
}

// kept reports whether a subset stays that the plan no longer asks for.
func (h *Holding) kept(s *Subset) bool {
	if h.Needed[s.Name] {
		s.Since = time.Time{}
		return true
	}
	left := !s.Since.IsZero() // by a former state of the store, and not by the one that is being made
	if !left {
		s.Since = h.Now
	}
	gone := s.Since.Add(max(h.Retain, Keep(h.Settle)))
	switch {
	case gone.After(h.Now):
		h.until(gone)
	case left && h.Left():
		return false
	default:
		h.until(h.Now.Add(max(h.Settle, time.Second)))
	}
	return true
}

// retained reports whether a discovered subset that lost its last endpoint stays, and notes since when it has.
func (h *Holding) retained(s *Subset) bool {
	if s.Since.IsZero() {
		s.Since = h.Now
	}
	return s.Since.Add(h.Retain).After(h.Now)
}

func (h *Holding) discovered(label string) []Subset {
	values := map[string]bool{}
	for _, labels := range h.Endpoints {
		if v := labels[label]; v != "" {
			values[v] = true
		}
	}
	var held []Subset
	for v := range values {
		held = append(held, Subset{Labels: map[string]string{label: strings.Clone(v)}})
	}
	known := 0
	for _, s := range h.Before {
		l, v := s.Discovered()
		if l != label || s.Routed {
			continue
		}
		known++
		if !values[v] && h.retained(&s) && !slices.ContainsFunc(held, func(o Subset) bool { return o.ID() == s.ID() }) {
			held = append(held, s) // once, under however many names it was held
		}
	}
	if h.Discover == Multiple && (len(held) < 2 || len(values) < 2 && known == 0) {
		return nil
	}
	return held
}

// limit leaves at most Max subsets in all, and every routed one. Discovered ones take the room that is left: known ones that have
// endpoints first, then new ones, then emptied ones, those that were emptied last before the others.
func (h *Holding) limit(held []Subset) []Subset {
	class := func(s Subset) int {
		switch {
		case s.Routed:
			return 0
		case !s.Since.IsZero():
			return 3
		case slices.ContainsFunc(h.Before, func(o Subset) bool { return o.ID() == s.ID() }):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(held, func(a, b Subset) int {
		return cmp.Or(cmp.Compare(class(a), class(b)), b.Since.Compare(a.Since), h.compare(a, b))
	})
	routed := 0
	for routed < len(held) && held[routed].Routed {
		routed++
	}
	h.Most = max(routed, h.Max)
	for _, s := range held[min(h.Most, len(held)):] {
		if s.Since.IsZero() {
			h.Crowded = append(h.Crowded, s)
		}
	}
	held = held[:min(h.Most, len(held))]
	for _, s := range held {
		if !s.Routed && !s.Since.IsZero() {
			h.until(s.Since.Add(h.Retain))
		}
	}
	slices.SortStableFunc(held, h.compare)
	return held
}

// compare orders by the label's place among Labels, then by value.
func (h *Holding) compare(a, b Subset) int {
	place := func(s Subset) (int, string) {
		label, value := s.Discovered()
		if i := slices.Index(h.Labels, label); i >= 0 {
			return i, value
		}
		return len(h.Labels), s.ID()
	}
	i, v := place(a)
	j, w := place(b)
	return cmp.Or(cmp.Compare(i, j), strings.Compare(v, w))
}

// named gives every discovered subset a name of its own. Where two wish for one, the one that needs no change gets it, then the
// smaller value in byte order, then the earlier label; the others get digits of their hash, more on each further clash.
func (h *Holding) named(held []Subset) []Subset {
	taken := map[string]bool{}
	var fresh []int
	for i := range held {
		if held[i].Name == "" {
			fresh = append(fresh, i)
		}
		taken[held[i].Name] = true
	}
	changed := func(i int) int {
		if w := held[i].wish(); h.Label(w) != w {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(fresh, func(a, b int) int {
		return cmp.Or(cmp.Compare(changed(a), changed(b)), strings.Compare(held[a].wish(), held[b].wish()))
	})
	for _, i := range fresh {
		label := h.Label(held[i].wish())
		n := label
		for depth := 1; taken[n]; depth++ {
			n = h.Aside(label, held[i].ID(), depth)
		}
		held[i].Name, taken[n] = n, true
	}
	return held
}
