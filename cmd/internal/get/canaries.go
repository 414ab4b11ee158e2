package get

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meshbridge/cmd/internal/api"
	"meshbridge/convert"
)

func canaryColumns(now clock) []column[api.Canary] {
	return []column[api.Canary]{
		{name: "NAME", cell: func(c api.Canary) string { return orDash(c.Name) }},
		{name: "TEAM", cell: func(c api.Canary) string { return orDash(c.Team) }},
		{name: "STATE", cell: stateCell},
		{name: "SINCE", cell: func(c api.Canary) string { return now.age(c.Since) }},
		{name: "SERVICES", cell: func(c api.Canary) string { return strconv.Itoa(len(c.Services)) }},
		{name: "CANARIES", cell: func(c api.Canary) string { return orDash(strings.Join(canaryWords(c), "; ")) }},
		{name: "HOSTS", wide: true, cell: func(c api.Canary) string { return orDash(some(hostsOf(c))) }},
		{name: "ENDPOINTS", wide: true, cell: func(c api.Canary) string { return orDash(strings.Join(endpointWords(c), ",")) }},
		{name: "FAULTS", wide: true, cell: func(c api.Canary) string { return strconv.Itoa(len(c.Faults)) }},
		{name: "FILE", wide: true, cell: func(c api.Canary) string { return orDash(c.File) }},
	}
}

// stateCell words a document's state, and what of its services nobody knows.
func stateCell(c api.Canary) string {
	var unknown []string
	for _, f := range c.Findings {
		if f.Class == convert.FindingUnknown {
			unknown = append(unknown, f.Host)
		}
	}
	switch state := CanaryState(c); len(unknown) {
	case 0:
		return state
	case 1:
		return state + " (unknown: " + unknown[0] + ")"
	default:
		return fmt.Sprintf("%s (%d unknown services)", state, len(unknown))
	}
}

// CanaryState words a document's state: of one that waits how long at most or, where that is not known, that an ACK is still
// out or an istiod has just come.
func CanaryState(c api.Canary) string {
	if c.State != api.CanaryWaiting {
		return c.State
	}
	most := 0
	for _, w := range c.Waiting {
		switch {
		case w.Seconds == nil && w.Resource == "":
			return "waiting (new istiod)"
		case w.Seconds == nil:
			return "waiting (ACK)"
		}
		most = max(most, *w.Seconds)
	}
	return fmt.Sprintf("waiting (settle %ds)", most)
}

// subsetsOf are the names of a document's canaries or, without them, of its primary, as its services come.
func subsetsOf(c api.Canary, canaries bool) []string {
	var names []string
	for _, svc := range c.Services {
		for _, s := range svc.Subsets {
			if s.Canary == canaries && !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// canaryWords says of each canary which requests it gets at the first service that sends it any.
func canaryWords(c api.Canary) []string {
	var words []string
	for _, name := range subsetsOf(c, true) {
		gets := "no requests"
		for _, svc := range c.Services {
			if some := requestsTo(svc, name); some != "" {
				gets = some
				break
			}
		}
		words = append(words, name+" "+gets)
	}
	return words
}

// requestsTo says which requests a subset gets, the shares first.
func requestsTo(svc api.CanaryService, subset string) string {
	var shares, matches []string
	for _, r := range svc.Routes {
		for _, d := range r.Destinations {
			switch {
			case d.Subset != subset || d.Weight == 0:
			case r.Match != "" && d.Weight == 100:
				matches = append(matches, r.Match)
			default:
				shares = append(shares, strings.TrimSpace(fmt.Sprintf("%d%% %s", d.Weight, r.Match)))
			}
		}
	}
	return strings.Join(append(shares, matches...), " ")
}

func hostsOf(c api.Canary) []string {
	var hosts []string
	for _, svc := range c.Services {
		hosts = append(hosts, svc.Host)
	}
	return hosts
}

// endpointWords counts the endpoints of each subset, at each host in their order: v1=2+1,v2=1+0.
func endpointWords(c api.Canary) []string {
	var words []string
	for _, name := range append(subsetsOf(c, false), subsetsOf(c, true)...) {
		var counts []string
		for _, svc := range c.Services {
			for _, s := range svc.Subsets {
				if s.Name == name {
					counts = append(counts, strconv.Itoa(s.Endpoints))
				}
			}
		}
		words = append(words, name+"="+strings.Join(counts, "+"))
	}
	return words
}

// quietCanary is a document without what every second changes while a client is waited for.
func quietCanary(c api.Canary) api.Canary {
	c.Waiting = slices.Clone(c.Waiting)
	for i := range c.Waiting {
		c.Waiting[i].Reason = ""
		if c.Waiting[i].Seconds != nil {
			c.Waiting[i].Seconds = new(int)
		}
	}
	return c
}
