package harness

import (
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// lastPort is the port given out last. The tests own every port of their network namespace, and those below 32768 are
// never taken for outgoing connections, so counting is enough to never give one twice.
var lastPort atomic.Int32

// FreePort is a port that nothing listens on, on any address, and that nobody else is given.
func FreePort(t testing.TB) int {
	t.Helper()
	for {
		port := 20000 + int(lastPort.Add(1))
		if port > 32000 {
			t.Fatal("no free port is left")
		}
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
}

// loopback is a free port on 127.0.0.1 as an address.
func loopback(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}

func dialTCP(address string) (net.Conn, error) { return net.DialTimeout("tcp", address, time.Second) }

// portOf is the port of host:port, and -1 of "".
func portOf(t testing.TB, address string) int {
	t.Helper()
	if address == "" {
		return -1
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("split %s: %v", address, err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatalf("split %s: %v", address, err)
	}
	return n
}
