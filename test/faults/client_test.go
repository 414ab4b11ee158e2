//go:build faults

package faults

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/mcptest"
	"meshbridge/mcpserver/store"
)

// endpoint is one address of one service, as the client sees it.
type endpoint struct{ host, address string }

func (e endpoint) String() string { return e.host + " " + e.address }

// endpoints is a set.
type endpoints map[endpoint]bool

// missing lists what of want the set lacks.
func (e endpoints) missing(want endpoints) []string {
	var all []string
	for w := range want {
		if !e[w] {
			all = append(all, w.String())
		}
	}
	slices.Sort(all)
	return all
}

func (e endpoints) union(other endpoints) endpoints {
	both := maps.Clone(e)
	maps.Copy(both, other)
	return both
}

func (e endpoints) intersect(other endpoints) endpoints {
	both := endpoints{}
	for k := range e {
		if other[k] {
			both[k] = true
		}
	}
	return both
}

// client is a state-of-the-world client, as istiod is one, and the memory of what it held.
type client struct {
	istiod *mcptest.Istiod

	// Guarded by mu.
	mu       sync.Mutex
	answered bool // ServiceEntries were answered at all
	held     endpoints
	before   endpoints // set by mark
	lost     []string  // what of before was missing when most was, since mark
	fewest   int       // held at once since mark
	fault    error
}

// connect starts a client of the bridge, which looks at every state that it comes to.
func connect(t *testing.T, address string) *client {
	c := &client{istiod: mcptest.Start(t, address, mcptest.Options{}), held: endpoints{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.istiod.Until(ctx, func(s mcptest.State) bool { c.look(s); return false })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

func (c *client) look(s mcptest.State) {
	held := endpoints{}
	var fault error
	for name := range s.Versions[store.ServiceEntry] {
		r := c.istiod.Resource(store.ServiceEntry, name)
		if r == nil {
			continue // gone meanwhile: the next look is due
		}
		entry := &networkingpb.ServiceEntry{}
		if err := r.GetBody().UnmarshalTo(entry); err != nil {
			fault = fmt.Errorf("decode %s: %w", name, err)
			continue
		}
		for _, e := range entry.GetEndpoints() {
			for _, port := range e.GetPorts() {
				held[endpoint{entry.GetHosts()[0], net.JoinHostPort(e.GetAddress(), fmt.Sprint(port))}] = true
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for url, counts := range s.Counts {
		c.answered = c.answered || strings.HasSuffix(url, "/ServiceEntry") && counts.Responses > 0
	}
	c.held, c.fault = held, fault
	c.fewest = min(c.fewest, len(held))
	if lost := held.missing(c.before); len(lost) > len(c.lost) {
		c.lost = lost
	}
}

// mark begins to watch what of the set is ever missing, and how few there ever are.
func (c *client) mark(before endpoints) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before, c.lost, c.fewest = before, c.held.missing(before), len(c.held)
}

// seen is what the client has held since the last mark.
type seen struct {
	answered bool
	held     endpoints
	lost     []string
	fewest   int
}

func (c *client) seen() seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return seen{c.answered, c.held, c.lost, c.fewest}
}

// holds is nil when the client holds exactly the set.
func (c *client) holds(want endpoints) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != nil {
		return c.fault
	}
	lacks, extra := c.held.missing(want), want.missing(c.held)
	if len(lacks)+len(extra) > 0 {
		return fmt.Errorf("it holds %d of %d; lacks %s; has beside them %s", len(c.held), len(want), some(lacks), some(extra))
	}
	return nil
}

func some(list []string) string {
	if len(list) > 4 {
		return fmt.Sprintf("%q and %d more", list[:4], len(list)-4)
	}
	return fmt.Sprintf("%q", list)
}
