package examples_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

// request is one as a VirtualService looks at it.
type request struct {
	headers map[string]string
	from    map[string]string // labels of the caller
}

// through says where a request goes at each hop. What a route sets is passed on, as applications are asked to.
func (r request) through(t *testing.T, served convert.Result, hops []string) string {
	t.Helper()
	r.headers = maps.Clone(r.headers)
	var to []string
	for _, name := range hops {
		to = append(to, r.at(t, served, name))
	}
	return strings.Join(to, " → ")
}

// at says where a VirtualService sends a request: "v1 90 %, v2 10 %", one subset alone, or a status. Without one it goes to all
// subsets in turn.
func (r request) at(t *testing.T, served convert.Result, name string) string {
	t.Helper()
	i := slices.IndexFunc(served.Resources, func(r *store.Resource) bool { return r.Kind == store.VirtualService && r.Name == name })
	if i < 0 {
		return strings.Join(subsets(t, served, name), " and ") + " in turn"
	}
	spec := specOf(t, served.Resources[i]).(*networkingpb.VirtualService)
	for _, rule := range spec.Http {
		if len(rule.Match) > 0 && !slices.ContainsFunc(rule.Match, r.fits) {
			continue
		}
		maps.Copy(r.headers, rule.GetHeaders().GetRequest().GetSet())
		if rule.DirectResponse != nil {
			return fmt.Sprint(rule.DirectResponse.Status)
		}
		if len(rule.Route) == 1 {
			return plain(rule.Route[0].Destination.Subset)
		}
		var shares []string
		for _, to := range rule.Route {
			shares = append(shares, fmt.Sprintf("%s %d %%", plain(to.Destination.Subset), to.Weight))
		}
		return strings.Join(shares, ", ")
	}
	return "404"
}

// plain is a subset's name as its document has it, without the digits that tell it from another one.
func plain(subset string) string {
	if at := strings.LastIndexByte(subset, '-'); at > 0 && len(subset)-at == 5 {
		return subset[:at]
	}
	return subset
}

func (r request) fits(m *networkingpb.HTTPMatchRequest) bool {
	for name, want := range m.Headers {
		is := canary.Match{Exact: want.GetExact(), Prefix: want.GetPrefix(), Regex: want.GetRegex()}
		if value, has := r.headers[name]; !has || !is.Fits(value) {
			return false
		}
	}
	for key, value := range m.SourceLabels {
		if r.from[key] != value {
			return false
		}
	}
	return true
}

// subsets are those of the DestinationRule of the same name.
func subsets(t *testing.T, served convert.Result, name string) (names []string) {
	t.Helper()
	for _, r := range served.Resources {
		if r.Kind != store.DestinationRule || r.Name != name {
			continue
		}
		for _, s := range specOf(t, r).(*networkingpb.DestinationRule).Subsets {
			names = append(names, s.Name)
		}
	}
	return names
}
