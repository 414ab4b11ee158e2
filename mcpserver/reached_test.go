package mcpserver

import (
	"context"
	"fmt"
	"testing"
	"time"

	"meshbridge/mcpserver/mcptest"
	"meshbridge/mcpserver/store"
)

// hostOfShard is one of the hosts of opened that is in a shard.
func hostOfShard(shard store.Shard) string {
	for i := 0; ; i++ {
		if host := fmt.Sprintf("svc-%d.mesh", i); shard.Has(store.Slot(host)) {
			return host
		}
	}
}

// blocked is an istiod that acknowledges the first response of a kind, and the next not before it is released.
func blocked(kind store.Kind, until <-chan struct{}) mcptest.Options {
	first := true
	return mcptest.Options{Node: "blocked", Seen: func(r mcptest.Response) {
		if r.Kind == kind && !first {
			<-until
		}
		first = first && r.Kind != kind
	}}
}

// 1. Nobody is connected. 2. Two istiods hold the state. 3. One acknowledges a change, the other does not; 4. then it does.
func TestAHostIsReachedWhenEveryIstiodHasAcknowledgedItsState(t *testing.T) {
	s := opened(t, 20)
	srv, addr := serve(t, quick(), s, quickly(t))
	host, other := "svc-1.mesh", "svc-2.mesh"
	if !srv.Reached(host, 1, created) {
		t.Error("without a client something is waited for")
	}
	release := make(chan struct{})
	mcptest.Start(t, addr, blocked(store.VirtualService, release))
	quickOne := mcptest.Start(t, addr, mcptest.Options{})
	eventually(t, "both hold the state", func() bool {
		return len(srv.Clients()) == 2 && srv.Reached(host, 1, time.Now()) && srv.Reached(other, 1, time.Now())
	})
	snap := s.Apply(store.Change{Put: []*store.Resource{resource(t, store.VirtualService, host, "1")}})
	quickOne.Wait(t, "the change", holds(s, View{}))
	before := time.Now()
	if srv.Reached(host, snap.Generation, before) {
		t.Error("a host is reached that one client has not acknowledged")
	}
	if !srv.Reached(other, snap.Generation, before) {
		t.Error("a host of which nothing changed is not reached any more")
	}
	close(release)
	eventually(t, "the host is reached", func() bool { return srv.Reached(host, snap.Generation, time.Now()) })
	if srv.Reached(host, snap.Generation, before) {
		t.Error("a host was reached before its ACK")
	}
}

// 1. A shard does not acknowledge a change. 2. Hosts of the other are not kept waiting by it.
func TestAHostOfAnotherShardIsReachedWhateverAClientHasAcknowledged(t *testing.T) {
	s := opened(t, 20)
	srv, addr := serve(t, quick(), s, quickly(t))
	never := make(chan struct{})
	defer close(never)
	opts := blocked(store.ServiceEntry, never)
	opts.Authority = "bridge-0-of-2.svc"
	mcptest.Start(t, addr, opts)
	mine, other := hostOfShard(store.Shard{Index: 0, Of: 2}), hostOfShard(store.Shard{Index: 1, Of: 2})
	eventually(t, "the shard holds the state", func() bool { return len(srv.Clients()) == 1 && srv.Reached(mine, 1, time.Now()) })
	snap := s.Apply(store.Change{Put: []*store.Resource{resource(t, store.ServiceEntry, mine, "1"), resource(t, store.ServiceEntry, other, "1")}})
	if srv.Reached(mine, snap.Generation, time.Now()) || !srv.Reached(other, snap.Generation, time.Now()) {
		t.Error("the client's own host is reached, or the other's is not")
	}
}

