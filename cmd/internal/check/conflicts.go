package check

import (
	"fmt"

	"meshbridge/cmd/internal/api"
	"meshbridge/convert"
	"meshbridge/mcpserver/store"
)

// conflicts says what objects of others do to those that are served, or the other way round, as far as it can be known
// without them.
func conflicts(resources []api.Resource) Section {
	s := Section{Name: "conflicts", Verdict: "skipped (no Kubernetes access)"}
	bare, routes, yields := 0, 0, false
	for _, r := range resources {
		switch {
		case r.Kind == store.DestinationRule.Kind && !r.Policy:
			bare++
		case r.Kind == store.VirtualService.Kind:
			routes++
		}
		yields = yields || r.Created != nil && !r.Created.Before(convert.Created())
	}
	if bare > 0 {
		s.add(true, fmt.Sprintf("%s of the bridge without a trafficPolicy: a trafficPolicy that you set for a wildcard such as *.mesh does not hold for these hosts", count(bare, "DestinationRule")),
			"if you have one, put it into subsets.trafficPolicy as well")
	}
	if routes > 0 && yields {
		s.add(true, fmt.Sprintf("%s of the bridge: one of yours for the same host wins whole, and the canaries of that host get nothing", count(routes, "VirtualService")),
			"let yours delegate to the document (expose[].delegate) or name the bridge's subsets; or set canary.precedence: override")
	}
	return s
}
