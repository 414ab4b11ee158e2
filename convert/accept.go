package convert

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"meshbridge/convert/canary"
)

// judge notes what a host says of the documents that are not active as their files say, and what documents take from each other
// there. A draft without ports says nothing.
func (e *engine) judge(d *draft, docs candidates) {
	e.documents.settleLosses(docs, d.host, d.lost)
	if e.documents.namespace(d.host) != d.servedIn() {
		e.documents.relocated(d.host)
	}
	for _, doc := range docs.all {
		if !doc.content.names(d.host) || doc.settled() {
			continue
		}
		if len(d.ports) == 0 {
			e.unsee(doc, d.host)
			continue
		}
		v := e.rules.canaries().Judge(doc.content.Document, d.world)
		if old, ok := doc.verdicts[d.host]; !ok || !old.Equal(v) {
			doc.verdicts[d.host] = v
			e.recheck(doc)
		}
	}
}

// servedIn is the namespace that a draft is served in, "" if it is not.
func (d *draft) servedIn() string {
	if len(d.ports) == 0 {
		return ""
	}
	return d.memory.Namespace
}

// namespaceOf is the namespace that a host is served in, "" if it is not.
func (e *engine) namespaceOf(host string) string {
	if s := e.hosts.all[host]; s != nil && len(s.ports) > 0 {
		return s.namespace
	}
	return ""
}

// wanted reports whether a service wants a host.
func (e *engine) wanted(host string) bool {
	s := e.hosts.all[host]
	return s != nil && len(e.parts(s, false)) > 0
}

// unsee forgets what a host said that is gone.
func (e *engine) unsee(doc *document, host string) {
	e.documents.lose(doc, host, nil)
	if _, ok := doc.verdicts[host]; ok {
		delete(doc.verdicts, host)
		e.recheck(doc)
		e.documents.relocated(host)
	}
}

// recheck has accept decide about a document.
func (e *engine) recheck(doc *document) { e.documents.checks[doc.key] = true }

// accept decides which documents become active in the world as it is now, each by itself, and who has the paths at gateways, and
// has the hosts converted anew that this changes.
func (e *engine) accept(now time.Time) {
	for _, key := range slices.Sorted(maps.Keys(e.documents.checks)) {
		if doc := e.documents.all[key]; doc != nil {
			e.decide(doc, now)
		}
	}
	clear(e.documents.checks)
	if len(e.documents.targets) > 0 {
		for host := range e.dirty {
			e.documents.came(host)
		}
	}
	for _, host := range e.documents.settleExposures() {
		if e.hosts.all[host] != nil {
			e.touch(host)
		}
	}
}

// decide makes active what a document's file says, if nothing is wrong with it in itself and in the world.
func (e *engine) decide(doc *document, now time.Time) {
	if doc.entry == nil {
		return // what is wrong with its file is known
	}
	doc.faults = nil
	if doc.content == nil {
		return
	}
	faults := slices.Clone(doc.entry.Faults)
	if len(faults) == 0 {
		if doc.settled() {
			e.moved(doc)
			return
		}
		if len(doc.verdicts) == 0 {
			return // there is no such service yet
		}
		doc.faults = canary.Faults(doc.content.Document, doc.verdicts)
		faults = doc.faults
	}
	responding, ok := []int(nil), len(faults) == 0
	if !ok && e.rules.config.Canary.OnInvalid == canary.OnInvalidRespond && len(doc.verdicts) > 0 {
		responding, ok = ruleFaultsOnly(faults)
	}
	if !ok || doc.served != nil && doc.served.Document.hash == doc.content.hash && slices.Equal(doc.served.Answering, responding) {
		return
	}
	e.enforce(doc, responding, now)
}

// moved notes that an active document has another file or team: should that file not be readable one day, the document stays. The
// hosts are converted anew, since its precedence may be another.
func (e *engine) moved(doc *document) {
	if doc.served.File == doc.entry.File && doc.served.Team == doc.entry.Team {
		return
	}
	next := *doc.served
	next.File, next.Team = doc.entry.File, doc.entry.Team
	doc.served = &next
	e.keep(doc)
	e.documents.expose(doc)
	for _, service := range doc.services() {
		e.touchService(service)
	}
}

// enforce makes a document's content active, and keeps it on disk.
func (e *engine) enforce(doc *document, responding []int, now time.Time) {
	for _, service := range doc.services() {
		e.touchService(service)
	}
	doc.served = &activeContent{Document: doc.content, Content: doc.content.Document, File: doc.entry.File, Team: doc.entry.Team,
		Since: now.UTC().Round(0), Answering: responding}
	e.keep(doc)
	e.documents.index(doc)
	e.documents.expose(doc)
	for host := range doc.lost {
		if !doc.content.names(host) {
			e.documents.lose(doc, host, nil)
		}
	}
}

// keep writes what is active of a document on disk.
func (e *engine) keep(doc *document) {
	raw, err := json.Marshal(doc.served)
	if err != nil {
		panic(fmt.Sprintf("a document of texts and numbers did not marshal: %v", err))
	}
	e.saves[canaryRecord+doc.key] = string(raw)
}

// touchService has the hosts converted anew that a host or glob names.
func (e *engine) touchService(service string) {
	g := newGlob(service)
	if g.literal() {
		if e.hosts.all[service] != nil {
			e.touch(service)
		}
		return
	}
	for host := range e.hosts.all {
		if g.match(host) {
			e.touch(host)
		}
	}
}

// ruleFaultsOnly are the canaries that faults are about, if all are about canaries whose headers are known.
func ruleFaultsOnly(faults []canary.Fault) ([]int, bool) {
	var at []int
	for _, f := range faults {
		rest, ok := strings.CutPrefix(f.Path, "canaries[")
		if !ok {
			return nil, false
		}
		digits, field, _ := strings.Cut(rest, "]")
		i, err := strconv.Atoi(digits)
		if err != nil || strings.HasPrefix(field, ".headers") {
			return nil, false
		}
		at = append(at, i)
	}
	slices.Sort(at)
	return slices.Compact(at), true
}

// labelKeys are the keys of labels that documents ask for.
func (r *Rules) labelKeys(docs []*document) []string {
	if len(docs) == 0 {
		return nil
	}
	var keys []string
	for _, doc := range docs {
		if doc.content != nil {
			keys = append(keys, r.canaries().LabelKeys(doc.content.Document)...)
		}
		if doc.served != nil {
			keys = append(keys, r.canaries().LabelKeys(doc.served.Content)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
