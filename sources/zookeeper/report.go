package zookeeper

import (
	"maps"
	"reflect"
	"slices"

	"meshbridge/sources"
)

// reporter knows what the sink was told and tells it what changed since. It belongs to the follower.
type reporter struct {
	sink   sources.Sink
	scopes map[string]*scopeReport
}

// scopeReport is what the sink was told of a scope, and what it is to be told next.
type scopeReport struct {
	services map[sources.Key]*sources.Service // as of the next flush
	names    map[string][]sources.Key         // keys of services, by name
	changed  map[sources.Key]bool             // since the last flush
	whole    bool                             // the first snapshot was given
	state    string                           // the last state's text, "" for nil
	stated   bool                             // any state was given
	faults   []sources.Fault
}

func newReporter(sink sources.Sink, scopes []scope) *reporter {
	r := &reporter{sink: sink, scopes: map[string]*scopeReport{}}
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = s.name
		r.scopes[s.name] = &scopeReport{
			services: map[sources.Key]*sources.Service{}, names: map[string][]sources.Key{}, changed: map[sources.Key]bool{},
		}
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
		if old := at.services[s.Key]; old == nil || !equalServices(old, s) {
			at.services[s.Key] = s
			at.changed[s.Key] = true
		}
	}
	for _, key := range at.names[name] {
		if !slices.Contains(keys, key) {
			delete(at.services, key)
			at.changed[key] = true
		}
	}
	if len(keys) == 0 {
		delete(at.names, name)
	} else {
		at.names[name] = keys
	}
}

// flush tells the sink what was put since the last flush: everything the first time, then the changes.
func (r *reporter) flush(scope string) {
	at := r.scopes[scope]
	switch {
	case !at.whole:
		at.whole = true
		services := slices.Collect(maps.Values(at.services))
		slices.SortFunc(services, func(a, b *sources.Service) int { return compareKeys(a.Key, b.Key) })
		r.sink.Snapshot(scope, services)
	case len(at.changed) > 0:
		var changed []*sources.Service
		var removed []sources.Key
		for _, key := range slices.SortedFunc(maps.Keys(at.changed), compareKeys) {
			if s := at.services[key]; s != nil {
				changed = append(changed, s)
			} else {
				removed = append(removed, key)
			}
		}
		r.sink.Update(scope, changed, removed)
	default:
		return
	}
	clear(at.changed)
	at.state, at.stated = "", true
}

// state tells the sink a scope's state if it is another one than before.
func (r *reporter) state(scope string, err error) {
	at := r.scopes[scope]
	text := ""
	if err != nil {
		text = err.Error()
	}
	if at.stated && at.state == text {
		return
	}
	at.state, at.stated = text, true
	r.sink.State(scope, err)
}

// lost tells the sink that nothing is known just now. A scope with a trouble of its own is no exception: it cannot be
// told from the others then.
func (r *reporter) lost(err error) {
	for _, scope := range slices.Sorted(maps.Keys(r.scopes)) {
		r.state(scope, err)
	}
}

// faults tells the sink a scope's faults if they are others than before.
func (r *reporter) faults(scope string, faults []sources.Fault) {
	at := r.scopes[scope]
	slices.SortFunc(faults, compareFaults)
	if slices.Equal(at.faults, faults) {
		return
	}
	at.faults = faults
	r.sink.Faults(scope, slices.Clone(faults))
}

func equalServices(a, b *sources.Service) bool {
	return a == b || a.Key == b.Key && a.Interface == b.Interface && slices.Equal(a.Skipped, b.Skipped) && equalInstances(a.Instances, b.Instances)
}

func equalInstances(a, b []sources.Instance) bool {
	return slices.EqualFunc(a, b, func(x, y sources.Instance) bool { return reflect.DeepEqual(x, y) })
}
