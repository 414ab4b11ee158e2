package convert

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	networkingpb "istio.io/api/networking/v1alpha3"
	"meshbridge/convert/rollout"
)

// rulePrefix begins the names of generated DestinationRules and VirtualServices, so that they do not stand in the way of
// hand-written ones; exposurePrefix those of VirtualServices at gateways, which no host's name can meet.
const (
	rulePrefix     = "mb-"
	exposurePrefix = "mb."
)

// holdSubsets decides which subsets the host has.
func (d *draft) holdSubsets(before []rollout.Subset) {
	if !strings.Contains(d.host, ".") {
		return // the host of a DestinationRule without a dot would mean another one
	}
	h := rollout.Holding{
		Rules: d.rules.subsets(), Now: d.now, Before: before, Needed: d.needed(), Left: d.left,
		Discover: map[string]rollout.Discover{DiscoverNone: rollout.Never, DiscoverMultiple: rollout.Multiple, DiscoverAll: rollout.Always}[d.top().discover],
	}
	for _, e := range d.merged.endpoints {
		h.Endpoints = append(h.Endpoints, e.labels)
	}
	if d.plan != nil {
		h.Wanted = d.plan.Subsets
	}
	h.Hold()
	d.memory.Subsets, d.names = h.Subsets, h.Names
	for _, s := range h.Crowded {
		d.memory.Capped = true
		d.reject(ClassSubset, fmt.Sprintf("%s gets no subset: the service has more than %d (subsets.max)", s.ID(), h.Most))
	}
	if !h.Due.IsZero() {
		d.until(h.Due)
	}
	for _, s := range before {
		if !slices.ContainsFunc(h.Subsets, func(o rollout.Subset) bool { return o.ID() == s.ID() }) {
			d.until(d.now) // labels of endpoints that it alone asked for go next
		}
	}
}

// subsets is what the holding of subsets has in common for all hosts.
func (r *Rules) subsets() rollout.Rules {
	return rollout.Rules{
		Settle: r.config.Canary.Settle, Retain: r.config.Subsets.Retain, Labels: r.config.Subsets.Labels, Max: r.config.Subsets.Max,
		Label: toLabel,
		Aside: func(label, identity string, depth int) string {
			return name{host: label, identity: identity}.aside(depth)
		},
	}
}

// rule is the DestinationRule of the host, or nothing. It depends on the set of subsets alone, not on who is in them.
func (d *draft) rule(namespace string) (proto.Message, []string) {
	if len(d.memory.Subsets) == 0 {
		return nil, nil
	}
	spec := &networkingpb.DestinationRule{Host: d.host, ExportTo: d.exportTo(namespace), TrafficPolicy: d.rules.policy}
	for _, s := range d.memory.Subsets {
		spec.Subsets = append(spec.Subsets, &networkingpb.Subset{Name: s.Name, Labels: s.Labels, TrafficPolicy: failover(s.Failover)})
	}
	slices.SortFunc(spec.Subsets, func(a, b *networkingpb.Subset) int { return strings.Compare(a.Name, b.Name) })
	return spec, ruleFaults(namespace, spec)
}

// failover has requests go to the endpoints with these labels while they answer, and else to the others: Istio heeds the
// order only where outliers are found, and here a failed connection makes one, an answer of 5xx does not.
func failover(order []string) *networkingpb.TrafficPolicy {
	if len(order) == 0 {
		return nil
	}
	return &networkingpb.TrafficPolicy{
		LoadBalancer: &networkingpb.LoadBalancerSettings{
			LocalityLbSetting: &networkingpb.LocalityLoadBalancerSetting{Enabled: wrapperspb.Bool(true), FailoverPriority: order},
		},
		OutlierDetection: &networkingpb.OutlierDetection{
			Consecutive_5XxErrors: wrapperspb.UInt32(0), ConsecutiveGatewayErrors: wrapperspb.UInt32(0),
			SplitExternalLocalOriginErrors: true, ConsecutiveLocalOriginFailures: wrapperspb.UInt32(5), MaxEjectionPercent: 100,
		},
	}
}
