package zookeeper

import (
	"maps"
	"slices"

	"meshbridge/sources"
	"meshbridge/sources/changes"
)

// reporter knows what the sink was told of each root. It belongs to the follower.
type reporter struct {
	scopes map[string]*scopeReport
}

// scopeReport is what the sink was told of a scope, and the keys of its services by name.
type scopeReport struct {
	*changes.Scope
	names map[string][]sources.Key
}

func newReporter(sink sources.Sink, scopes []scope) *reporter {
	r := &reporter{scopes: map[string]*scopeReport{}}
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = s.name
		r.scopes[s.name] = &scopeReport{changes.New(sink, s.name), map[string][]sources.Key{}}
	}
	sink.Scopes(names)
	return r
}

// keys are those of the services of a name that the next flush leaves reported.
func (r *reporter) keys(scope, name string) []sources.Key { return r.scopes[scope].names[name] }

// put replaces all services of a name.
func (r *reporter) put(scope, name string, services []*sources.Service) {
	at := r.scopes[scope]
	keys := make([]sources.Key, 0, len(services))
	for _, s := range services {
		keys = append(keys, s.Key)
		at.Put(s.Key, s)
	}
	for _, key := range at.names[name] {
		if !slices.Contains(keys, key) {
			at.Put(key, nil)
		}
	}
	if len(keys) == 0 {
		delete(at.names, name)
	} else {
		at.names[name] = keys
	}
}

// lost tells the sink that nothing is known just now. A scope with a trouble of its own is no exception: it cannot be
// told from the others then.
func (r *reporter) lost(err error) {
	for _, scope := range slices.Sorted(maps.Keys(r.scopes)) {
		r.scopes[scope].State(err)
	}
}
