package main

import (
	"fmt"
	"time"
)

// load is how a server is loaded: by how many clients, and how it changes.
type load struct {
	name     string // of the profile
	world    World
	speaks   string
	clients  int
	shards   int
	count    int // changes in each round
	interval time.Duration
	quiet    time.Duration // the bridge's
	folder   string        // of canary documents, if the world has any
	settle   time.Duration // canary.settle
}

// rounds is how often CPU is measured. The least counts, for every server: what else runs on the machine only ever adds.
const rounds = 3

// outcome is what came of a load.
type outcome struct {
	cpu     time.Duration   // of the server, for each change
	delays  []time.Duration // from each change to each client's last byte
	payload int64           // bytes of messages for each change, all clients together
	wire    int64           // bytes on the connections for each change, all clients together
	sample  []byte          // a message
	lost    int             // changes that did not come to a client
	late    time.Duration
	first   Connected
	started time.Duration // how long the bridge took to fill
	merged  float64       // messages for each change and client; 1 unless changes were merged
}

// least keeps the least CPU.
func (o *outcome) least(cpu time.Duration) {
	if o.cpu == 0 || cpu < o.cpu {
		o.cpu = cpu
	}
}

// bridge starts a bridge.
func (b *bench) bridge(config BridgeConfig) (*child, BridgeStarted, func(), error) {
	c, end, err := b.child("bridge")
	if err != nil {
		return nil, BridgeStarted{}, nil, err
	}
	started, err := do[BridgeStarted](c, "Start", config)
	return c, started, end, err
}

// loadBridge measures a new bridge under the load.
func (b *bench) loadBridge(l load) (outcome, error) {
	server, started, end, err := b.bridge(BridgeConfig{World: l.world, Quiet: l.quiet, Folder: l.folder, Settle: l.settle})
	if err != nil {
		return outcome{}, err
	}
	defer end()
	o, err := b.load(l, server, Connect{Address: started.Address, Speaks: l.speaks, Clients: l.clients, Shards: l.shards})
	o.started = started.Took
	return o, err
}

// loadLinear measures LinearCaches under the load.
func (b *bench) loadLinear(l load) (outcome, error) {
	server, end, err := b.child("linear")
	if err != nil {
		return outcome{}, err
	}
	defer end()
	address, err := do[string](server, "Start", LinearConfig{World: l.world, Shards: l.shards})
	if err != nil {
		return outcome{}, err
	}
	return b.load(l, server, Connect{Address: address, Speaks: l.speaks, Clients: l.clients, Shards: l.shards, NodeShard: true})
}

// load connects clients to a server, lets it change, and collects what comes.
func (b *bench) load(l load, server *child, connect Connect) (outcome, error) {
	clients, end, err := b.child("clients")
	if err != nil {
		return outcome{}, err
	}
	defer end()
	first, err := do[Connected](clients, "Connect", connect)
	if err != nil {
		return outcome{}, err
	}
	time.Sleep(settle + 3*l.settle) // until then a new client waits for routes
	if _, err := do[Received](clients, "Collect", Await{}); err != nil {
		return outcome{}, err
	}
	o := outcome{first: first}
	messages := 0
	for round := range rounds {
		pace := Pace{First: 1 + round*l.count, Count: l.count, Interval: l.interval}
		if server.role == "bridge" && round == 0 {
			pace.Profile = b.profile(l.name)
		}
		paced, err := do[Paced](server, "Change", pace)
		if err != nil {
			return outcome{}, err
		}
		want := l.count * l.clients
		received, err := do[Received](clients, "Collect", Await{Count: want, Limit: 30 * time.Second})
		if err != nil {
			return outcome{}, err
		}
		o.least(paced.CPU / time.Duration(l.count))
		o.payload, o.wire, o.sample = received.Payload/int64(l.count), received.Wire/int64(l.count), received.Sample
		o.lost += want - len(received.Got)
		o.late = max(o.late, paced.Late)
		messages += received.Messages
		for _, g := range received.Got {
			o.delays = append(o.delays, time.Duration(g.At-paced.At[g.Change-pace.First]))
		}
	}
	o.merged = float64(messages) / float64(rounds*l.count*l.clients)
	b.progress("%s %s ×%d, %s, %s: %s of CPU for each change, %s median, %d lost, %s behind, %.2f messages for each",
		server.role, l.speaks, l.clients, parts(l.shards), describeWorld(l.world), ms(o.cpu), ms(quantile(o.delays, 0.5)), o.lost, ms(o.late), o.merged)
	return o, nil
}

// loadPlain measures plain gRPC: the same message to as many streams for each change.
func (b *bench) loadPlain(l load, message []byte) (time.Duration, error) {
	server, end, err := b.child("plain")
	if err != nil {
		return 0, err
	}
	defer end()
	if _, err := do[Nothing](server, "Set", PlainBytes{Full: 1, Message: message}); err != nil {
		return 0, err
	}
	address, err := do[string](server, "Serve", Nothing{})
	if err != nil {
		return 0, err
	}
	clients, endClients, err := b.child("clients")
	if err != nil {
		return 0, err
	}
	defer endClients()
	if _, err := do[Connected](clients, "Connect", Connect{Address: address, Speaks: plain, Clients: l.clients, Shards: l.shards}); err != nil {
		return 0, err
	}
	var o outcome
	for range rounds {
		paced, err := do[Paced](server, "Change", Pace{Count: l.count, Interval: l.interval})
		if err != nil {
			return 0, err
		}
		if _, err := do[Received](clients, "Messages", Await{Count: l.count * l.clients, Limit: 30 * time.Second}); err != nil {
			return 0, err
		}
		o.least(paced.CPU / time.Duration(l.count))
	}
	b.progress("plain ×%d, %s, %s: %s of CPU for each message", l.clients, parts(l.shards), size(len(message)), ms(o.cpu))
	return o.cpu, nil
}

// parts says how many shards there are.
func parts(shards int) string {
	if shards <= 1 {
		return "1 shard"
	}
	return fmt.Sprintf("%d shards", shards)
}

func describeWorld(w World) string {
	return fmt.Sprintf("%s × %d", thousands(int64(w.Services)), w.Endpoints)
}
