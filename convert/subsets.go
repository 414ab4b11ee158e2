package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networkingpb "istio.io/api/networking/v1alpha3"
)

// rulePrefix begins the names of generated DestinationRules, so that they do not stand in the way of hand-written ones.
const rulePrefix = "mb-"

// holdSubsets joins the values that endpoints have with those that were subsets and are retained, up to subsets.max.
func (d *draft) holdSubsets(before []heldSubset) []heldSubset {
	discover := d.top().discover
	if discover == DiscoverNone || !strings.Contains(d.host, ".") {
		return nil // the host of a DestinationRule without a dot would mean another one
	}
	var held []heldSubset
	for _, label := range d.rules.config.Subsets.Labels {
		held = append(held, d.holdLabel(label, discover, before)...)
	}
	return d.cap(held, before)
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
		held = append(held, heldSubset{Label: label, Value: strings.Clone(v)})
	}
	for _, s := range before {
		if s.Label != label || values[s.Value] {
			continue
		}
		if s.Since.IsZero() {
			s.Since = d.now
		}
		if gone := s.Since.Add(d.rules.config.Subsets.Retain); gone.After(d.now) {
			held = append(held, s)
		}
	}
	if len(held) < 2 && discover == DiscoverMultiple {
		return nil
	}
	if len(values) < 2 && discover == DiscoverMultiple && !slices.ContainsFunc(before, func(s heldSubset) bool { return s.Label == label }) {
		return nil
	}
	return held
}

// cap leaves at most subsets.max: those that were there and have endpoints, then new ones, then emptied ones.
func (d *draft) cap(held, before []heldSubset) []heldSubset {
	labels := d.rules.config.Subsets.Labels
	class := func(s heldSubset) int {
		switch {
		case !s.Since.IsZero():
			return 2
		case slices.ContainsFunc(before, func(o heldSubset) bool { return o.Label == s.Label && o.Value == s.Value }):
			return 0
		}
		return 1
	}
	slices.SortFunc(held, func(a, b heldSubset) int {
		return cmp.Or(cmp.Compare(class(a), class(b)), b.Since.Compare(a.Since),
			cmp.Compare(slices.Index(labels, a.Label), slices.Index(labels, b.Label)), strings.Compare(a.Value, b.Value))
	})
	most := d.rules.config.Subsets.Max
	for _, s := range held[min(most, len(held)):] {
		if s.Since.IsZero() {
			d.memory.Capped = true
			d.reject(ClassSubset, fmt.Sprintf("%s=%s gets no subset: the service has more than %d (subsets.max)", s.Label, s.Value, most))
		}
	}
	held = held[:min(most, len(held))]
	for _, s := range held {
		if !s.Since.IsZero() {
			d.until(s.Since.Add(d.rules.config.Subsets.Retain))
		}
	}
	slices.SortFunc(held, func(a, b heldSubset) int {
		return cmp.Or(cmp.Compare(slices.Index(labels, a.Label), slices.Index(labels, b.Label)), strings.Compare(a.Value, b.Value))
	})
	return held
}

// rule is the DestinationRule of the host, or nil. It depends on the set of subsets alone, not on who is in them.
func (d *draft) rule() *networkingpb.DestinationRule {
	if len(d.memory.Subsets) == 0 {
		return nil
	}
	spec := &networkingpb.DestinationRule{Host: d.host, ExportTo: d.exportTo(), TrafficPolicy: d.rules.policy}
	names := subsetNames(d.memory.Subsets)
	for i, s := range d.memory.Subsets {
		spec.Subsets = append(spec.Subsets, &networkingpb.Subset{Name: names[i], Labels: map[string]string{s.Label: s.Value}})
	}
	slices.SortFunc(spec.Subsets, func(a, b *networkingpb.Subset) int { return strings.Compare(a.Name, b.Name) })
	return spec
}

// subsetNames makes a DNS label of every value. Where two become one, the one that needed no change keeps it, then byte
// order; the others get four digits of their hash.
func subsetNames(subsets []heldSubset) []string {
	order := make([]int, len(subsets))
	for i := range order {
		order[i] = i
	}
	changed := func(i int) int {
		if toLabel(subsets[i].Value) == subsets[i].Value {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(changed(a), changed(b)), strings.Compare(subsets[a].Value, subsets[b].Value))
	})
	names := make([]string, len(subsets))
	taken := map[string]bool{}
	for _, i := range order {
		label := name{host: toLabel(subsets[i].Value), identity: subsets[i].Label + "=" + subsets[i].Value}
		n := label.host
		for depth := 1; taken[n]; depth++ {
			n = label.aside(depth)
		}
		names[i], taken[n] = n, true
	}
	return names
}
