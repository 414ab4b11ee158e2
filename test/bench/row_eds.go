package main

import (
	"fmt"
	"time"
)

// edsTargets are what the design promises, by changes per second, with the default quiet: the quantile and its bound.
var edsTargets = map[int]struct {
	quantile float64
	bound    time.Duration
}{1: {0.5, 130 * time.Millisecond}, 100: {0.99, time.Second}, 1000: {0.99, 5 * time.Second}}

// edsRow measures how long a change takes to the endpoints of a proxy of an istiod with its default debounce.
func edsRow(b *bench) error {
	world := World{Services: pick(b, 10000, 2000), Endpoints: 20}
	const shards = 256
	seconds := pick(b, 20, 8)
	t := table{
		title: "Change to the endpoints at a proxy",
		text: fmt.Sprintf("At %s, %d shards, istiod with its default debounce (100 ms of quiet, 10 s at most), one sidecar that follows the endpoints of every service (delta); "+
			"%d s each. Every change is timed from the source's report to its EDS response. A change that was replaced before it was seen counts until what replaced it was.", describeWorld(world), shards, seconds),
		head: []string{"changes/s", "`mcp.quiet`", "median", "p99", "most", "never seen", "EDS responses", "istiod CPU", "bridge CPU for each change"},
	}
	m := b.mesh()
	for _, quiet := range []time.Duration{0, 150 * time.Millisecond} {
		if err := m.edsWith(&t, world, shards, seconds, quiet); err != nil {
			return err
		}
	}
	b.report.table(t)
	return nil
}

// edsWith measures all rates with one bridge and one istiod.
func (m *mesh) edsWith(t *table, world World, shards, seconds int, quiet time.Duration) error {
	b := m.b
	bridge, started, endBridge, err := b.bridge(BridgeConfig{World: world, Quiet: quiet})
	if err != nil {
		return err
	}
	defer endBridge()
	istiod, pid, err := m.istiod(started.Address, shards)
	if err != nil {
		return err
	}
	defer istiod.Stop()
	clients, endClients, err := b.child("clients")
	if err != nil {
		return err
	}
	defer endClients()
	proxy := Connect{Address: istiod.GRPC, Speaks: eds, Clients: 1}
	for i := range world.Services {
		proxy.Clusters = append(proxy.Clusters, "outbound|80||"+world.host(i))
	}
	time.Sleep(5 * time.Second)
	if _, err := do[Connected](clients, "Connect", proxy); err != nil {
		return err
	}
	next := 1
	for _, rate := range []int{1, 10, 100, 1000} {
		time.Sleep(2 * time.Second)
		if _, err := do[Received](clients, "Collect", Await{}); err != nil {
			return err
		}
		before, err := processUsage(pid)
		if err != nil {
			return err
		}
		begin := time.Now()
		pace := Pace{First: next, Count: rate * seconds, Interval: time.Second / time.Duration(rate), Profile: b.profile(fmt.Sprintf("eds-%d-%s", rate, quiet))}
		next += pace.Count
		paced, err := do[Paced](bridge, "Change", pace)
		if err != nil {
			return err
		}
		after, err := processUsage(pid)
		if err != nil {
			return err
		}
		took := time.Since(begin)
		received, err := do[Received](clients, "Collect", Await{Count: pace.Count, Limit: 15 * time.Second})
		if err != nil {
			return err
		}
		delays, unseen := seen(pace, paced, received, world)
		median, p99 := quantile(delays, 0.5), quantile(delays, 0.99)
		b.progress("%d changes/s, quiet %s: %s median, %s p99, %d never seen, %s behind", rate, quiet, ms(median), ms(p99), unseen, ms(paced.Late))
		t.rows = append(t.rows, []string{
			thousands(int64(rate)), quiet.String(), ms(median), ms(p99), ms(quantile(delays, 1)), thousands(int64(unseen)), thousands(int64(received.Messages)),
			fmt.Sprintf("%d ms/s", int64((after.CPU-before.CPU)*1000/took/1)), ms(paced.CPU / time.Duration(pace.Count)),
		})
		if target, ok := edsTargets[rate]; ok && quiet > 0 {
			at := quantile(delays, target.quantile)
			name := map[float64]string{0.5: "median", 0.99: "p99"}[target.quantile]
			b.report.line(line{
				what:     fmt.Sprintf("change → EDS at a proxy, %s/s, default debounce, %d shards, %s: %s", thousands(int64(rate)), shards, describeWorld(world), name),
				measured: ms(at), target: "≤ " + ms(target.bound), verdict: verdict(at <= target.bound && unseen == 0), limit: "100 ms of debounce", peer: "–",
			})
		}
	}
	return nil
}

// seen is how long each change took to be seen, and how many never were.
func seen(pace Pace, paced Paced, received Received, world World) (delays []time.Duration, unseen int) {
	at := make(map[int]int64, len(received.Got))
	for _, g := range received.Got {
		at[g.Change] = g.At
	}
	replaced := map[int]int64{} // by service: when its newest change was seen, going backwards
	for n := pace.First + pace.Count - 1; n >= pace.First; n-- {
		service := world.target(n)
		got, ok := at[n]
		if later, have := replaced[service]; have && (!ok || later < got) {
			got, ok = later, true
		}
		if !ok {
			unseen++
			continue
		}
		replaced[service] = got
		delays = append(delays, time.Duration(got-paced.At[n-pace.First]))
	}
	return delays, unseen
}
