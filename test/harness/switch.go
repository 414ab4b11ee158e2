package harness

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// Switch forwards TCP connections to one of several servers at a time, as a Service with one ready replica does.
type Switch struct {
	Addr string // host:port

	listener net.Listener
	wait     sync.WaitGroup

	// Guarded by mu.
	mu     sync.Mutex
	target string
	open   map[net.Conn]struct{}
	closed bool
}

// NewSwitch starts a switch to the server at target; it ends with the test.
func NewSwitch(t testing.TB, target string) *Switch {
	t.Helper()
	listener, err := net.Listen("tcp", loopback(t))
	if err != nil {
		t.Fatalf("listen for the switch: %v", err)
	}
	s := &Switch{Addr: listener.Addr().String(), listener: listener, target: target, open: map[net.Conn]struct{}{}}
	s.wait.Go(s.accept)
	t.Cleanup(func() {
		listener.Close()
		s.cut(func() { s.closed = true })
		s.wait.Wait()
	})
	return s
}

// To sends new connections to another server and cuts those that are open.
func (s *Switch) To(target string) { s.cut(func() { s.target = target }) }

func (s *Switch) cut(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	for conn := range s.open {
		conn.Close()
	}
	clear(s.open)
}

func (s *Switch) accept() {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			s.wait.Go(func() { s.forward(conn) })
		}
	}
}

// forward copies both ways until either side ends.
func (s *Switch) forward(conn net.Conn) {
	defer conn.Close()
	s.mu.Lock()
	target := s.target
	s.mu.Unlock()
	server, err := dialTCP(target)
	if err != nil {
		return
	}
	defer server.Close()
	if !s.keep(target, conn, server) {
		return
	}
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{conn, server}, {server, conn}} {
		s.wait.Go(func() {
			io.Copy(pair[0], pair[1])
			done <- struct{}{}
		})
	}
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
	delete(s.open, server)
}

// keep remembers the connections, unless the switch has turned while they were made.
func (s *Switch) keep(target string, conns ...net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.target != target {
		return false
	}
	for _, c := range conns {
		s.open[c] = struct{}{}
	}
	return true
}
