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
	opts.Settle, opts.MaxAge = 20*time.Millisecond, 150*time.Millisecond
	_, addr := serve(t, cfg, s, opts)

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
	for step := range 400 {
		var c store.Change
		for range 1 + random.IntN(4) {
			h := random.IntN(hosts)
			host := fmt.Sprintf("svc-%d.mesh", h)
			value[h]++
			v := strconv.Itoa(value[h])
			options := []option{changedAt(time.Now())}
			if rev := []string{"", "", "canary", "stable"}[h%4]; rev != "" {
				options = append(options, revision(rev))
			}
			switch random.IntN(4) {
			case 0:
				c.Remove = append(c.Remove, removal(store.ServiceEntry, host), removal(store.DestinationRule, host), removal(store.VirtualService, host))
			case 1:
				c.Put = append(c.Put, resource(t, store.ServiceEntry, host, v, options...))
			default:
				part := strconv.Itoa(value[h] / 2 % 2) // that sometimes is replaced, so that one waits for another
				c.Put = append(c.Put, resource(t, store.ServiceEntry, host, v, options...),
					resource(t, store.DestinationRule, host, v, append(slices.Clone(options), having(nil, time.Now(), part))...),
					resource(t, store.VirtualService, host, v, append(options, needing(store.Need{Key: key(store.DestinationRule, host), Part: part}))...))
			}
		}
		s.Apply(once(c))
		if step%10 == 0 {
			time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
		}
	}
	for i, c := range clients {
		c.Wait(t, fmt.Sprintf("client %d to hold its view", i), holds(s, c.view))
		if n := c.State().Streams; n < 2 {
			t.Errorf("client %d had %d streams; none of them ended", i, n)
		}
	}
}

// once keeps the last word on each host.
func once(c store.Change) store.Change {
	put := map[store.Key]*store.Resource{}
	for _, r := range c.Put {
		put[r.Key] = r
	}
	out := store.Change{Remove: c.Remove}
	for _, r := range put {
		out.Put = append(out.Put, r)
	}
	return out
}

// ordered checks that a route comes when its rule is there and does not stay when that goes. Only routes that came on the
// same stream count: what an istiod held before, the server cannot know.
func ordered(t *testing.T, id int) func(mcptest.Response) {
	var mu sync.Mutex
	rules, routes := map[string]bool{}, map[string]bool{}
	return func(r mcptest.Response) {
		mu.Lock()
		defer mu.Unlock()
		if r.Nonce == "1" { // a new stream
			clear(routes)
		}
		held := map[store.Kind]map[string]bool{store.DestinationRule: rules, store.VirtualService: routes}[r.Kind]
		if held == nil {
			return
		}
		if r.Full {
			clear(held)
		}
		for _, res := range r.Resources {
			held[res.Metadata.Name] = true
		}
		for _, name := range r.Removed {
			delete(held, name)
		}
		for name := range routes {
			if !rules[name] {
				t.Errorf("client %d holds the route %s, and not its rule", id, name)
			}
		}
	}
}
