package zookeeper

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"meshbridge/sources"
	"meshbridge/sources/changes"
)

// model is what was read last of every interface, application and mapping, and what follows from it: the services to
// report. It belongs to the follower and outlives sessions.
type model struct {
	scopes  []scope
	ifaces  map[string]*knownInterface
	apps    map[appName]*knownApp
	mapping map[string][]string // applications by interface

	mapped  map[string]map[string]bool // interfaces by application: mapping turned round
	listed  map[endpoint]listing
	members map[endpoint]map[appName]int // which Dubbo applications have it, and how many of their instances

	// covered are the registrations that an interface is known to have listed while their node lived. Where it listed them
	// as of a time before its last change, the next read tells; until then their endpoints are unsure.
	covered map[registration]bool
	unsure  map[endpoint]bool

	faulty      map[string][]sources.Fault // rules that could not be read, by interface
	dirtyIfaces map[string]bool
	dirtyApps   map[appName]bool
	told        bool     // the first report was made
	reread      []string // paths of interfaces whose dropped services are wanted again
}

type appName struct{ scope, name string }

// listing counts the interfaces that list an endpoint: all, and those of which no change was heard since they were read.
type listing struct{ all, current int }

// knownInterface is an interface as last read. An interface that only the mapping knows has no node.
type knownInterface struct {
	read *iface
	seen map[sources.Key]bool // services that had instances while the node lived
	// dropped says that read.services were reported and are kept no longer: they are the bulk of all that is read, and
	// wanted again only when the interface's applications change.
	dropped bool
	current bool // nothing was heard of a change since it was read
	derived bool // what was reported last had instances from applications
}

// knownApp is an application as last read, and what of it no interface lists.
type knownApp struct {
	read *app
	own  []sources.Instance
	// dubboOwn are those of own that are Dubbo's: interfaces get them through the mapping.
	dubboOwn []sources.Instance
}

// registration is one endpoint of one registration of an instance.
type registration struct {
	path    string
	created int64
	endpoint
}

func newModel(scopes []scope) *model {
	return &model{
		scopes: scopes,
		ifaces: map[string]*knownInterface{}, apps: map[appName]*knownApp{}, mapping: map[string][]string{},
		mapped: map[string]map[string]bool{}, listed: map[endpoint]listing{}, members: map[endpoint]map[appName]int{},
		covered: map[registration]bool{}, unsure: map[endpoint]bool{}, faulty: map[string][]sources.Fault{}, dirtyIfaces: map[string]bool{}, dirtyApps: map[appName]bool{},
	}
}

// setInterface takes an interface as read; nil says that its node is gone.
func (m *model) setInterface(name string, read *iface) {
	old := m.ifaces[name]
	if old == nil {
		old = &knownInterface{read: &iface{}}
	}
	next := &knownInterface{read: read, seen: old.seen, current: true}
	if read == nil {
		next.read = &iface{}
		delete(m.ifaces, name)
	} else {
		m.ifaces[name] = next
	}
	if delete(m.faulty, name); len(next.read.faults) > 0 {
		m.faulty[name] = next.read.faults
	}
	for _, s := range next.read.services {
		if next.seen == nil {
			next.seen = map[sources.Key]bool{}
		}
		next.seen[s.Key] = true
	}
	for _, e := range next.read.endpoints {
		l := m.listed[e]
		m.listed[e] = listing{l.all + 1, l.current + 1}
		if l.all == 0 || m.unsure[e] {
			m.touchMembers(e)
		}
	}
	m.outdate(old)
	for _, e := range old.read.endpoints {
		l := m.listed[e]
		if m.listed[e] = (listing{l.all - 1, l.current}); l.all == 1 {
			delete(m.listed, e)
			m.touchMembers(e)
		}
	}
	m.dirtyIfaces[name] = true
}

// outdate says that an interface has changed since it was read: what it lists is what it listed then.
func (m *model) outdate(k *knownInterface) {
	if k == nil || !k.current {
		return
	}
	k.current = false
	for _, e := range k.read.endpoints {
		l := m.listed[e]
		m.listed[e] = listing{l.all, l.current - 1}
	}
}

