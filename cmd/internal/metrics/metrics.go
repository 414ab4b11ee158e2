// Package metrics tells Prometheus of what is state rather than counted where it happens: the sources and their scopes, the
// gate, the build and the process. Its invariant: every metric is read from its owner when it is asked for, so none can be
// out of date; docs/metrics.md lists them all, with those of other packages.
package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"meshbridge/cmd/internal/build"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// Sources tells how the sources are. *sources.Mirror is one.
type Sources interface {
	Sources() []sources.SourceStatus
	// Kept says how what the sources last said is kept on disk.
	Kept() sources.KeptStatus
}

// Snapshots is what is served. *store.Store is one.
type Snapshots interface {
	Snapshot() (*store.Snapshot, <-chan struct{})
}

// Register registers everything that this package tells of.
func Register(r prometheus.Registerer, src Sources, snap Snapshots) error {
	for _, c := range []prometheus.Collector{
		newState(src, snap),
		buildInfo(build.Read()),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register a collector: %w", err)
		}
	}
	return nil
}

func buildInfo(info build.Info) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "meshbridge_build_info", Help: "Always 1; the labels name the build.",
		ConstLabels: prometheus.Labels{"version": info.Version, "revision": info.Revision, "goversion": info.Go},
	})
	g.Set(1)
	return g
}

// state collects from the mirror and the store.
type state struct {
	sources   Sources
	snapshots Snapshots

	// Set once.
	ready                                                        *prometheus.Desc
	info, restarts                                               *prometheus.Desc
	scope, since, report, services, instances, usable, ev, fault *prometheus.Desc
	held, heldServices, heldSince                                *prometheus.Desc
	unsaved, saved, keepFails                                    *prometheus.Desc
}

func newState(src Sources, snap Snapshots) *state {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("meshbridge_"+name, help, labels, nil)
	}
	return &state{
		sources: src, snapshots: snap,
		ready:    desc("ready", "Whether the gate is open (1) or istiods still wait for the first state (0)."),
		info:     desc("source_info", "Always 1; the labels tell a source's kind of registry and whether the gate waits for it.", "source", "kind", "required"),
		restarts: desc("source_restarts_total", "How often a source had to be started again.", "source"),
		scope: desc("source_scope_state", "1 for the state that a scope is in, 0 for the others: unread (never read by this process), "+
			"stale (neither; what an earlier process read stands), synced, or unknown (cannot be read now; its last report stands).", "source", "scope", "state"),
		since:        desc("source_scope_state_since_timestamp_seconds", "When a scope came into its state, in seconds since 1970.", "source", "scope"),
		report:       desc("source_scope_last_report_timestamp_seconds", "When the registry last vouched for what stands of a scope, in seconds since 1970; absent: never.", "source", "scope"),
		services:     desc("source_scope_services", "Services in a scope's last report.", "source", "scope"),
		instances:    desc("source_scope_instances", "Instances in a scope's last report.", "source", "scope"),
		usable:       desc("source_scope_usable_instances", "Instances that are healthy, enabled and have a weight in a scope's last report.", "source", "scope"),
		ev:           desc("source_scope_events_total", "Services that a scope reported as changed or removed.", "source", "scope"),
		held:         desc("source_scope_held_instances", "Instances that are served though the registry reports them no more: a loss that is held back.", "source", "scope"),
		heldServices: desc("source_scope_held_services", "Services of which instances are held back.", "source", "scope"),
		heldSince:    desc("source_scope_held_since_timestamp_seconds", "Since when a loss is held back, in seconds since 1970; absent: none is.", "source", "scope"),
		unsaved:      desc("state_unsaved_services", "Services whose last report is not yet on disk; absent without state.dir."),
		saved:        desc("state_saved_timestamp_seconds", "When all was on disk, in seconds since 1970; absent without state.dir."),
		keepFails:    desc("state_failing", "1 while what the registries say cannot be kept on disk, 0 while it can; absent without state.dir."),
		fault:        desc("source_scope_faults", "Things of a scope that cannot be read and are left out, such as a broken file.", "source", "scope"),
	}
}

// Describe tells which metrics there are.
func (s *state) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.ready, s.info, s.restarts, s.scope, s.since, s.report, s.services, s.instances, s.usable, s.ev, s.fault,
		s.held, s.heldServices, s.heldSince, s.unsaved, s.saved, s.keepFails} {
		ch <- d
	}
}

// Collect reads them.
func (s *state) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	snap, _ := s.snapshots.Snapshot()
	gauge(s.ready, one(snap.Open))
	for _, src := range s.sources.Sources() {
		gauge(s.info, 1, src.Name, src.Kind, fmt.Sprint(src.Required))
		counter(s.restarts, float64(src.Restarts), src.Name)
		for _, sc := range src.Scopes {
			for _, is := range []string{sources.Unread, sources.Stale, sources.Synced, sources.Unknown} {
				gauge(s.scope, one(sc.State == is), src.Name, sc.Name, is)
			}
			if !sc.Since.IsZero() {
				gauge(s.since, float64(sc.Since.UnixNano())/1e9, src.Name, sc.Name)
			}
			if !sc.LastReport.IsZero() {
				gauge(s.report, float64(sc.LastReport.UnixNano())/1e9, src.Name, sc.Name)
			}
			gauge(s.services, float64(sc.Services), src.Name, sc.Name)
			gauge(s.instances, float64(sc.Instances), src.Name, sc.Name)
			gauge(s.usable, float64(sc.Usable), src.Name, sc.Name)
			counter(s.ev, float64(sc.Events), src.Name, sc.Name)
			gauge(s.fault, float64(len(sc.Faults)), src.Name, sc.Name)
			h := sc.Held
			if h == nil {
				h = &sources.Held{}
			}
			gauge(s.held, float64(h.Instances), src.Name, sc.Name)
			gauge(s.heldServices, float64(h.Services), src.Name, sc.Name)
			if !h.Since.IsZero() {
				gauge(s.heldSince, float64(h.Since.UnixNano())/1e9, src.Name, sc.Name)
			}
		}
	}
	if kept := s.sources.Kept(); kept.Path != "" {
		gauge(s.unsaved, float64(kept.Unsaved))
		gauge(s.keepFails, one(kept.Err != ""))
		if !kept.Saved.IsZero() {
			gauge(s.saved, float64(kept.Saved.UnixNano())/1e9)
		}
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
