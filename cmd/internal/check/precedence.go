package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"meshbridge/cmd/internal/kube"
)

// rootNamespace is Istio's own, unless the mesh has another: what is there holds where nothing nearer does.
const rootNamespace = "istio-system"

// rule says what a DestinationRule of somebody else and the bridge's do to each other. Istio takes the first that it finds
// for a host in the client's namespace, then the service's, then its root namespace, and that one whole; in one namespace two
// of one host and one exportTo are merged.
func (ours served) rule(s *Section, theirs kube.Rule) {
	var c effects
	for _, our := range ours.rules {
		exact, covers := theirs.Host == our.Host, kube.Covers(theirs.Host, our.Host)
		near := theirs.Namespace == our.Namespace
		root := theirs.Namespace == rootNamespace && !slices.Equal(theirs.ExportTo, []string{"."})
		switch {
		case !exact && !covers:
		case exact && near && theirs.Name == our.Name:
			c.add(our.Host, effect{text: "it has the name of the bridge's, and istiod takes the one of the config source that it lists first", remedy: "give it another name, or remove it"})
		case exact && near && theirs.Selector:
			c.add(our.Host, effect{true, "it holds alone for the workloads that it selects, without the bridge's subsets", "name the subsets in it as well"})
		case exact && near && !sameExport(theirs, our):
			c.add(our.Host, unmerged(theirs, our))
		case exact && near:
			if names := redefined(theirs, our); len(names) > 0 {
				c.add(our.Host, defined(theirs, our, strings.Join(names, ", ")))
			}
		case covers && (near || root) || root:
			if theirs.Policy && !our.Policy {
				c.add(our.Host, effect{text: "its trafficPolicy does not hold, since the bridge's DestinationRule is nearer", remedy: "put what it says into subsets.trafficPolicy, or leave these hosts without subsets (overrides[].subsets: none)"})
			}
		default: // it is in a namespace of clients
			if missing := missingSubsets(theirs, ours.needed[our.Host]); len(missing) > 0 {
				c.add(our.Host, effect{text: fmt.Sprintf("it holds alone for clients in namespace %s, which have no subset %s then: what the bridge routes there fails with 503", theirs.Namespace, strings.Join(missing, ", ")),
					remedy: "name these subsets in it, or move it into namespace " + our.Namespace})
			}
		}
	}
	s.tell("DestinationRule "+theirs.String(), c.hosts, c.order)
}

// defined says whose labels hold for subsets that both rules define: those of the older one.
func defined(theirs, our kube.Rule, subsets string) effect {
	const remedy = "take the subset out of it, or give it another name"
	if older(theirs.Meta, our.Meta) {
		return effect{text: "it has other labels for subset " + subsets + " than the bridge's and is older: what the bridge routes there goes to its endpoints", remedy: remedy}
	}
	return effect{true, "it has other labels for subset " + subsets + " than the bridge's, which is older and holds", remedy}
}

// unmerged says which of two rules of one host holds that are not exported alike: the older one, whole.
func unmerged(theirs, our kube.Rule) effect {
	remedy := "export both alike: mesh.exportTo, and exportTo of yours"
	if older(theirs.Meta, our.Meta) {
		return effect{hint: !theirs.Policy && len(theirs.Subsets) == 0, text: "it is not exported as the bridge's is, and nothing of it holds", remedy: remedy}
	}
	return effect{text: "it is not exported as the bridge's is, and holds alone: the bridge's subsets are gone", remedy: remedy}
}

func sameExport(a, b kube.Rule) bool {
	return slices.Equal(slices.Sorted(slices.Values(a.ExportTo)), slices.Sorted(slices.Values(b.ExportTo)))
}

// redefined are the subsets that both define, otherwise.
func redefined(theirs, our kube.Rule) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(theirs.Subsets)) {
		if labels, ok := our.Subsets[name]; ok && !maps.Equal(labels, theirs.Subsets[name]) {
			names = append(names, name)
		}
	}
	return names
}

// missingSubsets are those of the needed ones that a rule does not define.
func missingSubsets(r kube.Rule, needed []string) []string {
	var names []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(needed))) {
		if _, ok := r.Subsets[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// route says what a VirtualService of somebody else and the bridge's do to each other. For sidecars one alone holds for a
// host: the first in the order of nearness, and of those as near the oldest; a host written out before a wildcard.
func (ours served) route(s *Section, theirs kube.Route) {
	if !theirs.Mesh() {
		return
	}
	var c effects
	for _, our := range ours.routes {
		for _, host := range our.Hosts {
			switch {
			case slices.Contains(theirs.Hosts, host):
				if e := taken(theirs, our, host); e.text != "" {
					c.add(host, e)
				}
			case slices.ContainsFunc(theirs.Hosts, func(h string) bool { return kube.Covers(h, host) }):
				c.add(host, effect{true, "the bridge's VirtualService is for the host itself and holds, not this one", "nothing to do if that is meant"})
			}
		}
	}
	s.tell("VirtualService "+theirs.String(), c.hosts, c.order)
}

// taken says who has a host that both are for.
func taken(theirs, our kube.Route, host string) effect {
	text, remedy := "it holds, and not the bridge's", yieldRemedy
	if spaces, all := theirs.Exported(); !all {
		lost, met := []string(nil), false
		for _, namespace := range spaces {
			if nearness(our.Meta, namespace) == unseen {
				continue
			}
			if met = true; before(theirs.Meta, our.Meta, namespace) {
				lost = append(lost, namespace)
			}
		}
		switch {
		case !met:
			return effect{}
		case len(lost) == 0:
			return effect{true, "the bridge's is exported as near, and is older: it holds, not this one", "nothing to do if that is meant (canary.precedence)"}
		}
		text, remedy = "for clients in namespace "+strings.Join(lost, ", ")+" "+text, delegateRemedy
	} else if _, all := our.Exported(); !all {
		return effect{true, "the bridge's is exported to some namespaces alone, and holds there, not this one", "nothing to do if that is meant"}
	} else if !older(theirs.Meta, our.Meta) {
		return effect{true, "the bridge's is older and holds, not this one", "nothing to do if that is meant (canary.precedence)"}
	}
	if slices.ContainsFunc(our.Subsets[host], func(subset string) bool { return slices.Contains(theirs.Subsets[host], subset) }) {
		return effect{true, text + ": canaries get what it routes to the bridge's subsets", "nothing to do if that is meant; else " + remedy}
	}
	return effect{text: text + ": canaries get nothing", remedy: remedy}
}

// The order in which Istio looks for the VirtualService of a host, for the clients of a namespace.
const (
	private = iota // of the namespace itself, and for it
	named          // exported to the namespace by its name
	public         // exported to all
	unseen         // not for it
)

// nearness is where Istio finds an object for the clients of a namespace.
func nearness(m kube.Meta, namespace string) int {
	spaces, all := m.Exported()
	switch {
	case all:
		return public
	case !slices.Contains(spaces, namespace):
		return unseen
	case namespace == m.Namespace:
		return private
	}
	return named
}

// before reports whether Istio finds an object before another for the clients of a namespace.
func before(a, b kube.Meta, namespace string) bool {
	if x, y := nearness(a, namespace), nearness(b, namespace); x != y {
		return x < y
	}
	return older(a, b)
}

// older reports whether Istio takes an object before another: by age, then name, then namespace.
func older(a, b kube.Meta) bool {
	if !a.Created.Equal(b.Created) {
		return a.Created.Before(b.Created)
	}
	if a.Name != b.Name {
		return a.Name < b.Name
	}
	return a.Namespace < b.Namespace
}