// touchMembers has the applications looked at again that have an endpoint.
func (m *model) touchMembers(e endpoint) {
	delete(m.unsure, e)
	for name := range m.members[e] {
		m.dirtyApps[name] = true
	}
}

// setApp takes an application as read; nil says that its node is gone.
func (m *model) setApp(name appName, read *app) {
	old := m.apps[name]
	if old == nil {
		old = &knownApp{read: &app{}}
	}
	living := map[registration]bool{}
	if read == nil {
		delete(m.apps, name)
	} else {
		m.apps[name] = &knownApp{read: read, own: old.own, dubboOwn: old.dubboOwn}
		for i := range read.members {
			for _, r := range read.members[i].registrations() {
				living[r] = true
				if m.members[r.endpoint] == nil {
					m.members[r.endpoint] = map[appName]int{}
				}
				m.members[r.endpoint][name]++
			}
		}
	}
	for i := range old.read.members {
		for _, r := range old.read.members[i].registrations() {
			if !living[r] {
				delete(m.covered, r)
			}
			if m.members[r.endpoint][name]--; m.members[r.endpoint][name] == 0 {
				delete(m.members[r.endpoint], name)
			}
			if len(m.members[r.endpoint]) == 0 {
				delete(m.members, r.endpoint)
			}
		}
	}
	m.dirtyApps[name] = true
	if read == nil {
		m.touchMapped(name.name)
	}
}

func (m *model) touchMapped(app string) {
	for name := range m.mapped[app] {
		m.dirtyIfaces[name] = true
	}
}

// setMapping takes the applications that offer an interface; none says that the mapping knows it no more.
func (m *model) setMapping(name string, apps []string) {
	for _, app := range m.mapping[name] {
		delete(m.mapped[app], name)
		if len(m.mapped[app]) == 0 {
			delete(m.mapped, app)
		}
	}
	if len(apps) == 0 {
		delete(m.mapping, name)
	} else {
		m.mapping[name] = apps
	}
	for _, app := range apps {
		if m.mapped[app] == nil {
			m.mapped[app] = map[string]bool{}
		}
		m.mapped[app][name] = true
	}
	m.dirtyIfaces[name] = true
}

// registrations are the endpoints of a Dubbo instance; of others none, for no interface can list them.
func (a *appMember) registrations() []registration {
	if !a.dubbo {
		return nil
	}
	out := make([]registration, len(a.instance.Ports))
	for i, p := range a.instance.Ports {
		out[i] = registration{a.path, a.created, endpoint{a.instance.Address, p.Number, p.Protocol}}
	}
	return out
}

// settle puts the services that changed into the report: applications first, because interfaces depend on them.
func (m *model) settle(r *reporter) {
	for name := range m.dirtyApps {
		k := m.apps[name]
		if k != nil && m.settleApp(k) {
			m.touchMapped(name.name)
		}
		var services []*sources.Service
		if s := m.appService(name, len(r.keys(name.scope, name.name)) > 0); s != nil {
			services = []*sources.Service{s}
		}
		r.put(name.scope, name.name, services)
	}
	for i := range m.scopes {
		if s := &m.scopes[i]; s.interfaces || s.mapping {
			for name := range m.dirtyIfaces {
				m.settleInterface(r, s.name, name)
			}
		}
	}
	// Anew: an emptied map keeps the size, and the cost of walking it, of its largest burst.
	m.dirtyApps, m.dirtyIfaces = map[appName]bool{}, map[string]bool{}
}