// 1. A route waits for its gate; all else is acknowledged. 2. Other times release it.
func TestAHostIsNotReachedWhileSomethingOfItIsHeldBack(t *testing.T) {
	s := opened(t, 20)
	opts := quickly(t)
	opts.Settle = time.Hour
	srv, addr := serve(t, quick(), s, opts)
	host := "svc-1.mesh"
	istiod := mcptest.Start(t, addr, mcptest.Options{})
	eventually(t, "the state is acknowledged", func() bool { return len(srv.Clients()) == 1 && srv.Reached(host, 1, time.Now()) })
	snap := s.Apply(store.Change{Put: []*store.Resource{
		resource(t, store.DestinationRule, host, "1"), resource(t, store.VirtualService, host, "1", gated(2, time.Now())),
	}})
	eventually(t, "the rule is acknowledged, and the route is held back", func() bool {
		kinds := srv.Clients()[0].Kinds
		return kinds[1].Resources == 1 && kinds[1].InFlightSince == nil && kinds[2].HeldCount == 1 && kinds[2].Held[0].Due != nil
	})
	if srv.Reached(host, snap.Generation, time.Now()) {
		t.Error("a host is reached of which the route is held back")
	}
	srv.SetTimes(0, 0)
	istiod.Wait(t, "the route", holds(s, View{}))
	eventually(t, "the host is reached", func() bool { return srv.Reached(host, snap.Generation, time.Now()) })
}

// 1. A client connects and says nothing: it may be one that holds an older state, for a second. 2. One that has asked has not
// reached anything before its ACK. 3. When it has gone it is not waited for: of what it holds nothing is known.
func TestAClientThatHasJustConnectedHasReachedNothing(t *testing.T) {
	s := opened(t, 20)
	srv, addr := serve(t, quick(), s, quickly(t))
	connected := time.Now()
	dial(t, addr)
	eventually(t, "a stream is open", func() bool { return len(srv.Clients()) == 1 })
	if srv.Reached("svc-1.mesh", 1, connected) {
		t.Error("a host is reached by a client of which nothing is known")
	}
	eventually(t, "a client that says nothing is not waited for", func() bool { return srv.Reached("svc-1.mesh", 1, time.Now()) })
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mcptest.New(mcptest.Options{NeverAck: true}).Run(ctx, addr) }()
	eventually(t, "the client has asked", func() bool { return !srv.Reached("svc-1.mesh", 1, time.Now()) })
	leave()
	if err := <-ended; err == nil {
		t.Error("the client ended of itself")
	}
	eventually(t, "a client that has gone without its first routes is not waited for", func() bool { return srv.Reached("svc-1.mesh", 1, time.Now()) })
}

// 1. Nobody is connected. 2. An istiod has one shard here. 3. Another has the whole. 4. The first has its other shard here, too.
func TestAHostIsElsewhereIfAnIstiodFollowsItByNoStreamToThisProcess(t *testing.T) {
	s := opened(t, 20)
	srv, addr := serve(t, quick(), s, quickly(t))
	mine, other := hostOfShard(store.Shard{Index: 0, Of: 2}), hostOfShard(store.Shard{Index: 1, Of: 2})
	connect := func(streams int, node, authority string) {
		mcptest.Start(t, addr, mcptest.Options{Node: node, Authority: authority})
		eventually(t, "the client has asked", func() bool {
			c := srv.Clients()
			for _, c := range c {
				if c.Node == "" {
					return false
				}
			}
			return len(c) == streams
		})
	}
	check := func(when string, here, there bool) {
		t.Helper()
		if got := srv.Elsewhere(mine); got != here {
			t.Errorf("%s: a host of shard 0 is said to be elsewhere: %t", when, got)
		}
		if got := srv.Elsewhere(other); got != there {
			t.Errorf("%s: a host of shard 1 is said to be elsewhere: %t", when, got)
		}
	}
	check("without a client", false, false)
	connect(1, "one", "bridge-0-of-2.svc")
	check("with one shard", false, true)
	connect(2, "two", "")
	check("with the whole of another istiod", false, true)
	connect(3, "one", "bridge-1-of-2.svc")
	check("with both shards", false, false)
}
