package metrics

import (
	"fmt"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"meshbridge/convert"
)

// Canaries tells of the canary documents. *convert.Converter is one.
type Canaries interface{ Canaries() []convert.CanaryView }

// RegisterCanaries registers what is told of the canary documents.
func RegisterCanaries(r prometheus.Registerer, c Canaries) error {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("meshbridge_canary_"+name, help, labels, nil)
	}
	err := r.Register(&documents{
		canaries: c,
		states:   desc("documents", "Canary documents in each state.", "state"),
		faults:   desc("document_faults", "Faults of a document, for which it is not served as its file says.", "document", "team"),
		lastGood: desc("document_last_good", "1 while the last good content of a document is served and not what its file says, 0 otherwise.", "document", "team"),
		since:    desc("document_served_since_timestamp_seconds", "When the content that is served of a document was first served, in seconds since 1970; absent: none is.", "document", "team"),
		unknown:  desc("document_unknown_services", "Services that a document names and that no registry has: mistyped, or vanished.", "document", "team"),
		state:    desc("document_state", "1 for the state that a document is in.", "document", "team", "state"),
		findings: desc("findings", "Things to know of the documents, such as a canary without instances.", "class"),
	})
	if err != nil {
		return fmt.Errorf("register a collector: %w", err)
	}
	return nil
}

// documents collects from the converter.
type documents struct {
	canaries Canaries

	// Set once.
	states, faults, lastGood, since, unknown, state, findings *prometheus.Desc
}

// Describe tells which metrics there are.
func (d *documents) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{d.states, d.faults, d.lastGood, d.since, d.unknown, d.state, d.findings} {
		ch <- desc
	}
}

// Collect reads them.
func (d *documents) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	type key struct{ document, team string }
	var order []key
	merged := map[key]convert.CanaryView{} // one of each name, the faults of all
	states := map[string]int{}
	classes := map[string]int{}
	for _, v := range d.canaries.Canaries() {
		states[v.State]++
		for _, f := range v.Findings {
			classes[f.Class]++
		}
		k := key{v.Name, v.Team}
		if v.Name == "" {
			k.document = filepath.Base(v.File)
		}
		old, twice := merged[k]
		if !twice {
			order = append(order, k)
		} else {
			old.Faults = append(old.Faults[:len(old.Faults):len(old.Faults)], v.Faults...)
			old.Findings = append(old.Findings[:len(old.Findings):len(old.Findings)], v.Findings...)
			v = old
		}
		merged[k] = v
	}
	for _, state := range []string{convert.CanaryServing, convert.CanaryPending, convert.CanaryHeld, convert.CanaryLastGood, convert.CanaryResponding, convert.CanarySuperseded} {
		gauge(d.states, float64(states[state]), state)
	}
	for _, class := range []string{convert.FindingEmpty, convert.FindingOverlap, convert.FindingProtocol, convert.FindingUnknown, convert.FindingRetire, convert.FindingHidden, convert.FindingIdle, convert.FindingSuperseded} {
		if _, ok := classes[class]; !ok {
			classes[class] = 0
		}
	}
	for class, n := range classes {
		gauge(d.findings, float64(n), class)
	}
	for _, k := range order {
		v := merged[k]
		gauge(d.faults, float64(len(v.Faults)), k.document, k.team)
		unknown := 0
		for _, f := range v.Findings {
			if f.Class == convert.FindingUnknown {
				unknown++
			}
		}
		gauge(d.unknown, float64(unknown), k.document, k.team)
		gauge(d.state, 1, k.document, k.team, v.State)
		gauge(d.lastGood, one(v.State == convert.CanaryLastGood), k.document, k.team)
		if v.Since != nil {
			gauge(d.since, float64(v.Since.UnixNano())/1e9, k.document, k.team)
		}
	}
}
