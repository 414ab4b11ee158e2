package convert

import (
	"github.com/prometheus/client_golang/prometheus"

	"meshbridge/mcpserver/store"
)

// metrics are what Prometheus is told.
type metrics struct {
	rejected  *prometheus.GaugeVec
	resources *prometheus.GaugeVec
	hosts     prometheus.Gauge
	clashes   prometheus.Gauge
	builds    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		rejected: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "meshbridge_convert_rejected",
			Help: "What registries say and is not served as they say it, by source and class of reason."}, []string{"source", "class"}),
		resources: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "meshbridge_convert_resources",
			Help: "Resources in the store, by kind."}, []string{"kind"}),
		hosts: prometheus.NewGauge(prometheus.GaugeOpts{Name: "meshbridge_convert_hosts",
			Help: "Hosts that services want, served or not."}),
		clashes: prometheus.NewGauge(prometheus.GaugeOpts{Name: "meshbridge_convert_vip_clashes",
			Help: "Hosts whose address by hash is another host's."}),
		builds: prometheus.NewCounter(prometheus.CounterOpts{Name: "meshbridge_convert_resources_built_total",
			Help: "Resources that were made, whether they differed from those served or not."}),
	}
	if r != nil {
		r.MustRegister(m.rejected, m.resources, m.hosts, m.clashes, m.builds)
	}
	return m
}

// tell takes over what the engine counts.
func (m *metrics) tell(e *engine) {
	for c, n := range e.count {
		if n == 0 {
			m.rejected.DeleteLabelValues(c.source, c.class)
			delete(e.count, c)
			continue
		}
		m.rejected.WithLabelValues(c.source, c.class).Set(float64(n))
	}
	m.hosts.Set(float64(len(e.hosts.all)))
	m.clashes.Set(float64(len(e.vips.moved)))
	m.builds.Add(float64(e.built))
	e.built = 0
}

// applied takes over what the store holds.
func (m *metrics) applied(s *store.Snapshot) {
	if s == nil {
		return
	}
	for _, kind := range []store.Kind{store.ServiceEntry, store.DestinationRule} {
		m.resources.WithLabelValues(kind.Kind).Set(float64(s.Len(kind)))
	}
}
