package main

import (
	"fmt"
	"time"
)

// scaleRow measures the CPU of one change in worlds of different sizes.
func scaleRow(b *bench) error {
	t := table{
		title: "One change, by the number of services",
		text:  "CPU of the bridge for each change to four clients, the least of three measurements; 20 endpoints each. Of state of the world a change resends one shard, so its cost is that of the shard.",
		head:  []string{"services", "delta", "median to the client", "state of the world", "shards", "bytes of the shard", "median to the client", "filled in"},
	}
	var smallest, largest time.Duration
	for _, c := range []struct{ services, shards int }{{1000, 8}, {10000, 64}, {100000, 512}} {
		if b.quick && c.services > 10000 {
			continue
		}
		l := load{
			name: fmt.Sprintf("scale-%d-delta", c.services), world: World{Services: c.services, Endpoints: 20}, speaks: delta, clients: 4, shards: 1,
			count: pick(b, 150, 60), interval: 10 * time.Millisecond,
		}
		incremental, err := b.loadBridge(l)
		if err != nil {
			return err
		}
		l.name, l.speaks, l.shards, l.interval = fmt.Sprintf("scale-%d-sotw", c.services), sotw, c.shards, 20*time.Millisecond
		whole, err := b.loadBridge(l)
		if err != nil {
			return err
		}
		if smallest == 0 {
			smallest = incremental.cpu
		}
		largest = incremental.cpu
		t.rows = append(t.rows, []string{
			thousands(int64(c.services)), ms(incremental.cpu), ms(quantile(incremental.delays, 0.5)),
			ms(whole.cpu), fmt.Sprint(c.shards), size(whole.payload / 4), ms(quantile(whole.delays, 0.5)), fmt.Sprintf("%.1f s", whole.started.Seconds()),
		})
	}
	b.report.line(line{
		what: fmt.Sprintf("CPU for one change, delta, with %s services against 1,000", t.rows[len(t.rows)-1][0]), measured: times(largest, smallest),
		target: "O(changed): about 1×", verdict: verdict(largest <= 2*smallest), limit: "1×", peer: "–",
	})
	b.report.table(t)
	return nil
}
