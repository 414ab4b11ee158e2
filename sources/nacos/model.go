package nacos

import (
	"cmp"
	"reflect"
	"slices"

	"meshbridge/sources"
	"meshbridge/sources/changes"
)

// scope is one namespace: what was read last of its services, and what follows from it. It belongs to the follower and
// outlives connections.
type scope struct {
	namespace
	mode  string // of Dubbo
	units map[serviceID]*unit
	// owners are the units whose instances a service has; more than one where Dubbo registers an interface in several groups.
	owners map[sources.Key][]*unit

	groups map[string]bool // of units, ever

	listed  map[endpoint]int            // how many interfaces list it
	members map[endpoint]map[*unit]bool // applications of Dubbo that have it
	// covered are the registrations that an interface is known to have listed while they lived: a provider that withdraws
	// its interfaces first does not come back as an application.
	covered map[registration]bool

	mapping mapping

	dirty     map[sources.Key]bool
	dirtyApps map[*unit]bool
	reread    []*unit // wanted since the follower looked

	look look
}

// unit is a service of Nacos, which is read as a whole.
type unit struct {
	// Set once.
	scope       *scope
	id          serviceID
	key         sources.Key
	isInterface bool

	due     due
	settled bool   // it was read, or found unreadable, over this connection
	gone    bool   // two lists lacked it
	misses  int    // lists in a row that lacked it
	pushed  digest // of the last push while it was being read
	counts  [2]int // instances and healthy ones as the last list counted them

	read           bool
	digest         digest
	total, healthy int
	instances      []sources.Instance
	skipped        []sources.Fault
	// dropped says that instances were reported and are kept no longer: they are the bulk of all that is read, and wanted
	// again only where a service has several owners.
	dropped   bool
	wanted    bool               // the instances are wanted again although they may not have changed
	endpoints []endpoint         // of an interface
	members   []sources.Instance // of an application of Dubbo
	own       []sources.Instance // of members, what no interface lists
}

// registration is one endpoint of one registration of an instance.
type registration struct {
	unit *unit
	id   string
	endpoint
}

func newScope(n namespace, mode string) *scope {
	return &scope{
		namespace: n, mode: mode, units: map[serviceID]*unit{}, owners: map[sources.Key][]*unit{}, groups: map[string]bool{},
		listed: map[endpoint]int{}, members: map[endpoint]map[*unit]bool{}, covered: map[registration]bool{},
		mapping: mapping{apps: map[string][]string{}}, dirty: map[sources.Key]bool{}, dirtyApps: map[*unit]bool{},
		look: look{total: -1, broken: map[*unit]error{}},
	}
}

// follows reports whether a service of a list is one to follow.
func (s *scope) follows(id serviceID) bool {
	_, isInterface := parseInterface(id.name)
	return id.name != "" && !unfollowed(id.name) && !(isInterface && s.mode == ModeInstance)
}

// add makes a unit of a service that a list has.
func (s *scope) add(id serviceID) *unit {
	u := &unit{scope: s, id: id, key: sources.Key{Scope: s.name, Namespace: s.name, Group: id.group, Name: id.name}}
	if i, ok := parseInterface(id.name); ok {
		u.isInterface = true
		u.key.Group, u.key.Name, u.key.Version = i.group, i.name, i.version
	}
	s.units[id], s.groups[id.group] = u, true
	s.owners[u.key] = append(s.owners[u.key], u)
	return u
}

// drop forgets a unit that is gone.
func (s *scope) drop(u *unit) {
	u.gone = true
	delete(s.units, u.id)
	s.owners[u.key] = slices.DeleteFunc(s.owners[u.key], func(o *unit) bool { return o == u })
	if len(s.owners[u.key]) == 0 {
		delete(s.owners, u.key)
	}
	s.setEndpoints(u, nil)
	s.setMembers(u, nil)
	s.dirty[u.key] = true
	delete(s.dirtyApps, u)
}

// set takes a unit as read.
func (s *scope) set(u *unit, c content) {
	known := u.read && u.digest == c.digest
	if known && !u.dropped {
		return // what was read is kept, and the same
	}
	u.read, u.digest, u.total, u.healthy = true, c.digest, c.total, c.healthy
	if known && !u.wanted {
		return
	}
	u.instances, u.skipped, u.dropped, u.wanted = c.instances, c.skipped, false, false
	s.dirty[u.key] = true
	if !known {
		s.setEndpoints(u, c.endpoints)
		s.setMembers(u, c.members)
	}
}

// setEndpoints takes what an interface lists, and has the applications looked at again that have some of it.
func (s *scope) setEndpoints(u *unit, endpoints []endpoint) {
	for _, e := range endpoints {
		if s.listed[e]++; s.listed[e] == 1 {
			s.touchMembers(e)
		}
	}
	for _, e := range u.endpoints {
		if s.listed[e]--; s.listed[e] == 0 {
			delete(s.listed, e)
			s.touchMembers(e)
		}
	}
	u.endpoints = endpoints
}

func (s *scope) touchMembers(e endpoint) {
	for u := range s.members[e] {
		s.dirtyApps[u] = true
	}
}

