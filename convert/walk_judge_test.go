package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert/canary"
)

// walkJudge judges a client by what it holds and by what the registries have. For a route, it asks that
//
//   - the host has a ServiceEntry with the route's port, a DestinationRule of that entry's namespace the route's subset, and
//     one of the entries of that namespace an endpoint of the subset at the port. It asks so if the registries have had an
//     instance like that from settle before the state that the client's ServiceEntries are of until then, as every process
//     saw them. The client's ServiceEntries are of the state of the newest response that it has applied, or of the last
//     state that its session was given while none awaited an acknowledgement; so an acknowledgement that takes long excuses
//     what came meanwhile, and a session that holds back what came does not;
//   - a claim that the client routed when all had settled is routed for as long as documents claim it without a break.
type walkJudge struct {
	client  *walkClient
	held    *walkIstiod
	excused bool // something was empty, and rightly so

	labels  map[string]map[string]string // of each subset as last seen, by host and name
	members map[string][]walkInstance    // that a subset by stamps chose when it last had any, by host and labels

	seen map[walkClaim]seenClaim
}

// seenClaim is a claim that the client routed when all had settled.
type seenClaim struct {
	since time.Time // the claim
	keys  []string  // of a delegate: the names of its VirtualServices
}

func newWalkJudge(c *walkClient) walkJudge {
	return walkJudge{client: c, labels: map[string]map[string]string{}, members: map[string][]walkInstance{}, seen: map[walkClaim]seenClaim{}, excused: true}
}

// changed notes that the client holds something else.
func (j *walkJudge) changed() { j.held, j.excused = nil, true }

func (j *walkJudge) read() {
	if j.held == nil {
		j.held = j.client.w.istiod(j.client.holds())
	}
}

func (j *walkJudge) look() {
	if !j.excused {
		return
	}
	j.read()
	j.excused = false
	for _, o := range j.held.routes {
		for _, d := range o.dests {
			j.destination(o, d)
		}
	}
	j.claims()
}

func (j *walkJudge) fault(kind, format string, args ...any) {
	if j.client.returned {
		kind += ", of a client that came back"
	}
	if j.client.w.faults[kind] != "" {
		return
	}
	j.client.w.tell("%s", j.client.name+" holds:\n"+j.describe())
	j.client.w.fault(kind, "%s: %s", j.client.name, fmt.Sprintf(format, args...))
}

// destination judges where a route leads.
func (j *walkJudge) destination(o *walkObject, d *networkingpb.Destination) {
	host, port := d.Host, d.Port.GetNumber()
	ns, entries := j.held.service(host)
	id := host + " " + d.Subset
	switch labels, known := j.held.subset(host, ns, d.Subset); {
	case len(entries) == 0:
		if j.expects(host, nil, port) {
			j.fault("a route to a host without a ServiceEntry", "%s leads to %s", o.r.Name, host)
		}
	case !slices.ContainsFunc(entries, func(e *walkObject) bool { return e.offers(port) }):
		if j.expects(host, nil, port) {
			j.fault("a route to a port that is not there", "%s leads to %s:%d", o.r.Name, host, port)
		}
	case !known:
		if j.expects(host, j.labels[id], port) {
			j.fault("a route to a subset that is not there", "%s leads to subset %s (last %v) of %s in %s", o.r.Name, d.Subset, j.labels[id], host, ns)
		}
	default:
		j.labels[id] = labels
		chosen := selects(entries, labels, port)
		if len(chosen) > 0 {
			j.remember(host, labels, chosen)
		} else if j.expects(host, labels, port) {
			j.fault("a route to a subset without endpoints", "%s leads to subset %s %v of %s:%d", o.r.Name, d.Subset, labels, host, port)
		}
	}
}

func stamped(labels map[string]string) bool {
	for key := range labels {
		if strings.HasPrefix(key, "meshbridge.") {
			return true
		}
	}
	return false
}

// remember notes what a subset by stamps chooses: what a stamp means does not change while a route needs it.
func (j *walkJudge) remember(host string, labels map[string]string, chosen []*networkingpb.WorkloadEntry) {
	if !stamped(labels) {
		return
	}
	var members []walkInstance
	for _, e := range chosen {
		own := maps.Clone(e.Labels)
		maps.DeleteFunc(own, func(key, _ string) bool { return strings.HasPrefix(key, "meshbridge.") })
		members = append(members, walkInstance{addr: e.Address, labels: own})
	}
	j.members[host+canary.SubsetID(labels, nil)] = members
}

