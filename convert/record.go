package convert

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"meshbridge/convert/rollout"
	"meshbridge/sources"
)

// unusedKeep is how long a record stays whose host has not come back.
const unusedKeep = 24 * time.Hour

// canaryRecord begins the keys of records that are not of hosts but of documents: the content that was last active. No host has
// a slash.
const canaryRecord = "canary/"

// record is what is kept on disk of a host: only what a bridge that starts now would not find out by itself.
type record struct {
	Addrs  []netip.Addr `json:"addrs,omitempty"`
	Memory memory       `json:"memory,omitzero"`
	Gone   []goneRecord `json:"gone,omitempty"`
	Unused time.Time    `json:"unused,omitzero"` // since when no host takes it
}

// goneRecord is a claim that is retained.
type goneRecord struct {
	Ref      sources.Ref `json:"ref"`
	Host     string      `json:"host"`
	Identity string      `json:"identity"`
	Exact    bool        `json:"exact,omitempty"`
	Explicit bool        `json:"explicit,omitempty"`
	Alias    bool        `json:"alias,omitempty"`
	Since    time.Time   `json:"since"`
}

// load takes in the records of a former process.
func (e *engine) load(raw map[string]string) (damaged []string) {
	e.saved, e.gone = make(map[string]record, len(raw)), make(map[string][]goneRecord, len(raw))
	addrs := map[string][]netip.Addr{}
	contents := map[string]string{}
	for _, host := range slices.Sorted(maps.Keys(raw)) {
		if document, ok := strings.CutPrefix(host, canaryRecord); ok {
			contents[document] = raw[host]
			continue
		}
		var r record
		if err := json.Unmarshal([]byte(raw[host]), &r); err != nil {
			damaged = append(damaged, host)
			continue
		}
		e.saved[host], e.wrote[host], e.gone[host] = r, raw[host], r.Gone
		if len(r.Addrs) > 0 {
			addrs[host] = r.Addrs
		}
	}
	e.vips = newVIPs(e.rules.ranges, addrs)
	return append(damaged, e.documents.load(contents)...)
}

// recall gives a new host the memory of a former process.
func (e *engine) recall(s *hostState) {
	if r, ok := e.saved[s.name]; ok {
		s.memory = r.Memory
		s.memory.Subsets = slices.DeleteFunc(s.memory.Subsets, func(sub rollout.Subset) bool { return len(sub.Labels) == 0 })
		delete(e.saved, s.name)
	}
}

// restore brings back the claims that were retained when the former process ended.
func (e *engine) restore(now time.Time) {
	for _, host := range slices.Sorted(maps.Keys(e.wrote)) {
		for _, g := range e.gone[host] {
			g.Since = pardoned(g.Since, e.rules.config.RetainEmpty, pardon, now)
			e.revive(g, now)
		}
	}
	e.gone = nil
	e.hosts.settle()
	keep := rollout.Keep(e.rules.config.Canary.Settle) // clients are yet to come back, some of them with routes of long ago
	for _, s := range e.hosts.all {
		for i, p := range s.Ports {
			s.Ports[i].Since = pardoned(p.Since, e.rules.config.RetainEmpty, pardon, now)
			s.Ports[i].Left = pardoned(p.Left, keep, keep, now)
		}
		for i, sub := range s.Subsets {
			if sub.Routed {
				s.Subsets[i].Since = pardoned(sub.Since, max(e.rules.config.Subsets.Retain, keep), keep, now)
			} else {
				s.Subsets[i].Since = pardoned(sub.Since, e.rules.config.Subsets.Retain, pardon, now)
			}
		}
		for i, h := range s.Homes {
			s.Homes[i].Since = pardoned(h.Since, keep, keep, now)
		}
	}
	for _, host := range slices.Sorted(maps.Keys(e.saved)) {
		e.unused(host, now)
	}
}

// pardon is the least that is left of the time of what is retained when the gate opens.
const pardon = time.Minute

// pardoned is since when something counts as retained that was when the former process ended. It did not begin in the future,
// even where the clock went back; and what ran out while no process was there goes a little later, so that a client that comes
// back sees no change.
func pardoned(since time.Time, retain, left time.Duration, now time.Time) time.Time {
	if since.IsZero() || retain <= 0 {
		return since
	}
	latest, earliest := now, now.Add(min(left, retain)-retain)
	switch {
	case since.After(latest):
		return latest
	case since.Before(earliest):
		return earliest
	}
	return since
}

func (e *engine) revive(g goneRecord, now time.Time) {
	set := e.rules.of(g.Ref)
	if set == nil || set.source.declared || !g.Since.Add(e.rules.config.RetainEmpty).After(now) {
		return
	}
	state := e.refs[g.Ref]
	if state == nil {
		state = &refState{ref: g.Ref}
		e.refs[g.Ref] = state
	}
	n := name{host: g.Host, identity: g.Identity, exact: g.Exact, explicit: g.Explicit}
	if slices.ContainsFunc(state.claims, func(c *claim) bool { return c.name == n && c.alias == g.Alias }) {
		return
	}
	c := &claim{ref: state, name: n, alias: g.Alias, since: g.Since}
	state.claims = append(state.claims, c)
	e.hosts.add(c)
}

// unused notes since when a record has no host, and deletes it after a while.
func (e *engine) unused(host string, now time.Time) {
	r := e.saved[host]
	switch {
	case r.Unused.IsZero():
		r.Unused = now
		e.write(host, r)
	case now.Sub(r.Unused) > unusedKeep:
		e.saves[host] = ""
		delete(e.wrote, host)
	}
}

// record keeps on disk what the host deviates in, or nothing.
func (e *engine) record(s *hostState, moved bool) {
	var r record
	if moved {
		r.Addrs = s.addrs
	}
	for _, c := range s.claims() {
		if !c.since.IsZero() {
			r.Gone = append(r.Gone, goneRecord{Ref: c.ref.ref, Host: c.name.host, Identity: c.name.identity,
				Exact: c.name.exact, Explicit: c.name.explicit, Alias: c.alias, Since: c.since.Round(0)})
		}
	}
	if s.memory.retains() || len(r.Gone) > 0 {
		r.Memory = s.memory
	}
	if r.Addrs == nil && r.Gone == nil && !r.Memory.retains() {
		if _, ok := e.wrote[s.name]; ok {
			e.saves[s.name] = ""
			delete(e.wrote, s.name)
		}
		return
	}
	e.write(s.name, r)
}

func (e *engine) write(host string, r record) {
	raw, err := json.Marshal(r)
	if err != nil {
		return // the types above always marshal
	}
	if e.wrote[host] != string(raw) {
		e.wrote[host], e.saves[host] = string(raw), string(raw)
	}
}
