package mcpserver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"meshbridge/mcpserver/mcptest"
	"meshbridge/mcpserver/store"
)

// Clients of both protocols, whole and in shards, of several revisions, quick and slow, that come and go while everything
// changes, end with their view. No client ever holds a route without what it needs.
func TestClientsOverTheWireEndWithTheirView(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := opened(t, 50)
	cfg := Default()
	cfg.Quiet = 5 * time.Millisecond
	opts := quickly(t)
	opts.Settle, opts.MaxAge = 20*time.Millisecond, 2*time.Second
	srv, addr := serve(t, cfg, s, opts)

	type client struct {
		*mcptest.Istiod
		view View
	}
	var clients []client
	for i := range 12 {
		c := client{view: View{Shard: []store.Shard{{}, {Index: 0, Of: 2}, {Index: 1, Of: 2}, {Index: 5, Of: 7}}[i%4], Revision: []string{"", "canary"}[i/2%2]}}
		o := mcptest.Options{Node: fmt.Sprint("istiod-", i%5), Revision: c.view.Revision, Delta: i%3 == 0, AckDelay: time.Duration(i%4) * 3 * time.Millisecond}
		if sh := c.view.Shard; sh.Of > 0 {
			o.Authority = fmt.Sprintf("bridge-%d-of-%d.svc", sh.Index, sh.Of)
		}
		o.Seen = ordered(t, i)
		c.Istiod = mcptest.Start(t, addr, o)
		clients = append(clients, c)
	}

	const hosts = 30
	value := make([]int, hosts)
	gates := make([]store.Gate, hosts) // of the rule that a host has
	left := make([]uint64, hosts)      // the generation in which its route went
	clean := func(c *store.Change) {   // a rule and its service go when every client has left them
		for h := range hosts {
			if host := fmt.Sprintf("svc-%d.mesh", h); left[h] > 0 && srv.Reached(host, left[h], time.Now().Add(-opts.Settle)) {
				c.Remove = append(c.Remove, removal(store.ServiceEntry, host), removal(store.DestinationRule, host))
				gates[h], left[h] = store.Gate{}, 0
			}
		}
	}
	for step := range 400 {
		var c store.Change
		clean(&c)
		next := store.Gate{Generation: current(s).Generation + 1, Since: time.Now()}
		for _, h := range random.Perm(hosts)[:1+random.IntN(4)] {
			host := fmt.Sprintf("svc-%d.mesh", h)
			value[h]++
			v := strconv.Itoa(value[h])
			options := []option{changedAt(time.Now())}
			if rev := []string{"", "", "canary", "stable"}[h%4]; rev != "" {
				options = append(options, revision(rev))
			}
			switch random.IntN(4) {
			case 0:
				if gates[h].Generation > 0 && left[h] == 0 {
					c.Remove = append(c.Remove, removal(store.VirtualService, host))
					left[h] = next.Generation
				}
			case 1:
				c.Put = append(c.Put, resource(t, store.ServiceEntry, host, v, append(options, gate(gates[h]))...))
			default:
				left[h] = 0
				if gates[h].Generation == 0 || random.IntN(3) == 0 { // the route names something new
					gates[h] = next
				}
				options = append(options, gate(gates[h]))
				for _, kind := range store.Kinds() {
					c.Put = append(c.Put, resource(t, kind, host, v, options...))
				}
			}
		}
		s.Apply(once(c))
		if step%10 == 0 {
			time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
		}
	}
	for i, c := range clients {
		c.Wait(t, fmt.Sprintf("client %d to hold its view, on a second stream", i), func(state mcptest.State) bool {
			return state.Streams > 1 && holds(s, c.view)(state)
		})
	}
}

// once leaves out the removal of what comes again in the same change.
func once(c store.Change) store.Change {
	put := map[store.Key]bool{}
	for _, r := range c.Put {
		put[r.Key] = true
	}
	c.Remove = slices.DeleteFunc(c.Remove, func(r store.Removal) bool { return put[r.Key] })
	return c
}

// ordered checks that a route comes when its rule and its service are there, and that these stay for as long. Only routes
// that came on the same stream count: what an istiod held before, the server cannot know.
func ordered(t *testing.T, id int) func(mcptest.Response) {
	var mu sync.Mutex
	held := map[store.Kind]map[string]bool{}
	for _, kind := range store.Kinds() {
		held[kind] = map[string]bool{}
	}
	return func(r mcptest.Response) {
		mu.Lock()
		defer mu.Unlock()
		if r.Nonce == "1" { // a new stream
			clear(held[store.VirtualService])
		}
		of := held[r.Kind]
		if of == nil {
			return
		}
		if r.Full {
			clear(of)
		}
		for _, res := range r.Resources {
			of[res.Metadata.Name] = true
		}
		for _, name := range r.Removed {
			delete(of, name)
		}
		for name := range held[store.VirtualService] {
			if !held[store.ServiceEntry][name] || !held[store.DestinationRule][name] {
				t.Errorf("client %d holds the route %s, and not its rule or its service", id, name)
			}
		}
	}
}
