package zookeeper

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const lookupTimeout = 3 * time.Second

// hosts hands out the servers to connect to, in another order each time round, and looks their names up anew each time,
// because servers in containers come back with other addresses. It implements [zk.HostProvider].
type hosts struct {
	ctx     context.Context // ends with the connection
	servers []string        // host:port as configured
	lookup  func(ctx context.Context, host string) ([]string, error)

	mu    sync.Mutex
	round []target // what is left of this time round; guarded by mu
	size  int      // of the whole round
	names map[string]string
}

// target is one address of one server.
type target struct {
	address string // with an IP address, or a name that could not be resolved
	host    string // as configured, for the server's certificate
}

func newHosts(ctx context.Context, servers []string, lookup func(context.Context, string) ([]string, error)) *hosts {
	return &hosts{ctx: ctx, servers: servers, lookup: lookup, size: len(servers), names: map[string]string{}}
}

// Init does nothing: the servers are known, and their names are resolved when they are needed.
func (h *hosts) Init([]string) error { return nil }

// Len returns how many addresses there were the last time round.
func (h *hosts) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.size
}

// Next returns the address to try next. The client pauses, and looks whether it is to close, where a new time round begins.
func (h *hosts) Next() (server string, retryStart bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.round) == 0 {
		retryStart = len(h.names) > 0
		h.round = h.resolve()
		h.size = len(h.round)
		clear(h.names)
		for _, t := range h.round {
			h.names[t.address] = t.host
		}
	}
	next := h.round[0]
	h.round = h.round[1:]
	return next.address, retryStart || h.ctx.Err() != nil
}

// Connected does nothing: a connection that breaks is not used again.
func (h *hosts) Connected() {}

// name is the configured host of an address that Next returned.
func (h *hosts) name(address string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.names[address]
}

// resolve lists all addresses of all servers, each once. A name that cannot be resolved stays as it is, so that
// connecting to it says why.
func (h *hosts) resolve() []target {
	ctx, cancel := context.WithTimeout(h.ctx, lookupTimeout)
	defer cancel()
	var out []target
	seen := map[string]bool{}
	add := func(address, host string) {
		if !seen[address] {
			seen[address] = true
			out = append(out, target{address, host})
		}
	}
	for _, server := range h.servers {
		host, port, err := net.SplitHostPort(server)
		if err != nil {
			add(server, server)
			continue
		}
		found, err := h.lookup(ctx, host)
		if err != nil || len(found) == 0 {
			add(server, host)
		}
		for _, ip := range found {
			add(net.JoinHostPort(ip, port), host)
		}
	}
	rand.Shuffle(len(out), func(i, k int) { out[i], out[k] = out[k], out[i] })
	return out
}
