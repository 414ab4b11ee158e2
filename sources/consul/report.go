package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"meshbridge/sources"
)

// reporter remembers, over the sessions of one Run, what was reported of a datacenter.
type reporter struct {
	sink   sources.Sink
	reader reader
	seed   maphash.Seed
	whole  bool            // the first Snapshot is out
	held   map[string]held // by name
	state  string          // the last reason to know nothing, "" when followed
	faults []sources.Fault
}

// held is what was reported of a service.
type held struct {
	digest uint64
	ids    []string // of instances, sorted
}

func newReporter(sink sources.Sink, r reader) *reporter {
	return &reporter{sink: sink, reader: r, seed: maphash.MakeSeed(), held: map[string]held{}}
}

// remember is what to hold of a service.
func (r *reporter) remember(s *sources.Service) held {
	text, err := json.Marshal(s)
	if err != nil {
		panic("a service has no JSON form: " + err.Error()) // it is texts and numbers
	}
	h := held{digest: maphash.Bytes(r.seed, text), ids: make([]string, len(s.Instances))}
	for i := range s.Instances {
		h.ids[i] = s.Instances[i].ID
	}
	return h
}

// lacks reports whether what was read lacks something that was reported.
func (h held) lacks(s *sources.Service) bool {
	if s == nil {
		return true
	}
	i := 0
	for _, id := range h.ids {
		for i < len(s.Instances) && s.Instances[i].ID < id {
			i++
		}
		if i == len(s.Instances) || s.Instances[i].ID != id {
			return true
		}
	}
	return false
}

// difference is how what was read differs from what was reported.
type difference struct {
	changed []string
	removed []string
	unknown []string // what was reported of them stands
	loss    bool     // an instance or a service is gone
}

// compare tells how readings differ from what was reported. What access control left something out of may have more than
// was read, unless that is what the operator wants.
func (r *reporter) compare(read map[string]reading) difference {
	var d difference
	for _, name := range slices.Sorted(maps.Keys(read)) {
		got := read[name]
		had, known := r.held[name]
		lacks := known && had.lacks(got.service)
		switch {
		case got.fault != "", got.filtered && !r.reader.cfg.AllowFiltered && (lacks || got.service == nil):
			d.unknown = append(d.unknown, name)
		case got.service == nil && known:
			d.removed, d.loss = append(d.removed, name), true
		case got.service != nil && (!known || r.remember(got.service).digest != had.digest):
			d.changed, d.loss = append(d.changed, name), d.loss || lacks
		}
	}
	return d
}

// report reports what was read. With complete, it is of all services that are listed, and hidden says that the list may lack
// some. A loss is reported only when the token is still one.
func (r *reporter) report(ctx context.Context, s *session, read map[string]reading, complete, hidden bool) error {
	d := r.compare(read)
	if complete {
		for name := range r.held {
			if _, listed := read[name]; !listed {
				d.removed, d.loss = append(d.removed, name), true
			}
		}
	}
	if d.loss || complete && len(read) == 0 {
		if err := s.corroborate(ctx); err != nil {
			return err
		}
	}
	r.blame(read, d, complete, hidden)
	if !r.whole {
		r.first(read, d, hidden)
		return nil
	}
	changed := make([]*sources.Service, 0, len(d.changed))
	for _, name := range d.changed {
		r.held[name] = r.remember(read[name].service)
		changed = append(changed, read[name].service)
	}
	removed := make([]sources.Key, 0, len(d.removed))
	slices.Sort(d.removed)
	for _, name := range d.removed {
		delete(r.held, name)
		removed = append(removed, r.reader.key(name))
	}
	r.state = ""
	r.sink.Update(r.reader.scope, changed, removed)
	return nil
}

// first reports a datacenter's first picture.
func (r *reporter) first(read map[string]reading, d difference, hidden bool) {
	unread := make(map[sources.Key]bool, len(d.unknown))
	for _, name := range d.unknown {
		unread[r.reader.key(name)] = true
	}
	gone := make(map[sources.Key]bool)
	var services []*sources.Service
	for _, name := range slices.Sorted(maps.Keys(read)) {
		s := read[name].service
		switch {
		case unread[r.reader.key(name)]:
		case s == nil:
			gone[r.reader.key(name)] = true
		default:
			r.held[name] = r.remember(s)
			services = append(services, s)
		}
	}
	r.whole, r.state = true, ""
	r.sink.Snapshot(r.reader.scope, services, func(key sources.Key) bool { return unread[key] || hidden && !gone[key] })
}

// vouch says that what was reported still holds.
func (r *reporter) vouch() {
	if r.whole {
		r.state = ""
		r.sink.Update(r.reader.scope, nil, nil)
	}
}

// unknown reports why nothing is known just now, unless that was the last that was said.
func (r *reporter) unknown(err error) {
	if text := err.Error(); r.state != text {
		r.state = text
		r.sink.State(r.reader.scope, err)
	}
}

// blame reports what could not be read. Of an incomplete reading, only what is new.
func (r *reporter) blame(read map[string]reading, d difference, complete, hidden bool) {
	var faults []sources.Fault
	if !complete {
		for _, f := range r.faults {
			if _, again := read[f.Where]; !again {
				faults = append(faults, f)
			}
		}
	} else if hidden {
		faults = append(faults, sources.Fault{Where: pathServices, Reason: "access control leaves services or nodes out; what was last reported of them stands. " +
			"The token lacks the rules " + rules + "; where it reads a part on purpose, set allowFiltered"})
	}
	for _, name := range d.unknown {
		reason := read[name].fault
		if reason == "" {
			reason = fmt.Sprintf("access control leaves instances out; what was last reported of them stands. The token lacks the rules %s", rules)
		}
		faults = append(faults, sources.Fault{Where: name, Reason: reason})
	}
	if !slices.Equal(faults, r.faults) {
		r.faults = slices.Clone(faults)
		r.sink.Faults(r.reader.scope, faults)
	}
}
