package nacos

import (
	"maps"
	"slices"

	"meshbridge/sources"
	"meshbridge/sources/changes"
)

// reporter knows what the sink was told of each namespace. It belongs to the follower and outlives connections.
type reporter struct {
	sink   sources.Sink
	scopes map[string]*changes.Scope
}

func newReporter(sink sources.Sink) *reporter {
	return &reporter{sink: sink, scopes: map[string]*changes.Scope{}}
}

// name tells the sink which scopes there are, where those are others than before.
func (r *reporter) name(names []string) {
	known := slices.Sorted(maps.Keys(r.scopes))
	if len(known) > 0 && slices.Equal(known, names) {
		return
	}
	for name := range r.scopes {
		if !slices.Contains(names, name) {
			delete(r.scopes, name)
		}
	}
	for _, name := range names {
		if r.scopes[name] == nil {
			r.scopes[name] = changes.New(r.sink, name)
		}
	}
	r.sink.Scopes(names)
}

// lost tells the sink that nothing is known just now.
func (r *reporter) lost(err error) {
	for _, name := range slices.Sorted(maps.Keys(r.scopes)) {
		r.scopes[name].State(err)
	}
}
