package convert

import (
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/convert/canary"
	"meshbridge/convert/rollout"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// walkFeedback tells the engine of a replica what the clients of its process have acknowledged.
type walkFeedback struct{ r *walkReplica }

// Reached asks every session of the process, and those of clients that have left it not long ago, as mcpserver.Server does.
func (f walkFeedback) Reached(host string, generation uint64, by time.Time) bool {
	newest := current(f.r.world.store)
	for _, s := range f.r.streams() {
		if !s.session.Reached(newest, host, generation, by) {
			return false
		}
	}
	for _, c := range f.r.w.clients {
		for _, s := range c.streams {
			away := f.r.w.now.Sub(s.left) < rollout.Keep(f.r.w.settle) && s.former != nil && s.leftWorld == f.r.world
			if away && !s.former.Reached(newest, host, generation, by) {
				return false
			}
		}
	}
	return true
}

// Elsewhere looks for clients of which some streams, and not that of the host, lead to this process.
func (f walkFeedback) Elsewhere(host string) bool {
	for _, c := range f.r.w.clients {
		here := slices.ContainsFunc(c.streams, func(s *walkStream) bool { return s.replica == f.r && s.session != nil })
		if of := c.of(host); here && (of.replica != f.r || of.session == nil) {
			return true
		}
	}
	return false
}

// walkSession makes the session of a stream, as a process that began at since does.
func walkSession(rules *Rules, view mcpserver.View, delta bool, since time.Time, snap *store.Snapshot, now time.Time) *mcpserver.Session {
	settle := rules.config.Canary.Settle
	return mcpserver.NewSession(mcpserver.SessionConfig{
		View: view, Delta: delta, Settle: settle, Retain: rollout.Keep(settle), Since: since,
	}, snap, now)
}

// walkServed is a document that is served, and the namespaces of the hosts where it is by host.
type walkServed struct {
	*canary.Document
	at   map[string]string
	lost map[int]bool // entries of expose that other documents keep out
}

// served are the documents that an engine serves, and the files of those of which it serves a former content.
func (w *walk) served(e *engine) (docs []walkServed, former []string) {
	for _, v := range e.canaries() {
		if v.State == CanaryLastGood {
			former = append(former, v.File)
		}
		if d := w.known[v.Served]; d != nil && v.State != CanaryHeld && v.State != CanaryPending {
			served := walkServed{Document: d, at: map[string]string{}, lost: map[int]bool{}}
			for _, l := range e.documents.losses(e.documents.all[keyOf(v.Team, v.Name)]) {
				served.lost[l.at] = true
			}
			for _, s := range v.Services {
				served.at[s.Host] = s.Namespace
			}
			docs = append(docs, served)
		}
	}
	return docs, former
}

// walkReplica is a process of the bridge.
type walkReplica struct {
	w     *walk
	name  string
	up    bool
	world *world
	began time.Time
	files map[string]canary.Entry
	views walkViews
	alarm time.Time // the next step that is planned

	docs   []walkServed
	former []string // the files of those that are served with a former content
	claims map[walkClaim]claimants
}

// start makes the process, from what an earlier one left if there was one.
func (r *walkReplica) start(rules *Rules) {
	r.up, r.began, r.alarm = true, r.w.now, time.Time{}
	if r.world == nil {
		r.world = newWorld(r.w.t, rules)
	} else {
		r.world = r.world.restart()
	}
	r.world.now = r.w.now
	r.world.reports = maps.Clone(r.world.reports)
	r.world.engine.clients = walkFeedback{r}
	r.files = maps.Clone(r.w.files)
	for ref := range r.world.reports {
		r.world.changes[ref] = r.w.now
	}
	for _, s := range r.w.services {
		r.report(s)
	}
	r.announce()
	r.step()
}

// report has the process see what the registries have of a service.
func (r *walkReplica) report(s *walkService) {
	for _, source := range walkSources {
		if slices.Contains(s.in, source) {
			r.world.put(source, s.report())
		} else if r.world.reports[walkRef(source, s)] != nil {
			r.world.gone(source, sources.Key{Name: s.name})
		}
	}
	var instances []walkInstance
	if len(s.in) > 0 {
		instances = slices.Clone(s.instances)
	}
	r.views.note(s.host(), r.w.now, instances)
}

func walkRef(source string, s *walkService) sources.Ref {
	return sources.Ref{Source: source, Key: sources.Key{Name: s.name}}
}

// announce has the process see the files of documents.
func (r *walkReplica) announce() { r.world.documents(r.entries()...) }

// entries are the documents of the files as the process sees them.
func (r *walkReplica) entries() []canary.Entry {
	entries := []canary.Entry{}
	for _, file := range slices.Sorted(maps.Keys(r.files)) {
		entries = append(entries, r.files[file])
	}
	return entries
}

// step lets the engine work, and wakes the streams whose state changed.
func (r *walkReplica) step() {
	if !r.up {
		return
	}
	r.world.now = r.w.now
	before, _ := r.world.store.Snapshot()
	r.world.step()
	after, _ := r.world.store.Snapshot()
	if at := r.world.engine.dues.next(); !at.IsZero() && (r.alarm.IsZero() || at.Before(r.alarm)) {
		r.alarm = at
		world := r.world
		r.w.at(at, func() {
			if r.world == world && r.alarm.Equal(at) {
				r.alarm = time.Time{}
				r.step()
			}
		})
	}
	r.docs, r.former = r.w.served(r.world.engine)
	r.claims = r.claimed()
	r.w.claim()
	if before != after {
		for _, s := range r.streams() {
			s.wake()
		}
	}
}

// streams are those that the process serves.
func (r *walkReplica) streams() []*walkStream {
	var all []*walkStream
	for _, c := range r.w.clients {
		for _, s := range c.streams {
			if s.replica == r && s.session != nil {
				all = append(all, s)
			}
		}
	}
	return all
}

// stop ends the process; its streams go elsewhere, or wait.
func (r *walkReplica) stop() {
	r.up = false
	for _, s := range r.streams() {
		s.cut()
		s.returns(r.w.between(0, time.Second))
	}
	r.w.claim()
}

// walkClaim is a way to requests that a document claims: a path at a gateway, a delegate of a host by its name, a delegate by
// its namespace and name, or a host within the mesh.
type walkClaim struct{ gateway, pattern, prefix, delegate, key, host string }

func (c walkClaim) String() string {
	return strings.Join(strings.Fields(strings.Join([]string{c.gateway, c.pattern, c.prefix, c.delegate, c.key, c.host}, " ")), " ")
}

// claimants are the revisions whose clients see a claim: that without a name, and canary.
type claimants struct{ plain, canary bool }

func (c claimants) of(revision string) bool {
	if revision == walkRevision {
		return c.canary
	}
	return c.plain
}

// claimed are the claims of the documents that are served whose services have an instance.
func (r *walkReplica) claimed() map[walkClaim]claimants {
	all := map[walkClaim]claimants{}
	add := func(host string, c walkClaim) {
		seen := claimants{plain: all[c].plain || host != walkRevised, canary: true}
		all[c] = seen
	}
	for _, d := range r.docs {
		for host := range d.at {
			if slices.Contains(d.Services, host) && len(r.views.now(host)) > 0 {
				add(host, walkClaim{host: host})
			}
		}
		for i, e := range d.Expose {
			if d.lost[i] {
				continue
			}
			host := e.Service
			if host == "" {
				host = d.Services[0]
			}
			ns, there := d.at[host]
			if !there || !slices.ContainsFunc(r.views.now(host), func(i walkInstance) bool { return i.offers(80) || i.offers(50051) }) {
				continue
			}
			if e.Gateway == "" {
				add(host, walkClaim{delegate: e.Delegate, host: host})
				add(host, walkClaim{key: ns + "/" + e.Delegate})
				continue
			}
			for _, pattern := range e.Hosts {
				if !d.hides(r, e.Gateway, pattern, e.Prefix) {
					add(host, walkClaim{gateway: e.Gateway, pattern: pattern, prefix: e.Prefix})
				}
			}
		}
	}
	return all
}

// hides reports whether a document hides a path of its own by a narrower host that lacks the path, or has it for a service
// without instances.
func (d walkServed) hides(r *walkReplica, gateway, pattern, prefix string) bool {
	narrower := map[string]bool{} // whether it has the path
	for _, e := range d.Expose {
		for _, host := range e.Hosts {
			if e.Gateway == gateway && host != pattern && covers(pattern, host) {
				narrower[host] = narrower[host] || e.Prefix == prefix && len(r.views.now(e.Target(d.Document))) > 0
			}
		}
	}
	return slices.Contains(slices.Collect(maps.Values(narrower)), false)
}

// claim notes since when each claim has been there in all processes, for the clients of each revision.
func (w *walk) claim() {
	for i, revision := range walkRevisions {
		next := map[walkClaim]time.Time{}
		counted := false
		for _, r := range w.replicas {
			if !r.up {
				continue
			}
			mine := map[walkClaim]time.Time{}
			for c, by := range r.claims {
				since, before := w.since[i][c]
				if !before {
					since = w.now
				}
				if _, others := next[c]; by.of(revision) && (others || !counted) {
					mine[c] = since
				}
			}
			next, counted = mine, true
		}
		if counted {
			w.since[i] = next
		}
	}
}
