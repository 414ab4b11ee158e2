package main

import (
	"fmt"
	"time"

	"meshbridge/test/harness"
)

// ackRow measures how long a stock istiod takes to acknowledge a change, by the number of shards.
func ackRow(b *bench) error {
	world := World{Services: pick(b, 10000, 2000), Endpoints: 20}
	m := b.mesh()
	bridge, started, _, err := b.bridge(BridgeConfig{World: world, Quiet: 150 * time.Millisecond})
	if err != nil {
		return err
	}
	t := table{
		title: "Change to the ACK of a stock istiod",
		text: "At " + describeWorld(world) + ", from the source's report to istiod's ACK, which it sends once it has applied the change; one change at a time, after a pause. " +
			"istiod is Istio's master of " + harness.IstiodNewest.Version + ", without proxies.",
		head: []string{"shards", "changes", "median", "p99", "istiod CPU for each change", "istiod resident"},
	}
	next := 1
	for _, shards := range []int{1, 16, 64, 256} {
		istiod, pid, err := m.istiod(started.Address, shards)
		if err != nil {
			return err
		}
		time.Sleep(5 * time.Second) // its first work
		before, err := processUsage(pid)
		if err != nil {
			return err
		}
		count := pick(b, 40, 15)
		var delays []time.Duration
		for range count {
			d, err := do[time.Duration](bridge, "Acked", AckedChange{Change: next, Node: istiodNode})
			if err != nil {
				return err
			}
			delays = append(delays, d)
			next++
			time.Sleep(300 * time.Millisecond)
		}
		after, err := processUsage(pid)
		if err != nil {
			return err
		}
		istiod.Stop()
		median, p99 := quantile(delays, 0.5), quantile(delays, 0.99)
		b.progress("%s: %s median, %s p99", parts(shards), ms(median), ms(p99))
		t.rows = append(t.rows, []string{
			fmt.Sprint(shards), fmt.Sprint(count), ms(median), ms(p99), ms((after.CPU - before.CPU) / time.Duration(count)), mib(after.RSS),
		})
		l := line{what: fmt.Sprintf("change → ACK of istiod, %s, %s: median", parts(shards), describeWorld(world)), measured: ms(median), target: "–", verdict: "–", limit: "–", peer: "–"}
		if shards == 64 {
			l.target, l.verdict = "≤ 15 ms", verdict(median <= 15*time.Millisecond)
		}
		b.report.line(l)
	}
	b.report.table(t)
	return nil
}
