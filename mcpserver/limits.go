package mcpserver

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// hangUpAfter is how long a client has to read why its stream ended, before its connection does.
const hangUpAfter = time.Second

// maxViews is of how many views the last session is kept: shards times revisions.
const maxViews = 4096

// limited refuses connections beyond the bound at once: a client that is refused tries elsewhere, one that hangs does not.
type limited struct {
	net.Listener
	server *Server
	full   atomic.Bool // said so in the log
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if open := l.server.connect(conn); open != nil {
			l.full.Store(false)
			return open, nil
		}
		l.server.metrics.refused.WithLabelValues("connections").Inc()
		if !l.full.Swap(true) {
			l.server.opts.Log.Warn("MCP connections are refused: too many are open", "max", l.server.opts.MaxConnections)
		}
		_ = conn.Close() // nothing was said on it
	}
}

// connection is one that counts.
type connection struct {
	net.Conn
	closed func()
}

func (c *connection) Close() error {
	c.closed()
	return c.Conn.Close()
}

// connect counts a connection, or returns nil if there are too many.
func (s *Server) connect(conn net.Conn) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connected >= s.opts.MaxConnections {
		return nil
	}
	peer := conn.RemoteAddr().String()
	c := &connection{Conn: conn}
	c.closed = sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.connected--
		s.metrics.connections.Dec()
		if s.connections[peer] == c {
			delete(s.connections, peer)
		}
	})
	s.connected++
	s.metrics.connections.Inc()
	s.connections[peer] = c
	return c
}

// hangUp closes the connection of a stream that has ended although not all that was sent on it has been read: gRPC would
// keep that for as long as the connection lives.
func (s *Server) hangUp(peer string) {
	s.mu.Lock()
	c := s.connections[peer]
	s.mu.Unlock()
	if c != nil {
		time.AfterFunc(hangUpAfter, func() { _ = c.Close() }) // gRPC sees the error
	}
}
