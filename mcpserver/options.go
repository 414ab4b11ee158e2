package mcpserver

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxReconnect is the longest time for which an Envoy waits before it tries again to connect.
const maxReconnect = 30 * time.Second

// Options are what is not the user's to configure. Zero fields take the default.
type Options struct {
	Log        *slog.Logger          // default: discards
	Registerer prometheus.Registerer // where the metrics are registered; default: nowhere

	Settle time.Duration // SessionConfig.Settle; negative: none; default 10s. SetTimes replaces it
	Retain time.Duration // SessionConfig.Retain; negative: none; default 2m. SetTimes replaces it
	MaxAge time.Duration // a stream is closed when it is about so old, so that clients spread over replicas; default 30m
	Drain  time.Duration // how long Run waits for ACKs before it cuts streams off; default 5s

	MaxConnections          int    // default 16384
	MaxStreams              int    // of all connections; default 16384
	MaxStreamsPerConnection uint32 // default 2048
	MaxRequestBytes         int    // of one message; default 4 MiB
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	orDefault(&o.Settle, 10*time.Second)
	orDefault(&o.Retain, 2*time.Minute)
	o.Settle, o.Retain = max(o.Settle, 0), max(o.Retain, 0)
	orDefault(&o.MaxAge, 30*time.Minute)
	orDefault(&o.Drain, 5*time.Second)
	orDefault(&o.MaxConnections, 16384)
	orDefault(&o.MaxStreams, 16384)
	orDefault(&o.MaxStreamsPerConnection, 2048)
	orDefault(&o.MaxRequestBytes, 4<<20)
	return o
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