// expects reports whether a client must have an endpoint with some labels.
func (j *walkJudge) expects(host string, labels map[string]string, port uint32) bool {
	w, s := j.client.w, j.client.of(host)
	j.excused = true
	if s.from == nil {
		return false
	}
	own := maps.Clone(labels)
	maps.DeleteFunc(own, func(key, _ string) bool { return strings.HasPrefix(key, "meshbridge.") })
	members := j.members[host+canary.SubsetID(labels, nil)]
	var surely func(walkInstance) bool
	if stamped(labels) {
		surely = w.unclaimed(host)
	}
	chosen := func(in walkInstance) bool {
		if !in.has(own) || !in.offers(port) {
			return false
		}
		return surely == nil || surely(in) || slices.ContainsFunc(members, func(m walkInstance) bool { return m.addr == in.addr && in.has(m.labels) })
	}
	for _, r := range w.replicas {
		if (r.up || r == s.from) && !r.views.throughout(host, s.entries.Add(-w.settle), s.entries, func(list []walkInstance) bool { return slices.ContainsFunc(list, chosen) }) {
			return false
		}
	}
	return true
}

// unclaimed reports of an instance whether any stamp of documents must be on it: each that there was lately has it for its
// primary, and none for a canary.
func (w *walk) unclaimed(host string) func(walkInstance) bool {
	var docs []*canary.Document
	for hash, d := range w.known {
		until, ok := w.until[hash]
		if newGlobs(d.Services).match(host) && (!ok || w.now.Sub(until) < time.Minute) {
			docs = append(docs, d)
		}
	}
	for _, r := range w.replicas {
		for _, d := range r.docs {
			docs = append(docs, d.Document)
		}
	}
	return func(in walkInstance) bool {
		for _, d := range docs {
			label := "version"
			if d.Label != "" {
				label = d.Label
			}
			if slices.ContainsFunc(d.Canaries, func(c canary.Canary) bool { return in.has(c.Selector(label)) }) {
				return false
			}
			if p := d.Primary; p != nil && (p.Version != "" && in.labels[label] != p.Version || !in.has(p.Labels)) {
				return false
			}
		}
		return len(docs) > 0
	}
}

// claims judges the ways to requests.
func (j *walkJudge) claims() {
	w := j.client.w
	since := w.since[slices.Index(walkRevisions, j.client.revision)]
	for _, c := range slices.SortedFunc(maps.Keys(j.seen), func(a, b walkClaim) int { return strings.Compare(a.String(), b.String()) }) {
		seen := j.seen[c]
		at, ok := since[c]
		if !ok || !at.Equal(seen.since) {
			delete(j.seen, c)
			continue
		}
		kind := "a gateway's path"
		if c.delegate+c.key != "" {
			kind = "a delegate"
		} else if c.host != "" {
			kind = "a host's routes"
		}
		keys := j.held.keys(c)
		switch {
		case !j.held.has(c):
			j.fault(kind+" lost", "%s, which documents claim since %s", c, w.stamp(at))
		case len(seen.keys) > 0 && !slices.ContainsFunc(seen.keys, func(k string) bool { return slices.Contains(keys, k) }):
			j.fault("a delegate lost under its key", "%s was %v, and is %v", c, seen.keys, keys)
		case c.gateway != "":
			if hidden := j.held.hidden(c); hidden != "" && !w.lately(since, walkClaim{gateway: c.gateway, pattern: hidden, prefix: c.prefix}) {
				j.fault(kind+" hidden", "%s, which documents claim since %s, by hosts %s", c, w.stamp(at), hidden)
			}
		}
	}
}

// lately reports whether a path is claimed since so short a time that it need not have arrived: by another VirtualService than
// the one whose host hides the path at a wider one.
func (w *walk) lately(since map[walkClaim]time.Time, c walkClaim) bool {
	if at, ok := since[c]; ok {
		return w.now.Sub(at) < walkSlow+5*w.settle
	}
	return slices.ContainsFunc(w.replicas, func(r *walkReplica) bool { _, ok := r.claims[c]; return r.up && ok })
}

// settle notes what the client routes when all has settled. A plan from before a claim is done with by then.
func (j *walkJudge) settle() {
	w := j.client.w
	if w.now.Sub(w.acted) < 2*w.settle || !j.client.settled() {
		return
	}
	j.client.returned = false
	j.read()
	for c, at := range w.since[slices.Index(walkRevisions, j.client.revision)] {
		if _, ok := j.seen[c]; ok || w.now.Sub(at) < walkSlow+5*w.settle || !j.held.has(c) {
			continue
		}
		seen := seenClaim{since: at}
		if c.delegate != "" {
			seen.keys = j.held.keys(c)
		}
		j.seen[c] = seen
	}
}
