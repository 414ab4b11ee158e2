// Package changes tells a sink what of a scope is other than it was told before. Its invariant: what is equal is not told
// again. The sink keeps the services themselves, so only digests stay here.
package changes

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"meshbridge/sources"
)

// Scope knows what the sink was told of one scope, and what it is to be told next. It outlives connections and belongs to one
// goroutine.
type Scope struct {
	sink    sources.Sink
	name    string
	digests map[sources.Key]digest           // of services, as of the next Flush
	next    map[sources.Key]*sources.Service // since the last Flush; nil for those that went
	whole   bool                             // the first snapshot was given
	state   string                           // the last state's text, "" for nil
	stated  bool                             // any state was given
	faults  []sources.Fault
}

// New makes a scope of which the sink was told nothing yet.
func New(sink sources.Sink, name string) *Scope {
	return &Scope{sink: sink, name: name, digests: map[sources.Key]digest{}, next: map[sources.Key]*sources.Service{}}
}

// Whole reports whether the first snapshot was given.
func (s *Scope) Whole() bool { return s.whole }

// Has reports whether the next Flush leaves a service reported.
func (s *Scope) Has(key sources.Key) bool {
	_, found := s.digests[key]
	return found
}

// Put replaces a service; nil says that it is gone.
func (s *Scope) Put(key sources.Key, service *sources.Service) {
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

// Flush tells the sink what was put since the last Flush: everything the first time, then the changes. Of what is unknown the
// first time, the sink may know more than this process.
func (s *Scope) Flush(unknown func(sources.Key) bool) {
	if s.whole && len(s.next) == 0 {
		return
	}
	var changed []*sources.Service
	var removed []sources.Key
	for _, key := range slices.SortedFunc(maps.Keys(s.next), Compare) {
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

// State tells the sink the scope's state if it is another one than before.
func (s *Scope) State(err error) {
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

// Faults tells the sink the scope's faults if they are others than before.
func (s *Scope) Faults(faults []sources.Fault) {
	slices.SortFunc(faults, CompareFaults)
	if slices.Equal(s.faults, faults) {
		return
	}
	s.faults = faults
	s.sink.Faults(s.name, slices.Clone(faults))
}

// Compare orders keys of one scope.
func Compare(a, b sources.Key) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Namespace, b.Namespace))
}

// CompareFaults orders faults by where they are.
func CompareFaults(a, b sources.Fault) int {
	return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.Reason, b.Reason))
}

// digest tells services of one key apart.
type digest [sha256.Size]byte

// text is bytes in which no field can be mistaken for another.
type text []byte

func (t *text) number(n uint64) { *t = binary.AppendUvarint(*t, n) }

func (t *text) add(parts ...string) {
	for _, part := range parts {
		t.number(uint64(len(part)))
		*t = append(*t, part...)
	}
}

func (t *text) flag(b bool) {
	if b {
		t.number(1)
	} else {
		t.number(0)
	}
}

func (t *text) ports(ports []sources.Port) {
	t.number(uint64(len(ports)))
	for _, p := range ports {
		t.add(p.Name, p.Protocol)
		t.number(uint64(p.Number))
	}
}

func (t *text) metadata(m map[string]string) {
	t.number(uint64(len(m)))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		t.add(key, m[key])
	}
}

// digestOf covers every field of a service.
func digestOf(s *sources.Service) digest {
	var t text
	t.add(s.Scope, s.Namespace, s.Group, s.Name, s.Version, s.Datacenter)
	t.flag(s.Interface)
	t.ports(s.Ports)
	t.metadata(s.Metadata)
	t.number(uint64(len(s.Instances)))
	for i := range s.Instances {
		at := &s.Instances[i]
		t.add(at.ID, at.Address, at.Locality)
		t.ports(at.Ports)
		t.metadata(at.Metadata)
		t.number(uint64(at.Weight))
		t.flag(at.Healthy)
		t.flag(at.Enabled)
	}
	t.number(uint64(len(s.Skipped)))
	for _, f := range s.Skipped {
		t.add(f.Where, f.Reason)
	}
	return sha256.Sum256(t)
}
