package mcpserver

import (
	"net"
	"sync"
	"sync/atomic"
)

// limited refuses connections beyond the bound at once: a client that is refused tries elsewhere, one that hangs does not.
type limited struct {
	net.Listener
	server *Server
	open   atomic.Int64
	full   atomic.Bool // said so in the log
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= int64(l.server.opts.MaxConnections) {
			l.server.metrics.connections.Inc()
			return &counted{Conn: conn, closed: sync.OnceFunc(func() {
				l.open.Add(-1)
				l.full.Store(false)
				l.server.metrics.connections.Dec()
			})}, nil
		}
		l.open.Add(-1)
		l.server.metrics.refused.WithLabelValues("connections").Inc()
		if !l.full.Swap(true) {
			l.server.opts.Log.Warn("MCP connections are refused: too many are open", "max", l.server.opts.MaxConnections)
		}
		_ = conn.Close() // nothing was said on it
	}
}

type counted struct {
	net.Conn
	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}
