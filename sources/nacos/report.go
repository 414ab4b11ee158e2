package nacos

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"strconv"

	"meshbridge/sources"
)

// reporter knows what the sink was told and tells it what changed since. It belongs to the follower and outlives
// connections.
type reporter struct {
	sink   sources.Sink
	scopes map[string]*scopeReport
}

// scopeReport is what the sink was told of a scope, and what it is to be told next. What it was told it keeps itself, so
// only digests stay here.
type scopeReport struct {
	sink    sources.Sink
	name    string
	digests map[sources.Key]digest           // of services, as of the next flush
	next    map[sources.Key]*sources.Service // since the last flush; nil for those that went
	whole   bool                             // the first snapshot was given
	state   string                           // the last state's text, "" for nil
	stated  bool                             // any state was given
	faults  []sources.Fault
}

func newReporter(sink sources.Sink) *reporter {
	return &reporter{sink: sink, scopes: map[string]*scopeReport{}}
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
			r.scopes[name] = &scopeReport{sink: r.sink, name: name, digests: map[sources.Key]digest{}, next: map[sources.Key]*sources.Service{}}
		}
	}
	r.sink.Scopes(names)
}

// lost tells the sink that nothing is known just now.
func (r *reporter) lost(err error) {
	for _, name := range slices.Sorted(maps.Keys(r.scopes)) {
		r.scopes[name].tell(err)
	}
}

// has reports whether the next flush leaves a service reported.
func (s *scopeReport) has(key sources.Key) bool {
	_, found := s.digests[key]
	return found
}

// put replaces a service; nil says that it is gone.
func (s *scopeReport) put(key sources.Key, service *sources.Service) {
	old, found := s.digests[key]
	if service == nil {
		if found {
			delete(s.digests, key)
			s.next[key] = nil
		}
		return
	}
	if d := digestOf(service); !found || d != old {
		s.digests[key], s.next[key] = d, service
	}
}

// flush tells the sink what was put since the last flush: everything the first time, then the changes.
func (s *scopeReport) flush(unknown func(sources.Key) bool) {
	if s.whole && len(s.next) == 0 {
		return
	}
	var changed []*sources.Service
	var removed []sources.Key
	for _, key := range slices.SortedFunc(maps.Keys(s.next), compareKeys) {
		if service := s.next[key]; service != nil {
			changed = append(changed, service)
		} else {
			removed = append(removed, key)
		}
	}
	s.next = map[sources.Key]*sources.Service{} // a cleared map keeps its size
	s.state, s.stated = "", true
	if s.whole {
		s.sink.Update(s.name, changed, removed)
		return
	}
	s.whole = true
	s.sink.Snapshot(s.name, changed, unknown)
}

// tell tells the sink the scope's state if it is another one than before.
func (s *scopeReport) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if s.stated && s.state == text {
		return
	}
	s.state, s.stated = text, true
	s.sink.State(s.name, err)
}

// blame tells the sink the scope's faults if they are others than before.
func (s *scopeReport) blame(faults []sources.Fault) {
	slices.SortFunc(faults, func(a, b sources.Fault) int {
		return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.Reason, b.Reason))
	})
	if slices.Equal(s.faults, faults) {
		return
	}
	s.faults = faults
	s.sink.Faults(s.name, slices.Clone(faults))
}

func digestOf(s *sources.Service) digest {
	text := strconv.AppendBool(nil, s.Interface)
	for i := range s.Instances {
		text = appendInstance(text, &s.Instances[i])
	}
	return sha256.Sum256(appendFaults(text, s.Skipped))
}

func compareKeys(a, b sources.Key) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Version, b.Version))
}
