package convert

import (
	"slices"
	"strings"
	"time"

	"meshbridge/sources"
)

// report takes in what a source says of a service now. After a reload, names that the service no longer has go at once.
func (e *engine) report(ref sources.Ref, svc *sources.Service, now time.Time, reload bool) {
	state := e.refs[ref]
	if state == nil {
		if svc == nil {
			return
		}
		state = &refState{ref: ref}
		e.refs[ref] = state
	}
	e.tally(&state.rejected, nil)
	set := e.rules.of(ref)
	switch {
	case set == nil, svc == nil && set.source.declared:
		for _, c := range state.claims {
			e.hosts.remove(c)
		}
		state.claims = nil
	case svc == nil:
		for _, c := range state.claims {
			e.retire(c, now)
		}
	default:
		if !e.open {
			e.ask(svc)
		}
		var rejected rejections
		wanted := e.names(set, svc, &rejected)
		e.tally(&state.rejected, &rejected)
		e.claim(state, wanted, set.host != nil && set.host.perInstance && !reload, now)
	}
	if svc == nil && len(state.claims) == 0 {
		delete(e.refs, ref)
	}
}

// ask has the host names of a service's instances looked up while the gate is closed, so that what opens is whole.
func (e *engine) ask(svc *sources.Service) {
	for i := range svc.Instances {
		if host, ok := lookupName(&svc.Instances[i]); ok {
			e.lookup(host)
		}
	}
}

// retire notes that a service no longer has a host; the claim stays until it is forgotten.
func (e *engine) retire(c *claim, now time.Time) {
	if c.since.IsZero() {
		c.since = now
	}
	e.touch(c.host())
}

// wish is a host that a service wants.
type wish struct {
	name  name
	alias bool
}

// names are the hosts that a service wants, without repetition.
func (e *engine) names(set *settings, svc *sources.Service, rejected *rejections) []wish {
	for _, f := range svc.Skipped {
		rejected.add(Rejection{Source: set.source.name, Service: strings.Clone(svc.Name), Instance: clip(f.Where), Class: ClassRead, Reason: f.Reason})
	}
	domain := e.rules.config.Mesh.Domain
	seen := map[name]bool{}
	var wanted []wish
	want := func(instance string, metadata map[string]string) {
		n, err := set.nameOf(svc, domain, metadata)
		if err != nil {
			rejected.add(Rejection{Source: set.source.name, Service: strings.Clone(svc.Name), Instance: clip(instance), Class: ClassHost, Reason: err.Error()})
		} else if !seen[n] {
			seen[n] = true
			wanted = append(wanted, wish{name: n})
		}
	}
	if set.host != nil && set.host.perInstance {
		for i := range svc.Instances {
			metadata := metadataOf(svc, &svc.Instances[i])
			if set.picks(&svc.Instances[i], metadata) {
				want(svc.Instances[i].ID, metadata)
			}
		}
	} else {
		want("", nil)
	}
	for _, alias := range set.aliases {
		if !slices.ContainsFunc(wanted, func(w wish) bool { return w.name.host == alias.host }) {
			wanted = append(wanted, wish{name: alias, alias: true})
		}
	}
	return wanted
}

// claim brings a service's claims in line with what it wants. What it no longer wants is retained if retain says so.
func (e *engine) claim(state *refState, wanted []wish, retain bool, now time.Time) {
	missing := make(map[wish]bool, len(wanted))
	for _, w := range wanted {
		missing[w] = true
	}
	kept := state.claims[:0]
	for _, c := range state.claims {
		w := wish{name: c.name, alias: c.alias}
		switch {
		case missing[w]:
			delete(missing, w)
			c.since = time.Time{}
			e.touch(c.host())
		case retain:
			e.retire(c, now)
		default:
			e.hosts.remove(c)
			continue
		}
		kept = append(kept, c)
	}
	clear(state.claims[len(kept):])
	state.claims = kept
	for _, w := range wanted {
		if missing[w] {
			c := &claim{ref: state, name: w.name, alias: w.alias}
			state.claims = append(state.claims, c)
			e.hosts.add(c)
		}
	}
}
