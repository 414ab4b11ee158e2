package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/wrapperspb"

	networkingpb "istio.io/api/networking/v1alpha3"
	"meshbridge/convert/canary"
)

// rulePrefix begins the names of generated DestinationRules and VirtualServices, so that they do not stand in the way of
// hand-written ones.
const rulePrefix = "mb-"

// holdSubsets joins the subsets that documents name or named lately, the values that endpoints have, and those that were
// subsets and are retained, up to subsets.max. What a document names has the name that it says, unless a route may still mean
// another subset by it.
func (d *draft) holdSubsets(before []heldSubset) []heldSubset {
	if !strings.Contains(d.host, ".") {
		return nil // the host of a DestinationRule without a dot would mean another one
	}
	held := d.holdRouted(before)
	if discover := d.top().discover; discover != DiscoverNone {
		for _, label := range d.rules.config.Subsets.Labels {
			for _, s := range d.holdLabel(label, discover, before) {
				s.Name, s.Routed = "", false
				if !slices.ContainsFunc(held, func(o heldSubset) bool { return o.Name == toLabel(s.wish()) && o.id() == s.id() }) {
					held = append(held, s)
				}
			}
		}
	}
	held = d.named(d.cap(held, before))
	for i := range held {
		if j := slices.IndexFunc(before, held[i].same); j >= 0 {
			held[i].added = before[j].added
		}
		if held[i].added.IsZero() {
			held[i].added = d.now
		}
	}
	return held
}

// holdRouted are the subsets that routes name, and those that routes have left less than retain ago.
func (d *draft) holdRouted(before []heldSubset) []heldSubset {
	var held, left []heldSubset
	taken := map[string]string{}
	for _, s := range before {
		if s.Routed {
			taken[s.Name] = s.id()
		}
	}
	if d.plan != nil {
		for _, wanted := range d.plan.Subsets {
			s := heldSubset{Labels: wanted.Labels, Failover: wanted.Failover, Routed: true}
			label := name{host: toLabel(wanted.Name), identity: s.id()}
			s.Name = label.host
			for depth := 1; taken[s.Name] != "" && taken[s.Name] != s.id(); depth++ {
				s.Name = label.aside(depth)
			}
			taken[s.Name] = s.id()
			held, d.names = append(held, s), append(d.names, s.Name)
		}
	}
	for _, s := range before {
		if s.Routed && !slices.ContainsFunc(held, s.same) && d.retained(&s) {
			left = append(left, s)
		}
	}
	held = append(held, left...)
	if d.plan != nil && slices.ContainsFunc(d.plan.Subsets, func(wanted canary.Subset) bool {
		return !slices.ContainsFunc(held, func(s heldSubset) bool { return s.Name == toLabel(wanted.Name) })
	}) {
		d.until(d.now.Add(d.rules.config.Canary.Settle)) // its name is free now; it may have it when proxies have forgotten the former
	}
	return held
}

// retained reports whether a subset that lost its last endpoint or route stays, and notes since when it has.
func (d *draft) retained(s *heldSubset) bool {
	if s.Since.IsZero() {
		s.Since = d.now
	}
	return s.Since.Add(d.rules.config.Subsets.Retain).After(d.now)
}

func (d *draft) holdLabel(label, discover string, before []heldSubset) []heldSubset {
	values := map[string]bool{}
	for _, e := range d.merged.endpoints {
		if v := e.labels[label]; v != "" {
			values[v] = true
		}
	}
	var held []heldSubset
	for v := range values {
		held = append(held, heldSubset{Labels: map[string]string{label: strings.Clone(v)}})
	}
	known := 0
	for _, s := range before {
		l, v := s.discovered()
		if l != label {
			continue
		}
		known++
		if !values[v] && d.retained(&s) && !slices.ContainsFunc(held, func(o heldSubset) bool { return o.id() == s.id() }) {
			held = append(held, s) // once, under however many names it was held
		}
	}
	if len(held) < 2 && discover == DiscoverMultiple {
		return nil
	}
	if len(values) < 2 && discover == DiscoverMultiple && known == 0 {
		return nil
	}
	return held
}

