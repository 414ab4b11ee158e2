package eureka

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"meshbridge/sources"
)

// registry is what one server said: members by application, sorted by ID. It is immutable but for [registry.apply]; no
// application is without members.
type registry struct {
	apps   map[string][]member
	counts counts
}

// counts are the numbers of members by status.
type counts [statusCount]int

// hash tells registries apart as Eureka does: by how many members have which status, and by nothing else.
func (c counts) hash() string {
	var b strings.Builder
	for s, name := range statuses() {
		if c[s] > 0 {
			b.WriteString(name + "_" + strconv.Itoa(c[s]) + "_")
		}
	}
	return b.String()
}

// size is the number of members.
func (c counts) size() int {
	sum := 0
	for _, n := range c {
		sum += n
	}
	return sum
}

// builder collects a full answer.
type builder struct{ apps map[string][]member }

// add takes a member; an ID that comes again replaces what came before.
func (b *builder) add(app string, m member) { b.apps[app] = append(b.apps[app], m) }

func (b *builder) registry() *registry {
	r := &registry{apps: b.apps}
	for app, members := range b.apps {
		r.apps[app] = unique(members)
		for _, m := range r.apps[app] {
			r.counts[m.status]++
		}
	}
	return r
}

// unique sorts members by ID and keeps the last of each.
func unique(members []member) []member {
	slices.SortStableFunc(members, func(a, b member) int { return cmp.Compare(a.id, b.id) })
	kept := members[:0]
	for i, m := range members {
		if i+1 < len(members) && members[i+1].id == m.id {
			continue
		}
		kept = append(kept, m)
	}
	return slices.Clip(kept)
}

// entry is what a delta says of one instance.
type entry struct {
	app     string
	member  member
	deleted bool
}

// revised is what a delta makes of a registry: the applications that it touches, and the counts of all.
type revised struct {
	apps   map[string][]member // an application that is gone has no members
	counts counts
}

// revise works out what a delta makes of the registry, which stays as it is. A delta repeats what was changed in the last
// minutes, so most of it is known; an entry older than what is held is ignored.
func (r *registry) revise(delta []entry) revised {
	next := revised{apps: map[string][]member{}, counts: r.counts}
	deleted := map[[2]string]int64{} // when members were deleted that this delta may name again
	for _, c := range delta {
		members, touched := next.apps[c.app]
		if !touched {
			members = r.apps[c.app]
		}
		at, found := find(members, c.member.id)
		key := [2]string{c.app, c.member.id}
		switch {
		case found && c.member.updated < members[at].updated, !found && c.member.updated < deleted[key]:
			continue
		case c.deleted:
			deleted[key] = c.member.updated
			if !found {
				continue
			}
		case found && members[at] == c.member:
			continue
		}
		if !touched {
			members = slices.Clone(members)
		}
		if found {
			next.counts[members[at].status]--
		}
		switch {
		case c.deleted:
			members = slices.Delete(members, at, at+1)
		case found:
			members[at] = c.member
			next.counts[c.member.status]++
		default:
			members = slices.Insert(members, at, c.member)
			next.counts[c.member.status]++
		}
		next.apps[c.app] = members
	}
	return next
}

// apply makes the registry what a delta revised it to, and tells which applications are reported differently.
func (r *registry) apply(next revised) (changed []string) {
	for app, members := range next.apps {
		if !alike(r.apps[app], members) {
			changed = append(changed, app)
		}
		if len(members) == 0 {
			delete(r.apps, app)
		} else {
			r.apps[app] = members
		}
	}
	r.counts = next.counts
	slices.Sort(changed)
	return changed
}

// differences are the applications that another registry reports differently, sorted.
func (r *registry) differences(other *registry) []string {
	var apps []string
	for app, members := range other.apps {
		if !alike(r.apps[app], members) {
			apps = append(apps, app)
		}
	}
	for app := range r.apps {
		if other.apps[app] == nil {
			apps = append(apps, app)
		}
	}
	slices.Sort(apps)
	return apps
}

// missing is the number of members that another registry lacks.
func (r *registry) missing(other *registry) int {
	n := 0
	for app, members := range r.apps {
		there := other.apps[app]
		for _, m := range members {
			if _, found := find(there, m.id); !found {
				n++
			}
		}
	}
	return n
}

// find is where a member of an ID is, or would be.
func find(members []member, id string) (at int, found bool) {
	return slices.BinarySearchFunc(members, id, func(m member, id string) int { return cmp.Compare(m.id, id) })
}

// union is what either registry has; of members of both, what the other says.
func (r *registry) union(other *registry) *registry {
	b := builder{apps: make(map[string][]member, len(r.apps))}
	for app, members := range r.apps {
		b.apps[app] = slices.Concat(members, other.apps[app])
	}
	for app, members := range other.apps {
		if b.apps[app] == nil {
			b.apps[app] = slices.Clone(members)
		}
	}
	return b.registry()
}

// alike reports whether two lists of members are reported alike.
func alike(a, b []member) bool {
	return slices.EqualFunc(a, b, func(a, b member) bool { return a.id == b.id && a.body == b.body })
}

// service is an application as it is reported, nil if there is none.
func (r *registry) service(scope, app string) *sources.Service {
	members := r.apps[app]
	if len(members) == 0 {
		return nil
	}
	s := &sources.Service{Key: sources.Key{Scope: scope, Name: app}, Instances: make([]sources.Instance, 0, len(members))}
	replaced := replacements(members)
	for _, m := range members {
		i, reason := m.unpack()
		if by, found := replaced[m.id]; found {
			reason = fmt.Sprintf("%s was registered later at the same address and ports", by)
		}
		if reason != "" {
			s.Skipped = append(s.Skipped, sources.Fault{Where: cmp.Or(m.id, app), Reason: reason})
			continue
		}
		s.Instances = append(s.Instances, i)
	}
	return s
}

// replacements are the members at whose address and ports a later one is registered, each with that one. An instance that
// was restarted under another ID leaves its old registration until that expires.
func replacements(members []member) map[string]string {
	newest := make(map[string]member, len(members))
	var replaced map[string]string
	for _, m := range members {
		at := m.endpoint()
		if at == "" {
			continue
		}
		other, taken := newest[at]
		switch {
		case !taken:
			newest[at] = m
			continue
		case m.updated >= other.updated:
			newest[at], other, m = m, m, other
		}
		if replaced == nil {
			replaced = map[string]string{}
		}
		replaced[m.id] = other.id
	}
	return replaced
}

// services are all applications as they are reported, sorted by name.
func (r *registry) services(scope string) []*sources.Service {
	all := make([]*sources.Service, 0, len(r.apps))
	for _, app := range slices.Sorted(maps.Keys(r.apps)) {
		all = append(all, r.service(scope, app))
	}
	return all
}
