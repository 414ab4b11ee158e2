package convert

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	networkingpb "istio.io/api/networking/v1alpha3"
	"meshbridge/convert/canary"
	"meshbridge/convert/rollout"
	"meshbridge/mcpserver/store"
)

// mark notes which subsets there are in the state that is being made, and which of them have endpoints at which port.
func (d *draft) mark(rule *store.Resource) {
	if rule == nil || d.plan == nil && len(d.past.routes) == 0 && len(d.memory.Homes) == 0 {
		return // as of nearly all hosts
	}
	d.next.points = d.past.points.Clone()
	d.next.points.Begin()
	has := func(thing string) { d.next.points.Has(thing, d.generation, d.now) }
	has(ruleIn(d.memory.Namespace))
	for _, h := range d.memory.Homes {
		has(ruleIn(h.Namespace))
	}
	for _, s := range d.memory.Subsets {
		has(defined(d.memory.Namespace, s))
		for _, h := range d.memory.Homes {
			has(defined(h.Namespace, s))
		}
		for _, p := range d.ports {
			if slices.ContainsFunc(d.merged.endpoints, func(e *endpoint) bool { _, offers := e.offers(p.Name); return offers && s.Selects(e.labels) }) {
				has(populated(s, p.Name))
			}
		}
	}
	d.next.points.End()
}

func ruleIn(namespace string) string { return "rule " + namespace }
func defined(namespace string, s rollout.Subset) string {
	return "subset " + namespace + " " + s.Name + " " + s.ID()
}
func populated(s rollout.Subset, port string) string { return "endpoint " + s.ID() + " " + port }

// moving is the gate of the ServiceEntries of a host that has only just come to its namespace: the DestinationRule there must
// be known first, since Istio takes it as soon as it takes that ServiceEntry.
func (d *draft) moving(rule *store.Resource) store.Gate {
	if rule == nil || len(d.memory.Homes) == 0 {
		return store.Gate{}
	}
	return d.next.points.Gate(store.Gate{}, ruleIn(d.memory.Namespace))
}

// virtualServices are those of the host, and those that it keeps until others have taken over.
func (d *draft) virtualServices(changed time.Time) []*store.Resource {
	var all []*store.Resource
	for _, o := range d.objects {
		gate, faults := d.gate(o)
		for _, namespace := range d.namespaces(o) {
			spec := o.Spec
			if namespace != d.memory.Namespace {
				spec = proto.CloneOf(o.Spec)
				spec.ExportTo = d.exportTo(namespace)
			}
			r := d.resource(store.VirtualService, namespace, d.routeName(o), 0, changed, func(string) (proto.Message, []string) {
				return spec, append(slices.Clone(faults), routeFaults(namespace, spec)...)
			})
			if r == nil {
				continue
			}
			r.Gate = gate
			if before := d.routes.Of(rollout.ID{Key: r.Key, Host: d.host}); before != nil && before.Resource.Version == r.Version {
				r.Gate = before.Resource.Gate // clients have it, or wait for it already
			}
			all = append(all, r)
			requests := o.Requests
			if len(spec.Hosts) == 0 { // a root names a delegate by its namespace too
				requests = []canary.Requests{{Delegate: r.Name}}
			}
			d.made = append(d.made, &rollout.Route{Resource: r, Docs: o.Docs, Uses: o.Uses, Requests: requests, Copy: namespace != d.memory.Namespace})
		}
	}
	return all
}

// gate is the state since which the store has had all that a VirtualService names: its subsets, and their endpoints where there
// are any.
func (d *draft) gate(o canary.Object) (gate store.Gate, faults []string) {
	for _, use := range o.Uses {
		i := slices.IndexFunc(d.memory.Subsets, func(s rollout.Subset) bool { return s.Name == use.Subset })
		if i < 0 {
			faults = append(faults, fmt.Sprintf("subset %s is not served", use.Subset))
			continue
		}
		s := d.memory.Subsets[i]
		gate = d.next.points.Gate(gate, defined(d.memory.Namespace, s))
		gate = d.next.points.Gate(gate, populated(s, use.Port))
	}
	return gate, faults
}

// namespaces are those in which a VirtualService is served: that of the host, and for a delegate those in which it has been. It
// forgets those in which another document has a delegate of its name by now.
func (d *draft) namespaces(o canary.Object) []string {
	if len(o.Spec.Hosts) > 0 {
		return []string{d.memory.Namespace}
	}
	d.memory.Delegates[o.Name] = slices.DeleteFunc(d.memory.Delegates[o.Name], func(namespace string) bool {
		id := rollout.ID{Key: store.Key{Kind: store.VirtualService, Name: namespace + "/" + d.routeName(o)}, Host: d.host}
		return namespace != d.memory.Namespace && slices.ContainsFunc(d.routes.Namesakes(id), func(r *rollout.Route) bool { return !r.Copy })
	})
	return d.memory.Delegates[o.Name]
}

// routeName is the metadata.name of a VirtualService. A delegate is called as its document says, since others name it.
func (d *draft) routeName(o canary.Object) string {
	switch {
	case o.Name == "":
		return objectName(rulePrefix + d.host)
	case len(o.Spec.Hosts) == 0:
		return objectName(o.Name)
	}
	return objectName(exposurePrefix + o.Name)
}

// routeFaults says why Istio would refuse a VirtualService (ValidateVirtualService), for the kind that is generated.
func routeFaults(namespace string, vs *networkingpb.VirtualService) []string {
	var f []string
	add := func(format string, args ...any) { f = append(f, fmt.Sprintf(format, args...)) }
	if len(vs.Http)+len(vs.Tcp)+len(vs.Tls) == 0 {
		add("there is no route")
	}
	for _, r := range vs.Http {
		if len(r.Route) == 0 && r.DirectResponse == nil {
			add("route %s leads nowhere", r.Name)
		}
		sum := int32(0)
		for _, dest := range r.Route {
			sum += dest.Weight
		}
		if len(r.Route) > 1 && sum == 0 {
			add("route %s has weights of 0 only", r.Name)
		}
	}
	exportFaults(namespace, vs.ExportTo, add)
	return f
}