// cap leaves at most subsets.max beside those of documents: those that were there and have endpoints, then new ones, then
// emptied ones.
func (d *draft) cap(held, before []heldSubset) []heldSubset {
	class := func(s heldSubset) int {
		switch {
		case s.Routed:
			return 0
		case !s.Since.IsZero():
			return 3
		case slices.ContainsFunc(before, func(o heldSubset) bool { return o.id() == s.id() }):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(held, func(a, b heldSubset) int {
		return cmp.Or(cmp.Compare(class(a), class(b)), b.Since.Compare(a.Since), d.compareSubsets(a, b))
	})
	routed := 0
	for routed < len(held) && held[routed].Routed {
		routed++
	}
	most := max(routed, d.rules.config.Subsets.Max)
	for _, s := range held[min(most, len(held)):] {
		if s.Since.IsZero() {
			d.memory.Capped = true
			d.reject(ClassSubset, fmt.Sprintf("%s gets no subset: the service has more than %d (subsets.max)", s.id(), most))
		}
	}
	held = held[:min(most, len(held))]
	for _, s := range held {
		if !s.Since.IsZero() {
			d.until(s.Since.Add(d.rules.config.Subsets.Retain))
		}
	}
	slices.SortStableFunc(held, d.compareSubsets)
	return held
}

// compareSubsets orders by the label's place in subsets.labels, then by value.
func (d *draft) compareSubsets(a, b heldSubset) int {
	place := func(s heldSubset) (int, string) {
		label, value := s.discovered()
		if i := slices.Index(d.rules.config.Subsets.Labels, label); i >= 0 {
			return i, value
		}
		return len(d.rules.config.Subsets.Labels), s.id()
	}
	i, v := place(a)
	j, w := place(b)
	return cmp.Or(cmp.Compare(i, j), strings.Compare(v, w))
}

// rule is the DestinationRule of the host, or nil. It depends on the set of subsets alone, not on who is in them.
func (d *draft) rule() *networkingpb.DestinationRule {
	if len(d.memory.Subsets) == 0 {
		return nil
	}
	spec := &networkingpb.DestinationRule{Host: d.host, ExportTo: d.exportTo(), TrafficPolicy: d.rules.policy}
	for _, s := range d.memory.Subsets {
		spec.Subsets = append(spec.Subsets, &networkingpb.Subset{Name: s.Name, Labels: s.Labels, TrafficPolicy: failover(s.Failover)})
	}
	slices.SortFunc(spec.Subsets, func(a, b *networkingpb.Subset) int { return strings.Compare(a.Name, b.Name) })
	return spec
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

// wish is the name that a discovered subset should have: its value, before that is made a DNS label.
func (s heldSubset) wish() string {
	_, value := s.discovered()
	return value
}

// same reports whether two are one subset under one name.
func (s heldSubset) same(o heldSubset) bool { return s.Name == o.Name && s.id() == o.id() }

// named gives every discovered subset a name of its own. Where two wish for one, the one that needs no change gets it, then the
// first label, then byte order; the others get four digits of their hash.
func (d *draft) named(held []heldSubset) []heldSubset {
	taken := map[string]bool{}
	var fresh []int
	for i := range held {
		if held[i].Name == "" {
			fresh = append(fresh, i)
		}
		taken[held[i].Name] = true
	}
	changed := func(i int) int {
		if w := held[i].wish(); toLabel(w) != w {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(fresh, func(a, b int) int {
		return cmp.Or(cmp.Compare(changed(a), changed(b)), strings.Compare(held[a].wish(), held[b].wish()))
	})
	for _, i := range fresh {
		label := name{host: toLabel(held[i].wish()), identity: held[i].id()}
		n := label.host
		for depth := 1; taken[n]; depth++ {
			n = label.aside(depth)
		}
		held[i].Name, taken[n] = n, true
	}
	return held
}
