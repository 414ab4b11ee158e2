package check

import (
	"fmt"
	"slices"
	"strings"

	"meshbridge/cmd/internal/kube"
)

// exportRemedy is for an object that those who need it do not see.
const exportRemedy = "export it there as well (mesh.exportTo, overrides[].exportTo)"

// gateways says which of the bridge's VirtualServices the gateways that they name do not see. Istio shows a gateway's proxies what
// is exported to the namespace that they run in, as a rule that of the Gateway object.
func (ours served) gateways(s *Section) {
	for _, our := range ours.others {
		for _, gateway := range our.Gateways {
			namespace, _, ok := strings.Cut(gateway, "/")
			if !ok {
				namespace = our.Namespace
			}
			if gateway != "mesh" && nearness(our.Meta, namespace) == unseen {
				s.add(false, fmt.Sprintf("VirtualService %s of the bridge, at gateway %s: it is exported to %s alone, and proxies of the gateway that run in namespace %s do not see it: its paths are answered with 404",
					our, gateway, exportedTo(our.Meta), namespace), exportRemedy)
			}
		}
	}
}

// delegated says which of the bridge's VirtualServices somebody else's names as delegates and does not see.
func (ours served) delegated(s *Section, theirs kube.Route) {
	for _, our := range ours.others {
		if slices.Contains(theirs.Delegates, our.String()) && nearness(our.Meta, theirs.Namespace) == unseen {
			s.add(false, fmt.Sprintf("VirtualService %s delegates to %s of the bridge, which is exported to %s alone: what it delegates is answered with 404",
				theirs, our, exportedTo(our.Meta)), exportRemedy)
		}
	}
}

// entry says what a ServiceEntry of somebody else does to hosts of the bridge. Of services of one host in several namespaces Istio
// takes the oldest; those of one namespace it joins.
func (ours served) entry(s *Section, theirs kube.Entry) {
	var c effects
	for _, host := range theirs.Hosts {
		for _, our := range ours.hosts[host] {
			c.add(host, meets(theirs.Meta, our))
		}
	}
	s.tell("ServiceEntry "+theirs.String(), c.hosts, c.order)
}

func meets(theirs, our kube.Meta) effect {
	const remedy = "remove it, or give the bridge's another host (host of its source, overrides[].host)"
	of := clientsOfExport(theirs)
	switch {
	case theirs.Namespace == our.Namespace && theirs.Name == our.Name:
		return effect{text: "it has the name of the bridge's, and istiod takes the one of the config source that it lists first", remedy: remedy}
	case theirs.Namespace == our.Namespace:
		return effect{text: "it has the host as well, and Istio joins both: requests go to its endpoints too", remedy: remedy}
	case theirs.Created.Before(our.Created):
		return effect{text: "it is older than the bridge's, and has the host" + of + ": requests go to it, and none to what the bridge serves", remedy: remedy}
	}
	return effect{true, "the bridge's is older and has the host, not this one", "nothing to do if that is meant"}
}

// service says what a Kubernetes Service does to the host of the bridge that has its name: Istio prefers it, whatever its age.
func (ours served) service(s *Section, theirs kube.Service) {
	host := theirs.Host()
	if len(ours.hosts[host]) == 0 {
		return
	}
	s.add(false, fmt.Sprintf("Service %s, at %s: Istio prefers a Service of Kubernetes%s: requests go to it, and none to what the bridge serves", theirs, host, clientsOfExport(theirs.Meta)),
		"give the bridge's another host (host of its source, overrides[].host), or remove the Service")
}

// clientsOfExport says for which clients an object is, unless it is for all.
func clientsOfExport(m kube.Meta) string {
	if _, all := m.Exported(); all {
		return ""
	}
	return " for clients in " + exportedTo(m)
}

// exportedTo names the namespaces of an object that is not for all.
func exportedTo(m kube.Meta) string {
	spaces, _ := m.Exported()
	if len(spaces) == 0 {
		return "no namespace"
	}
	return "namespace " + strings.Join(spaces, ", ")
}
