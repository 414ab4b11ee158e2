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

// judge notes what a host says of the documents that are not in force as their files say. A draft without ports says nothing.
func (e *engine) judge(d *draft, docs []*document, before []heldSubset) {
	for _, doc := range docs {
		if !doc.content.names(d.host) || doc.settled() {
			continue
		}
		if len(d.ports) == 0 {
			e.unsee(doc, d.host)
			continue
		}
		v := e.rules.canaries().Judge(doc.content.Document, d.canaryHost(before))
		if old, ok := doc.verdicts[d.host]; !ok || !old.Equal(v) {
			doc.verdicts[d.host] = v
			e.recheck(doc)
		}
	}
}

// unsee forgets what a host said that is gone.
func (e *engine) unsee(doc *document, host string) {
	if _, ok := doc.verdicts[host]; ok {
		delete(doc.verdicts, host)
		e.recheck(doc)
	}
}

// recheck has accept decide about a document.
func (e *engine) recheck(doc *document) { e.documents.checks[doc.key] = true }

// accept decides which documents come into force in the world as it is now, in the order of their names, and has the hosts
// converted anew that this changes.
func (e *engine) accept(now time.Time) {
	for len(e.documents.checks) > 0 {
		due := slices.Sorted(maps.Keys(e.documents.checks))
		clear(e.documents.checks)
		for _, key := range due {
			if doc := e.documents.all[key]; doc == nil || !e.decide(doc, now) {
				continue
			}
			for _, other := range e.documents.all { // one in force may stand in the way of another, or no longer
				if other.key != key && !other.settled() {
					e.recheck(other)
				}
			}
		}
	}
}

// decide puts in force what a document's file says, if nothing is wrong with it, and reports whether that changed anything.
func (e *engine) decide(doc *document, now time.Time) bool {
	doc.faults = nil
	if doc.content == nil || doc.entry == nil {
		return false
	}
	faults := slices.Clone(doc.entry.Faults)
	if len(faults) == 0 {
		if doc.settled() {
			e.moved(doc)
			return false
		}
		if len(doc.verdicts) == 0 {
			return false // there is no such service yet
		}
		doc.faults = append(canary.Faults(doc.content.Document, doc.verdicts), e.conflicts(doc)...)
		faults = doc.faults
	}
	responding, ok := []int(nil), len(faults) == 0
	if !ok && e.rules.config.Canary.OnInvalid == canary.OnInvalidRespond && len(doc.verdicts) > 0 {
		responding, ok = ruleFaultsOnly(faults)
		ok = ok && len(e.conflicts(doc)) == 0
	}
	if !ok || doc.served != nil && doc.served.Document.hash == doc.content.hash && slices.Equal(doc.served.Answering, responding) {
		return false
	}
	e.enforce(doc, responding, now)
	return true
}

// moved notes that a document in force has another file or team: should that file not be readable one day, the document stays.
func (e *engine) moved(doc *document) {
	if f := doc.served; f.File != doc.entry.File || f.Team != doc.entry.Team {
		f.File, f.Team = doc.entry.File, doc.entry.Team
		e.keep(doc)
	}
}

// enforce puts a document's content in force, and keeps it on disk.
func (e *engine) enforce(doc *document, responding []int, now time.Time) {
	for _, service := range doc.services() {
		e.touchService(service)
	}
	elsewhere := doc.served != nil && !slices.Equal(doc.served.Content.Services, doc.content.Services)
	doc.served = &inForce{Document: doc.content, Content: doc.content.Document, File: doc.entry.File, Team: doc.entry.Team,
		Since: now.UTC().Round(0), Answering: responding}
	e.keep(doc)
	if elsewhere {
		e.documents.index()
	}
}

// keep writes what is in force of a document on disk.
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

// conflicts are the faults of a document beside others that are in force: at the hosts of both, and at gateways.
func (e *engine) conflicts(doc *document) []canary.Fault {
	var faults []canary.Fault
	for _, host := range slices.Sorted(maps.Keys(doc.verdicts)) {
		for _, other := range e.documents.at(host) {
			if other.key != doc.key && other.served != nil && other.served.Document.names(host) {
				faults = append(faults, canary.Conflicts(doc.content.Document, other.served.Content, host)...)
			}
		}
	}
	if len(doc.content.Expose) > 0 {
		for _, other := range e.documents.all {
			if other.key != doc.key && other.served != nil {
				faults = append(faults, canary.Ways(doc.content.Document, other.served.Content)...)
			}
		}
	}
	slices.SortFunc(faults, func(a, b canary.Fault) int { return strings.Compare(a.Path+a.Text, b.Path+b.Text) })
	return slices.Compact(faults)
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
