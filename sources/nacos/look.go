package nacos

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"meshbridge/sources"
)

// look is what is known of a scope over one connection.
type look struct {
	listed    bool // a complete list was seen
	unsettled int  // units not yet read
	passed    bool // all units of the first list were read, or found unreadable
	err       error
	fails     int // lists in a row that could not be read
	empty     bool
	total     int
	broken    map[*unit]error // units that could not be read
}

// begin forgets what was known over another connection.
func (s *scope) begin() {
	s.look = look{total: -1, broken: map[*unit]error{}}
	s.mapping.known, s.mapping.asked = false, false
	for _, u := range s.units {
		u.due, u.settled, u.misses = due{}, false, 0
	}
}

// complete reports whether the first report lacks nothing that is still to come.
func (s *scope) complete() bool {
	for key := range s.dirty {
		if slices.ContainsFunc(s.owners[key], func(u *unit) bool { return u.wanted && s.look.broken[u] == nil }) {
			return false
		}
	}
	return !s.mapping.needed || s.mapping.known
}

// unreadable is why a scope as a whole is unknown.
func (s *scope) unreadable() error {
	if s.look.err != nil || len(s.look.broken) == 0 || len(s.look.broken) < len(s.units) {
		return s.look.err
	}
	first := slices.MinFunc(slices.Collect(maps.Keys(s.look.broken)), func(a, b *unit) int { return compareIDs(a.id, b.id) })
	return fmt.Errorf("namespace %s: no service can be read: %s: %w", s.name, first.id, s.look.broken[first])
}

// faults lists what of a scope cannot be read while the rest is followed.
func (s *scope) faults(blind error) []sources.Fault {
	var out []sources.Fault
	if blind != nil {
		out = append(out, sources.Fault{Where: "namespaces", Reason: blind.Error() + "; those known are followed, new ones are not seen"})
	}
	for u, err := range s.look.broken {
		out = append(out, sources.Fault{Where: u.id.String(), Reason: err.Error() + "; what was read last stands"})
	}
	if s.mapping.fault != nil {
		out = append(out, sources.Fault{
			Where:  "configurations of group " + mappingGroup,
			Reason: s.mapping.fault.Error() + "; interfaces of applications that no interface lists stay as they are",
		})
	}
	return out
}

// takeMapping takes which applications offer an interface.
func (s *scope) takeMapping(apps map[string][]string, err error) {
	s.mapping.known, s.mapping.fault = true, err
	if err != nil {
		return
	}
	for _, name := range s.mapping.set(apps) {
		s.dirty[s.plain(name)] = true
	}
}

func compareIDs(a, b serviceID) int { return strings.Compare(a.String(), b.String()) }
