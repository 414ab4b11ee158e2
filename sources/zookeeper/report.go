package zookeeper

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"

	"meshbridge/sources"
)

// reporter knows what the sink was told and tells it what changed since. It belongs to the follower.
type reporter struct {
	sink   sources.Sink
	scopes map[string]*scopeReport
}

// scopeReport is what the sink was told of a scope, and what it is to be told next. What it was told it keeps itself, so
// only digests stay here.
type scopeReport struct {
	digests map[sources.Key]digest           // of services, as of the next flush
	names   map[string][]sources.Key         // keys of services, by name
	next    map[sources.Key]*sources.Service // since the last flush; nil for those that went
	whole   bool                             // the first snapshot was given
	state   string                           // the last state's text, "" for nil
	stated  bool                             // any state was given
	faults  []sources.Fault
}

func newReporter(sink sources.Sink, scopes []scope) *reporter {
	r := &reporter{sink: sink, scopes: map[string]*scopeReport{}}
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = s.name
		r.scopes[s.name] = &scopeReport{
			digests: map[sources.Key]digest{}, names: map[string][]sources.Key{}, next: map[sources.Key]*sources.Service{},
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
		old, found := at.digests[s.Key]
		if d := digestOf(s); !found || d != old {
			at.digests[s.Key], at.next[s.Key] = d, s
		}
	}
	for _, key := range at.names[name] {
		if !slices.Contains(keys, key) {
			delete(at.digests, key)
			at.next[key] = nil
		}
	}
	if len(keys) == 0 {
		delete(at.names, name)
	} else {
		at.names[name] = keys
	}
}

// flush tells the sink what was put since the last flush: everything the first time, then the changes. Of what is
// unreadable the first time, the sink may know more than this process.
func (r *reporter) flush(scope string, unreadable func(sources.Key) bool) {
	at := r.scopes[scope]
	if at.whole && len(at.next) == 0 {
		return
	}
	var changed []*sources.Service
	var removed []sources.Key
	for _, key := range slices.SortedFunc(maps.Keys(at.next), compareKeys) {
		if s := at.next[key]; s != nil {
			changed = append(changed, s)
		} else {
			removed = append(removed, key)
		}
	}
	at.next = map[sources.Key]*sources.Service{} // a cleared map keeps its size
	at.state, at.stated = "", true
	if at.whole {
		r.sink.Update(scope, changed, removed)
		return
	}
	at.whole = true
	r.sink.Snapshot(scope, changed, unreadable)
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

// digest tells services apart.
type digest [sha256.Size]byte

// digestOf covers everything that a source of this package fills in.
func digestOf(s *sources.Service) digest {
	var text []byte
	add := func(parts ...string) {
		for _, part := range parts {
			text = binary.AppendUvarint(text, uint64(len(part)))
			text = append(text, part...)
		}
	}
	number := func(n int) { text = binary.AppendUvarint(text, uint64(n)) }
	add(s.Scope, s.Group, s.Name, s.Version)
	text = strconv.AppendBool(text, s.Interface)
	number(len(s.Skipped))
	for _, f := range s.Skipped {
		add(f.Where, f.Reason)
	}
	for i := range s.Instances {
		at := &s.Instances[i]
		add(at.ID, at.Address)
		number(int(at.Weight))
		text = strconv.AppendBool(strconv.AppendBool(text, at.Healthy), at.Enabled)
		number(len(at.Ports))
		for _, p := range at.Ports {
			add(p.Protocol)
			number(int(p.Number))
		}
		number(len(at.Metadata))
		for _, key := range slices.Sorted(maps.Keys(at.Metadata)) {
			add(key, at.Metadata[key])
		}
	}
	return sha256.Sum256(text)
}
