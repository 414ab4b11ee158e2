package main

import (
	"fmt"
	"time"
)

// changeRow measures the CPU of one change, from the source's report to the last byte for every client, beside plain gRPC
// and LinearCache.
func changeRow(b *bench) error {
	world := World{Services: pick(b, 10000, 2000), Endpoints: 20}
	detail := table{
		title: "One change to four clients", head: []string{"protocol", "shards", "server", "CPU for each change", "median to the client", "p99", "bytes to each client", "messages"},
		text: "At " + describeWorld(world) + ", `mcp.quiet` 0. CPU includes reading the ACKs, and is the least of three measurements. Messages are for each change and client: below 1, changes were merged.",
	}
	for _, c := range []struct {
		speaks   string
		shards   int
		interval time.Duration
		linear   int // changes made to the LinearCaches
	}{{delta, 1, 10 * time.Millisecond, 25}, {sotw, 64, 30 * time.Millisecond, 80}} {
		l := load{name: fmt.Sprintf("change-%d", c.shards), world: world, speaks: c.speaks, clients: 4, shards: c.shards, count: pick(b, 200, 60), interval: c.interval}
		bridge, err := b.loadBridge(l)
		if err != nil {
			return err
		}
		limit, err := b.loadPlain(l, bridge.sample)
		if err != nil {
			return err
		}
		l.count, l.interval = c.linear, 100*time.Millisecond
		linear, err := b.loadLinear(l)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("CPU for one change, %s, %s, 4 clients, %s", c.speaks, parts(c.shards), describeWorld(world))
		b.report.line(line{
			what: what, measured: ms(bridge.cpu), target: "≤ 1 ms", verdict: verdict(bridge.cpu <= time.Millisecond),
			limit: fmt.Sprintf("%s (bridge %s)", ms(limit), times(bridge.cpu, limit)), peer: ms(linear.cpu),
		})
		if c.speaks == delta {
			b.report.line(line{
				what: "CPU of LinearCache for the same change, delta", measured: times(linear.cpu, bridge.cpu) + " the bridge's",
				target: "≥ 10×", verdict: verdict(linear.cpu >= 10*bridge.cpu), limit: ms(limit), peer: ms(linear.cpu),
			})
		}
		for _, s := range []struct {
			name string
			o    outcome
		}{{"meshbridge", bridge}, {"LinearCache", linear}} {
			detail.rows = append(detail.rows, []string{c.speaks, fmt.Sprint(c.shards), s.name, ms(s.o.cpu), ms(quantile(s.o.delays, 0.5)), ms(quantile(s.o.delays, 0.99)), size(s.o.payload / 4), fmt.Sprintf("%.2f", s.o.merged)})
		}
		detail.rows = append(detail.rows, []string{"–", fmt.Sprint(c.shards), "plain gRPC", ms(limit), "–", "–", size(len(bridge.sample)), "1.00"})
	}
	b.report.table(detail)
	return nil
}
