package convert

import (
	"fmt"
	"time"
)

// object is a ServiceEntry to be.
type object struct {
	name      string
	host      string
	ports     []servedPort
	endpoints []*endpoint
	hidden    bool          // no proxy sees it, and its endpoints count all the same
	later     time.Duration // added to Created, so that the object with all ports is the oldest
}

// nobody is the exportTo of a hidden object.
var nobody = []string{"~"}

// layout divides a host into objects. Istio calls an endpoint that has no number for a port at the number of the service
// port, so an endpoint may appear only where all of its object's ports are its own. Hence a host whose endpoints differ in
// ports has an object for each port that has endpoints, beside one that has all ports and no endpoint.
//
// Istio joins the endpoints of one host and namespace whoever sees their objects, but of the services it takes the oldest
// alone for a Sidecar that names the host and for the destinations of VirtualServices, and leaves a tie to chance. So the
// object with all ports is the oldest, and the only one that anybody sees. It has a name of its own, not that of the undivided
// host: a client creates what is new before it deletes what is gone, so when a host is divided or joined, its endpoints are
// there all the time. Times follow from numbers of ports, so that a port that comes or goes changes no other's.
//
// A port without endpoints has no object: Istio 1.24 keeps the last endpoints of one that becomes empty.
func (d *draft) layout() []object {
	whole := object{name: objectName(d.host), host: d.host, ports: d.ports, endpoints: d.merged.endpoints}
	if !d.memory.Split {
		return []object{whole}
	}
	whole.name, whole.endpoints, whole.later = partName(d.host, 0), nil, time.Second
	objects := []object{whole}
	for _, p := range d.ports {
		o := object{
			name: partName(d.host, p.Number), host: d.host, ports: []servedPort{p}, hidden: true,
			later: whole.later + time.Duration(p.Number)*time.Second,
		}
		for _, e := range d.merged.endpoints {
			if _, has := e.offers(p.Name); has {
				o.endpoints = append(o.endpoints, e)
			}
		}
		if len(o.endpoints) > 0 {
			objects = append(objects, o)
		}
	}
	return objects
}

// partName is the name of an object that has one port of a host, or all with 0. No host has it: the last part of a host is
// never all digits.
func partName(host string, port uint32) string { return objectName(fmt.Sprintf("%s.%d", host, port)) }