// setMembers takes the instances of an application of Dubbo.
func (s *scope) setMembers(u *unit, members []sources.Instance) {
	if s.mode == ModeInterface {
		return
	}
	if len(u.members) == 0 && len(members) == 0 {
		return
	}
	living := map[registration]bool{}
	for i := range members {
		for _, e := range registrations(&members[i]) {
			living[registration{u, members[i].ID, e}] = true
		}
	}
	for i := range u.members {
		for _, e := range registrations(&u.members[i]) {
			if r := (registration{u, u.members[i].ID, e}); !living[r] {
				delete(s.covered, r)
			}
			if delete(s.members[e], u); len(s.members[e]) == 0 {
				delete(s.members, e)
			}
		}
	}
	for r := range living {
		if s.members[r.endpoint] == nil {
			s.members[r.endpoint] = map[*unit]bool{}
		}
		s.members[r.endpoint][u] = true
	}
	u.members = members
	s.dirtyApps[u] = true
	s.touchMapped(u.id.name)
}

// touchMapped has the interfaces looked at again that the mapping ascribes to an application.
func (s *scope) touchMapped(app string) {
	for _, name := range s.mapping.interfaces[app] {
		s.dirty[s.plain(name)] = true
	}
}

// plain is the key of an interface of which neither group nor version is known.
func (s *scope) plain(name string) sources.Key {
	return sources.Key{Scope: s.name, Namespace: s.name, Name: name}
}

// settle puts the services that changed into the report. Applications wait until every unit has been read, because what
// they offer of their own depends on all interfaces.
func (s *scope) settle(r *changes.Scope) {
	if s.look.unsettled == 0 {
		for u := range s.dirtyApps {
			old := u.own
			u.own = s.ownOf(u)
			if !slices.EqualFunc(old, u.own, func(a, b sources.Instance) bool { return reflect.DeepEqual(a, b) }) {
				s.touchMapped(u.id.name)
			}
			s.dirty[u.key] = true
			if len(old) == 0 && len(u.own) > 0 { // the mapping may have come with it
				s.mapping.needed, s.mapping.asked = true, false
			}
		}
		s.dirtyApps = map[*unit]bool{} // anew: an emptied map keeps the size of its largest burst
	}
	waiting := map[sources.Key]bool{}
	for key := range s.dirty {
		if !s.settleKey(r, key) {
			waiting[key] = true
		}
	}
	s.dirty = waiting
}

// ownOf is what of an application no interface lists, or has listed.
func (s *scope) ownOf(u *unit) []sources.Instance {
	var own []sources.Instance
	for _, i := range u.members {
		ports := i.Ports
		i.Ports = nil
		for _, p := range ports {
			r := registration{u, i.ID, endpoint{i.Address, p.Number, p.Protocol}}
			if s.listed[r.endpoint] > 0 {
				s.covered[r] = true
			}
			if !s.covered[r] {
				i.Ports = append(i.Ports, p)
			}
		}
		if len(i.Ports) > 0 {
			own = append(own, i)
		}
	}
	return own
}

// settleKey puts one service into the report, or says that it must be put later.
func (s *scope) settleKey(r *changes.Scope, key sources.Key) bool {
	owners := s.owners[key]
	derived, offered := s.derived(key)
	complete := true
	for _, u := range owners {
		switch {
		case !u.read, s.dirtyApps[u]:
			complete = false
		case u.dropped:
			complete = false
			if !u.wanted {
				u.wanted = true
				s.reread = append(s.reread, u)
			}
		}
	}
	if !complete {
		return false
	}
	service := &sources.Service{Key: key, Interface: len(owners) == 0 || owners[0].isInterface}
	hidden := false // an application that its interfaces list
	for _, u := range owners {
		service.Instances = joinInstances(joinInstances(service.Instances, u.instances), u.own)
		service.Skipped = append(service.Skipped, u.skipped...)
		hidden = hidden || len(u.members) > 0
	}
	service.Instances = joinInstances(service.Instances, derived)
	reported := r.Has(key)
	switch {
	case len(service.Instances) > 0 || len(service.Skipped) > 0:
		r.Put(key, service)
	case len(owners) == 0 && !(reported && s.mapping.apps[key.Name] != nil && !offered), hidden, !reported:
		r.Put(key, nil)
	default:
		r.Put(key, service) // it has no instances now
	}
	if len(owners) == 1 && len(derived) == 0 {
		u := owners[0]
		u.dropped = len(u.instances) > 0
		u.instances = nil
	}
	return true
}

// derived are the instances that an interface has through the mapping only, and whether the applications behind it have
// any instance of Dubbo at all, listed or not.
func (s *scope) derived(key sources.Key) (out []sources.Instance, offered bool) {
	if key != s.plain(key.Name) {
		return nil, false
	}
	for _, app := range s.mapping.apps[key.Name] {
		for group := range s.groups {
			if u := s.units[serviceID{group, app}]; u != nil {
				offered = offered || len(u.members) > 0
				out = joinInstances(out, u.own)
			}
		}
	}
	return out, offered
}

// unknown reports whether a service may be there although it could not be read.
func (s *scope) unknown(key sources.Key) bool {
	return slices.ContainsFunc(s.owners[key], func(u *unit) bool { return !u.read })
}

// joinInstances adds instances of IDs that are not there yet and keeps the order by ID. Neither list is changed.
func joinInstances(a, b []sources.Instance) []sources.Instance {
	if len(a) == 0 || len(b) == 0 {
		return append(slices.Clip(a), b...)
	}
	out := append(slices.Clip(a), b...)
	slices.SortStableFunc(out, func(x, y sources.Instance) int { return cmp.Compare(x.ID, y.ID) })
	return slices.CompactFunc(out, func(x, y sources.Instance) bool { return x.ID == y.ID })
}