// settleApp works out what of an application no interface lists, and reports whether that changed for the interfaces
// that get their instances through the mapping.
func (m *model) settleApp(k *knownApp) (changed bool) {
	old := k.dubboOwn
	k.own, k.dubboOwn = nil, nil
	for i := range k.read.members {
		member := &k.read.members[i]
		instance := member.instance
		if member.dubbo {
			instance.Ports = nil
			for n, r := range member.registrations() {
				l := m.listed[r.endpoint]
				switch {
				case m.covered[r]:
				case l.current > 0:
					m.covered[r] = true
				case l.all > 0:
					m.unsure[r.endpoint] = true
				default:
					instance.Ports = append(instance.Ports, member.instance.Ports[n])
				}
			}
			if len(instance.Ports) == 0 {
				continue
			}
			k.dubboOwn = append(k.dubboOwn, instance)
		}
		k.own = append(k.own, instance)
	}
	return !slices.EqualFunc(old, k.dubboOwn, func(a, b sources.Instance) bool { return reflect.DeepEqual(a, b) })
}

// appService is the service of an application: nil if there is none to report. reported says that there was one.
func (m *model) appService(name appName, reported bool) *sources.Service {
	k := m.apps[name]
	switch {
	case k == nil:
		return nil
	case len(k.own) == 0 && len(k.read.skipped) == 0 && (len(k.read.members) > 0 || !reported):
		return nil // listed by its interfaces, or never there
	}
	return &sources.Service{
		Key:       sources.Key{Scope: name.scope, Name: name.name},
		Instances: k.own,
		Skipped:   k.read.skipped,
	}
}

// settleInterface puts the services of an interface into the report. Those reported before that have no instances now are
// among them, without instances, as long as the interface is known to the registry.
func (m *model) settleInterface(r *reporter, scope, name string) {
	reported := r.keys(scope, name)
	plain := sources.Key{Scope: scope, Name: name}
	derived, offered := m.derived(name)
	k := m.ifaces[name]
	if k == nil {
		k = &knownInterface{read: &iface{}}
	}
	if k.dropped {
		if len(derived) > 0 || k.derived || slices.Contains(reported, plain) && !k.seen[plain] {
			m.reread = append(m.reread, k.read.dir)
		}
		return
	}
	services := map[sources.Key]*sources.Service{}
	for _, s := range k.read.services {
		services[s.Key] = s
	}
	if len(derived) > 0 {
		s := &sources.Service{Key: plain, Interface: true, Instances: derived}
		if own := services[plain]; own != nil {
			s.Skipped = own.Skipped
			s.Instances = joinInstances(own.Instances, derived)
		}
		services[plain] = s
	}
	for _, key := range reported {
		// Where interfaces came to list all that the mapping led to, the plain service goes, as the application's does.
		known := k.seen[key] || key == plain && m.mapping[name] != nil && !offered
		if services[key] == nil && known {
			services[key] = &sources.Service{Key: key, Interface: true}
		}
	}
	r.put(scope, name, slices.SortedFunc(maps.Values(services), func(a, b *sources.Service) int { return changes.Compare(a.Key, b.Key) }))
	k.derived, k.dropped = len(derived) > 0, len(k.read.services) > 0
	k.read.services = nil
}

// derived are the instances that an interface has through the mapping only, and whether the applications behind it have
// any Dubbo instance at all, listed or not.
func (m *model) derived(name string) (out []sources.Instance, offered bool) {
	for _, app := range m.mapping[name] {
		for i := range m.scopes {
			k := m.apps[appName{m.scopes[i].name, app}]
			if k == nil || !m.scopes[i].dubbo {
				continue
			}
			offered = offered || slices.ContainsFunc(k.read.members, func(a appMember) bool { return a.dubbo })
			out = joinInstances(out, k.dubboOwn)
		}
	}
	return out, offered
}

// joinInstances adds instances of IDs that are not there yet and keeps the order by ID.
func joinInstances(a, b []sources.Instance) []sources.Instance {
	if len(a) == 0 || len(b) == 0 {
		return append(a, b...)
	}
	out := append(slices.Clip(a), b...)
	slices.SortStableFunc(out, func(x, y sources.Instance) int { return cmp.Compare(x.ID, y.ID) })
	return slices.CompactFunc(out, func(x, y sources.Instance) bool { return x.ID == y.ID })
}
