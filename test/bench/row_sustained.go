package main

import (
	"fmt"
	"time"
)

// sustainedRow measures a bridge that changes a thousand times a second.
func sustainedRow(b *bench) error {
	world := World{Services: 10000, Endpoints: 20}
	const rate = 1000
	count := rate * pick(b, 60, 20)
	bridge, started, _, err := b.bridge(BridgeConfig{World: world, Quiet: 150 * time.Millisecond})
	if err != nil {
		return err
	}
	clients, _, err := b.child("clients")
	if err != nil {
		return err
	}
	if _, err := do[Connected](clients, "Connect", Connect{Address: started.Address, Speaks: delta, Clients: 1}); err != nil {
		return err
	}
	// A first round over all services, so that what is measured changes the world and does not enlarge it.
	if _, err := do[Paced](bridge, "Change", Pace{First: 1, Count: world.Services, Interval: time.Second / rate}); err != nil {
		return err
	}
	if _, err := do[Received](clients, "Collect", Await{Count: world.Services, Limit: 30 * time.Second}); err != nil {
		return err
	}
	before, err := do[Usage](bridge, "Usage", Nothing{})
	if err != nil {
		return err
	}
	paced, err := do[Paced](bridge, "Change", Pace{First: world.Services + 1, Count: count, Interval: time.Second / rate, Profile: b.profile("sustained")})
	if err != nil {
		return err
	}
	received, err := do[Received](clients, "Collect", Await{Count: count, Limit: 30 * time.Second})
	if err != nil {
		return err
	}
	after, err := do[Usage](bridge, "Usage", Nothing{})
	if err != nil {
		return err
	}
	var delays []time.Duration
	for _, g := range received.Got {
		delays = append(delays, time.Duration(g.At-paced.At[g.Change-world.Services-1]))
	}
	lost := count - len(delays)
	median, p99, most := quantile(delays, 0.5), quantile(delays, 0.99), quantile(delays, 1)
	b.progress("%d changes: %s median, %s p99, %d lost, %s → %s", count, ms(median), ms(p99), lost, mib(before.RSS), mib(after.RSS))
	seconds := count / rate
	what := fmt.Sprintf("1,000 changes/s for %d s, delta, %s", seconds, describeWorld(world))
	b.report.line(line{what: what + ": p99", measured: ms(p99), target: "≤ 500 ms", verdict: verdict(p99 <= 500*time.Millisecond), limit: "150 ms of `mcp.quiet`", peer: "–"})
	b.report.line(line{what: what + ": lost", measured: thousands(int64(lost)), target: "0", verdict: verdict(lost == 0), limit: "–", peer: "–"})
	b.report.line(line{
		what: what + ": memory", measured: mib(before.RSS) + " → " + mib(after.RSS), target: "flat",
		verdict: verdict(float64(after.RSS) <= 1.15*float64(before.RSS)), limit: "–", peer: "–",
	})
	b.report.table(table{
		title: "1,000 changes each second", text: fmt.Sprintf("For %d s to one delta client, `mcp.quiet` 150ms, %s; after a first round over all services.", seconds, describeWorld(world)),
		head: []string{"changes", "lost", "median", "p99", "most", "responses", "CPU for each change", "resident before", "after", "Go heap before", "after"},
		rows: [][]string{{
			thousands(int64(count)), thousands(int64(lost)), ms(median), ms(p99), ms(most), thousands(int64(received.Messages)), ms(paced.CPU / time.Duration(count)),
			mib(before.RSS), mib(after.RSS), mib(int64(before.Heap)), mib(int64(after.Heap)),
		}},
	})
	return nil
}
