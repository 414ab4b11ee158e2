package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/wrapperspb"
	networkingpb "istio.io/api/networking/v1alpha3"
)

// rulePrefix begins the names of generated DestinationRules and VirtualServices, so that they do not stand in the way of
// hand-written ones.
const rulePrefix = "mb-"

// holdSubsets joins the subsets that documents name, the values that endpoints have, and those that were subsets and are
// retained, up to subsets.max.
func (d *draft) holdSubsets(before []heldSubset) []heldSubset {
	if !strings.Contains(d.host, ".") {
		return nil // the host of a DestinationRule without a dot would mean another one
	}
	var held []heldSubset
	add := func(s heldSubset) {
		if !slices.ContainsFunc(held, func(o heldSubset) bool { return o.id() == s.id() }) {
			held = append(held, s)
		}
	}
	if d.plan != nil {
		for _, s := range d.plan.Subsets {
			add(heldSubset{Name: s.Name, Labels: s.Labels, Failover: s.Failover, Routed: true})
		}
	}
	if discover := d.top().discover; discover != DiscoverNone {
		for _, label := range d.rules.config.Subsets.Labels {
			for _, s := range d.holdLabel(label, discover, before) {
				add(s)
			}
		}
	}
	for _, s := range before {
		if s.Routed && d.retained(&s) {
			add(s)
		}
	}
	return d.named(d.cap(held, before), before)
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
		if !values[v] && d.retained(&s) {
			held = append(held, s)
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

// cap leaves at most subsets.max beside those that documents name: those that were there and have endpoints, then new ones,
// then emptied ones.
func (d *draft) cap(held, before []heldSubset) []heldSubset {
	class := func(s heldSubset) int {
		switch {
		case s.Since.IsZero() && s.Routed:
			return 0
		case !s.Since.IsZero():
			return 3
		case slices.ContainsFunc(before, func(o heldSubset) bool { return o.id() == s.id() }):
			return 1
		}
		return 2
	}
	slices.SortFunc(held, func(a, b heldSubset) int {
		return cmp.Or(cmp.Compare(class(a), class(b)), b.Since.Compare(a.Since), d.compareSubsets(a, b))
	})
	named := 0
	for named < len(held) && class(held[named]) == 0 {
		named++
	}
	most := max(named, d.rules.config.Subsets.Max)
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
	slices.SortFunc(held, d.compareSubsets)
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

// wish is the name that a new subset should have: what its document says, else its value.
func (s heldSubset) wish() string {
	_, value := s.discovered()
	return cmp.Or(s.Name, value)
}

// named gives every subset a name of its own, that which it has had. Where two wish for one, the one that needs no change
// gets it, then byte order; the others get four digits of their hash.
func (d *draft) named(held, before []heldSubset) []heldSubset {
	taken := map[string]bool{}
	var fresh []int
	for i := range held {
		if j := slices.IndexFunc(before, func(o heldSubset) bool { return o.id() == held[i].id() }); j >= 0 {
			held[i].Name, held[i].Aside, held[i].added = before[j].Name, before[j].Aside, before[j].added
			taken[held[i].Name] = true
		} else {
			fresh = append(fresh, i)
		}
		if held[i].added.IsZero() {
			held[i].added = d.now
		}
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
			n, held[i].Aside = label.aside(depth), true
		}
		held[i].Name, taken[n] = n, true
	}
	return held
}
