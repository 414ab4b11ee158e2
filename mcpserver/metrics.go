package mcpserver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"meshbridge/mcpserver/store"
)

// metrics are what the server counts.
type metrics struct {
	connections prometheus.Gauge
	refused     *prometheus.CounterVec
	streams     *prometheus.GaugeVec
	pushes      *prometheus.CounterVec
	bytes       *prometheus.CounterVec
	size        *prometheus.HistogramVec
	nacks       *prometheus.CounterVec
	stalls      prometheus.Counter
	panics      prometheus.Counter
	eventToAck  prometheus.Histogram
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "meshbridge_mcp_connections",
			Help: "Open connections of MCP clients."}),
		refused: counter("meshbridge_mcp_refused_total", "Connections and streams refused, by reason.", "reason"),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "meshbridge_mcp_streams",
			Help: "Open MCP streams, by protocol (sotw or delta)."}, []string{"protocol"}),
		pushes: counter("meshbridge_mcp_pushes_total", "Responses sent, by kind.", "kind"),
		bytes:  counter("meshbridge_mcp_sent_bytes_total", "Bytes of responses sent, by kind.", "kind"),
		size: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "meshbridge_mcp_push_size_bytes",
			Help: "Size of one response in bytes, by kind.", Buckets: prometheus.ExponentialBuckets(256, 4, 11)}, []string{"kind"}),
		nacks: counter("meshbridge_mcp_nacks_total", "Responses that a client refused, by kind.", "kind"),
		stalls: prometheus.NewCounter(prometheus.CounterOpts{Name: "meshbridge_mcp_stalls_total",
			Help: "Streams closed because a response was not acknowledged in time."}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "meshbridge_mcp_panics_total",
			Help: "Streams ended by a fault of the bridge itself."}),
		eventToAck: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "meshbridge_event_to_ack_seconds",
			Help:    "Time from a registry's event to a client's ACK of each resource that it changed, in seconds; first states apart.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .15, .25, .5, 1, 2.5, 5, 10, 30, 60}}),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.connections, m.refused, m.streams, m.pushes, m.bytes, m.size, m.nacks, m.stalls, m.panics, m.eventToAck} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// kindLabel bounds the values of a kind label: kinds that are not ours are one.
func kindLabel(k store.Kind) string {
	if k == (store.Kind{}) {
		return "other"
	}
	return k.Kind
}

func (m *metrics) pushed(kind store.Kind, bytes int) {
	label := kindLabel(kind)
	m.pushes.WithLabelValues(label).Inc()
	m.bytes.WithLabelValues(label).Add(float64(bytes))
	m.size.WithLabelValues(label).Observe(float64(bytes))
}

func (m *metrics) acked(resources []*store.Resource, now time.Time) {
	for _, r := range resources {
		if !r.Changed.IsZero() {
			m.eventToAck.Observe(now.Sub(r.Changed).Seconds())
		}
	}
}
