package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"meshbridge/cmd/internal/api"
	"meshbridge/sources"
)

// replicas says how bridges that should serve the same do not, each compared with the first.
func replicas(bridges []Bridge) Section {
	s := Section{Name: "replicas", Fine: "all serve the same"}
	first := newReplica(bridges[0])
	for _, b := range bridges[1:] {
		first.compare(&s, newReplica(b))
	}
	return s
}

// replica is a bridge whose state can be looked up.
type replica struct {
	server    string
	sources   map[string]api.Source
	services  map[string]api.Service  // by host
	resources map[string]api.Resource // by kind and name
}

func newReplica(b Bridge) replica {
	r := replica{server: b.Server, sources: map[string]api.Source{}, services: map[string]api.Service{}, resources: map[string]api.Resource{}}
	for _, src := range b.Sources {
		r.sources[src.Name] = src
	}
	for _, svc := range b.Services {
		r.services[svc.Host] = svc
	}
	for _, res := range b.Resources {
		r.resources[res.Kind+" "+res.Namespace+"/"+res.Name] = res
	}
	return r
}

// reason is why two replicas may differ, and what to do about it.
type reason struct {
	rank         int // the surest come first
	text, remedy string
}

func (r replica) compare(s *Section, other replica) {
	for _, two := range [][2]replica{{r, other}, {other, r}} {
		if alone := missing(two[0].sources, two[1].sources); len(alone) > 0 {
			s.add(false, fmt.Sprintf("%s follows %s, %s does not", two[0].server, strings.Join(alone, ", "), two[1].server), "replicas need one configuration")
		}
	}
	byReason := map[reason][]string{}
	note := func(key, how string, res api.Resource) {
		why := r.why(other, res)
		byReason[why] = append(byReason[why], key+" "+how)
	}
	for key, res := range r.resources {
		switch same, ok := other.resources[key]; {
		case !ok:
			note(key, "is missing", res)
		case same.Version != res.Version:
			note(key, "differs", res)
		}
	}
	for key, res := range other.resources {
		if _, ok := r.resources[key]; !ok {
			note(key, "is there alone", res)
		}
	}
	for _, why := range slices.SortedFunc(maps.Keys(byReason), func(a, b reason) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.text, b.text))
	}) {
		differ := byReason[why]
		slices.Sort(differ)
		s.add(false, fmt.Sprintf("%s serves %s otherwise than %s: %s%s: %s", other.server, count(len(differ), "resource"), r.server,
			strings.Join(differ[:min(len(differ), examples)], ", "), more(len(differ)), why.text), why.remedy)
	}
}

// why finds the likely reason for which a resource differs.
func (r replica) why(other replica, res api.Resource) reason {
	for _, name := range res.Sources {
		if why, ok := r.whySource(other, name); ok {
			return why
		}
	}
	a, b := r.services[res.Host], other.services[res.Host]
	switch {
	case a.EmptySince != nil || b.EmptySince != nil:
		return reason{2, "it has no instances and is retained at one of them", "it passes by itself within retainEmpty"}
	case len(a.Addresses) > 0 && len(b.Addresses) > 0 && !slices.Equal(a.Addresses, b.Addresses):
		return reason{3, "hosts whose addresses meet came in another order", "pin an address with overrides[].address"}
	case res.Kind == "DestinationRule":
		return reason{4, "a subset without instances is likely retained at one of them", "it passes by itself within subsets.retain"}
	}
	for _, name := range res.Sources {
		if apart := apart(r.sources[name], other.sources[name]); apart > 0 {
			return reason{5, fmt.Sprintf("one read source %s %s before the other", name, duration.HumanDuration(apart)), "check again after the source's poll interval"}
		}
	}
	return reason{6, "a change may be under way", "check again; if it stays compare their configurations, and meshbridge get services -o wide of both"}
}

// whySource finds what is wrong with a source at one of the replicas alone.
func (r replica) whySource(other replica, name string) (reason, bool) {
	a, b := r.sources[name], other.sources[name]
	if a.Name == "" || b.Name == "" {
		return reason{0, "source " + name + " is configured at one of them alone", "replicas need one configuration"}, true
	}
	for _, two := range []struct {
		server    string
		one, than api.Source
	}{{r.server, a, b}, {other.server, b, a}} {
		for _, scope := range two.one.Scopes {
			is := scopeOf(two.than, scope.Name)
			of := "source " + name
			if scope.Name != "" {
				of += ", scope " + scope.Name
			}
			if scope.Held != nil && (is.Held == nil || is.Held.Instances < scope.Held.Instances) {
				return reason{0, fmt.Sprintf("%s holds back a loss of %s", two.server, of), "if the instances are really gone: meshbridge release " + name + " at every replica"}, true
			}
			if scope.State != sources.Synced && scope.State != is.State {
				return reason{1, fmt.Sprintf("at %s %s is %s", two.server, of, scope.State), "see why it cannot read its registry: meshbridge get sources -o wide"}, true
			}
		}
	}
	return reason{}, false
}

// scopeOf is a source's scope of a name, or none.
func scopeOf(src api.Source, name string) api.Scope {
	for _, scope := range src.Scopes {
		if scope.Name == name {
			return scope
		}
	}
	return api.Scope{}
}

// apart is how long one of two replicas read a source before the other.
func apart(a, b api.Source) time.Duration {
	var longest time.Duration
	for _, scope := range a.Scopes {
		if is := scopeOf(b, scope.Name); scope.LastReport != nil && is.LastReport != nil {
			longest = max(longest, scope.LastReport.Sub(*is.LastReport).Abs())
		}
	}
	return longest.Truncate(time.Second)
}

// missing are the keys of a that b lacks, sorted.
func missing[V any](a, b map[string]V) []string {
	var keys []string
	for key := range a {
		if _, ok := b[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
