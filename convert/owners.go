package convert

import (
	"maps"
	"net/netip"
	"slices"
)

// owners tells whether another host has come to have an address of an endpoint, so that its last requests are not kept there. It
// knows the addresses of the hosts that documents name alone, and of other hosts those that meet them.
type owners struct {
	by     map[netip.AddrPort]map[string]bool // the hosts at an address, which one that documents name must have for it to be here
	of     map[string][]netip.AddrPort        // by host, what is known of it
	named  map[string]bool                    // hosts that documents name
	events map[string]bool                    // hosts to convert anew, since another one has come to have an address of theirs
}

func newOwners() owners {
	return owners{by: map[netip.AddrPort]map[string]bool{}, of: map[string][]netip.AddrPort{}, named: map[string]bool{}, events: map[string]bool{}}
}

// own notes the addresses that a host's registries report now.
func (e *engine) own(s *hostState, d *draft) {
	o := &e.owners
	named := d.plan != nil || len(d.next.last) > 0
	if !named && len(o.named) == 0 {
		return // as of nearly all bridges
	}
	before := o.of[s.name]
	e.disown(s)
	var mine []netip.AddrPort
	for _, end := range d.merged.endpoints {
		if slices.Contains(d.stayed, end) {
			continue
		}
		for _, p := range end.ports {
			at := netip.AddrPortFrom(end.addr, uint16(p.number))
			hosts := o.by[at]
			if hosts == nil && !named {
				continue
			}
			for other := range hosts {
				if o.named[other] && !slices.Contains(before, at) {
					o.events[other] = true
				}
			}
			if hosts == nil {
				hosts = map[string]bool{}
				o.by[at] = hosts
			}
			hosts[s.name] = true
			mine = append(mine, at)
		}
	}
	if named {
		o.named[s.name] = true
		for _, end := range d.stayed { // so that whoever comes to have them is seen
			for _, p := range end.ports {
				at := netip.AddrPortFrom(end.addr, uint16(p.number))
				if o.by[at] == nil {
					o.by[at] = map[string]bool{}
				}
				o.by[at][s.name] = true
				mine = append(mine, at)
			}
		}
	}
	if len(mine) > 0 {
		o.of[s.name] = mine
	}
}

// disown forgets the addresses of a host.
func (e *engine) disown(s *hostState) {
	o := &e.owners
	for _, at := range o.of[s.name] {
		if delete(o.by[at], s.name); len(o.by[at]) == 0 {
			delete(o.by, at)
		}
	}
	delete(o.of, s.name)
	delete(o.named, s.name)
}

// taken reports whether another host has one of the addresses of an endpoint.
func (o *owners) taken(host string, e *endpoint) bool {
	for _, p := range e.ports {
		for other := range o.by[netip.AddrPortFrom(e.addr, uint16(p.number))] {
			if other != host {
				return true
			}
		}
	}
	return false
}

// takeShared returns the hosts of which an address has come to be another's since the last call.
func (o *owners) takeShared() []string {
	hosts := slices.Sorted(maps.Keys(o.events))
	clear(o.events)
	return hosts
}
