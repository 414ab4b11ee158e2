package zookeeper

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"

	"github.com/go-zookeeper/zk"

	"meshbridge/sources"
	"meshbridge/sources/changes"
)

// kind says what a unit of the tree is.
type kind int

const (
	interfaceRoot kind = iota // Dubbo's root: its children are interfaces
	interfaceNode             // one interface: its providers and configurators
	mappingRoot               // the mapping node: its children are interfaces
	mappingNode               // one interface's applications
	appRoot                   // a root of applications: its children are applications
	appNode                   // one application: its children are instances
)

// isRoot reports whether the unit's children are units.
func (k kind) isRoot() bool { return k == interfaceRoot || k == mappingRoot || k == appRoot }

// below is the kind of a root's children.
func (u *unit) below() kind {
	switch u.kind {
	case mappingRoot:
		return mappingNode
	case appRoot:
		return appNode
	}
	return interfaceNode
}

// result is what a read of a unit brought.
type result struct {
	unit     *unit
	err      error
	exists   bool
	children []string // of a root
	iface    *iface
	apps     []string // of a mapping node
	app      *app
}

// appMember is a member and the node that it was read from.
type appMember struct {
	member
	path    string
	created int64 // the node's czxid: another one is another registration
}

// app is what has been read of one application.
type app struct {
	members []appMember // sorted by ID
	skipped []sources.Fault
}

// read reads a unit, arming its watches. It is called from one worker at a time for a unit.
func (w *watches) read(u *unit) result {
	r := result{unit: u}
	switch u.kind {
	case interfaceRoot, mappingRoot, appRoot:
		r.children, r.exists, r.err = w.children(u, u.path)
		if r.err == nil && !r.exists && u.scope.path != u.scope.name {
			r.err = w.checkChroot(u.scope)
		}
	case interfaceNode:
		r.iface, r.exists, r.err = w.readInterface(u)
	case mappingNode:
		var data []byte
		data, r.exists, r.err = w.data(u, u.path)
		r.apps = parseMapping(data)
	case appNode:
		r.app, r.exists, r.err = w.readApp(u)
	}
	return r
}

// checkChroot tells a root that does not exist yet from a chroot that does not: in the latter nothing could ever appear
// without an administrator, so nothing is known of it.
func (w *watches) checkChroot(s *scope) error {
	chroot := s.path[:len(s.path)-len(s.name)]
	if _, _, err := w.conn.Children(chroot); errors.Is(err, zk.ErrNoNode) {
		return fmt.Errorf("list %s: the chroot does not exist", chroot)
	}
	return nil
}

// readInterface reads an interface. Without a providers node it has none yet, or is no interface at all: both is the same
// to those who look for providers.
func (w *watches) readInterface(u *unit) (*iface, bool, error) {
	providers, exists, err := w.children(u, path.Join(u.path, "providers"))
	if err != nil || !exists {
		return &iface{}, exists, err
	}
	configurators, _, err := w.children(u, path.Join(u.path, "configurators"))
	if err != nil {
		return nil, false, err
	}
	read := readInterface(u.scope.name, u.path, u.name, providers, configurators)
	if !u.scope.mapping {
		read.endpoints = nil // they are for telling which applications are listed
	}
	return read, true, nil
}

// appInstance is an instance's node as it was read: a member, or why it is none.
type appInstance struct {
	appMember
	err error
}

// readApp reads an application's instances, each once and then again only when its own watch fired or in an audit.
func (w *watches) readApp(u *unit) (*app, bool, error) {
	nodes, exists, err := w.children(u, u.path)
	if err != nil || !exists {
		return &app{}, exists, err
	}
	if u.instances == nil {
		u.instances = make(map[string]appInstance, len(nodes))
	}
	listed := make(map[string]bool, len(nodes))
	for _, node := range nodes {
		at := path.Join(u.path, node)
		if _, known := u.instances[node]; !known || u.audited || !w.holds(u, at) {
			data, stat, err := w.get(u, at)
			if errors.Is(err, zk.ErrNoNode) {
				continue // gone since it was listed: the list will be another one
			}
			if err != nil {
				return nil, false, fmt.Errorf("read %s: %w", at, err)
			}
			m, err := parseMember(node, data)
			u.instances[node] = appInstance{appMember{member: m, path: at, created: stat.Czxid}, err}
		}
		listed[node] = true
	}
	maps.DeleteFunc(u.instances, func(node string, _ appInstance) bool { return !listed[node] })

	out := &app{}
	for _, i := range u.instances {
		switch {
		case i.err != nil:
			out.skipped = append(out.skipped, sources.Fault{Where: i.path, Reason: i.err.Error()})
		case i.dubbo && u.scope.dubbo || !i.dubbo && u.scope.spring:
			out.members = append(out.members, i.appMember)
		}
	}
	out.members = newestMembers(out.members)
	slices.SortFunc(out.skipped, changes.CompareFaults)
	return out, true, nil
}

// units are the units below a root that was listed. Names that cannot be decoded are returned as faults.
func (r *result) units() (units []*unit, faults []sources.Fault) {
	below := r.unit.below()
	taken := map[string]bool{}
	slices.Sort(r.children)
	for _, child := range r.children {
		name, at := child, path.Join(r.unit.path, child)
		if below != appNode { // Dubbo encodes interface names, which changes only uncommon ones
			decoded, err := url.QueryUnescape(child)
			if err != nil {
				faults = append(faults, sources.Fault{Where: at, Reason: fmt.Sprintf("decode interface name: %v", err)})
				continue
			}
			name = decoded
		}
		if taken[name] {
			faults = append(faults, sources.Fault{Where: at, Reason: "another node's name means the same"})
			continue
		}
		taken[name] = true
		units = append(units, &unit{kind: below, scope: r.unit.scope, name: name, path: at})
	}
	return units, faults
}
