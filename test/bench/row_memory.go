package main

import (
	"fmt"
	"time"
)

// memoryRow measures the bridge's memory once it serves a world and has changed for a while.
func memoryRow(b *bench) error {
	t := table{
		title: "Memory of the bridge",
		text: "Resident, with two clients connected (delta, and state of the world with 64 shards), after 1,000 changes and ten seconds; the most is " +
			"since the start, filling included. The source reports 1,000 services at a time and keeps none. Mapped files are the program and, with state.dir, what the kernel may drop of the state.",
		head: []string{"world", "metadata of an instance", "state.dir", "resident", "of it mapped files", "the most", "Go heap", "filled in"},
	}
	for _, c := range []struct {
		world  World
		target int64 // 0: none
		state  bool
	}{
		{world: World{Services: 10000, Endpoints: 20}, target: 150 << 20},
		{world: World{Services: 100000, Endpoints: 10, Metadata: true}, target: 600 << 20},
		{world: World{Services: 100000, Endpoints: 10, Metadata: true}, state: true},
	} {
		if b.quick && c.world.Services > 10000 {
			continue
		}
		bridge, started, end, err := b.bridge(BridgeConfig{World: c.world, State: c.state})
		if err != nil {
			return err
		}
		clients, endClients, err := b.child("clients")
		if err != nil {
			return err
		}
		for _, connect := range []Connect{{Address: started.Address, Speaks: delta, Clients: 1}, {Address: started.Address, Speaks: sotw, Clients: 1, Shards: 64}} {
			if _, err := do[Connected](clients, "Connect", connect); err != nil {
				return err
			}
		}
		if _, err := do[Paced](bridge, "Change", Pace{First: 1, Count: 1000, Interval: 10 * time.Millisecond}); err != nil {
			return err
		}
		time.Sleep(10 * time.Second)
		u, err := do[Usage](bridge, "Usage", Nothing{})
		if err != nil {
			return err
		}
		if profile := b.profile(fmt.Sprintf("heap-%d", c.world.Services)); profile != "" {
			if _, err := do[Nothing](bridge, "HeapProfile", profile); err != nil {
				return err
			}
		}
		endClients()
		end()
		b.progress("%s: %s resident (binary %s), %s at most; heap %s, next collection at %s, stacks %s, Go holds %s", describeWorld(c.world),
			mib(u.RSS), mib(u.File), mib(u.Peak), mib(int64(u.Heap)), mib(int64(u.Next)), mib(int64(u.Stacks)), mib(int64(u.Held)))
		metadata := "1 key"
		if c.world.Metadata {
			metadata = "6 keys"
		}
		state := "none"
		if c.state {
			state = "set"
		}
		t.rows = append(t.rows, []string{describeWorld(c.world), metadata, state, mib(u.RSS), mib(u.File), mib(u.Peak), mib(int64(u.Heap)), fmt.Sprintf("%.1f s", started.Took.Seconds())})
		if c.target == 0 {
			continue
		}
		b.report.line(line{
			what: fmt.Sprintf("memory at %s, %s", describeWorld(c.world), metadata), measured: mib(u.RSS), target: "≤ " + mib(c.target),
			verdict: verdict(u.RSS <= c.target), limit: "–", peer: "–",
		})
	}
	b.report.table(t)
	return nil
}
