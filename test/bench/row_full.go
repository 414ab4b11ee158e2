package main

import (
	"fmt"
	"time"
)

// fullRow measures how fast a new client gets its full state, beside the same bytes over plain gRPC.
func fullRow(b *bench) error {
	world := World{Services: 10000, Endpoints: 20}
	bridge, started, _, err := b.bridge(BridgeConfig{World: world})
	if err != nil {
		return err
	}
	clients, _, err := b.child("clients")
	if err != nil {
		return err
	}
	server, _, err := b.child("plain")
	if err != nil {
		return err
	}
	address, err := do[string](server, "Serve", Nothing{})
	if err != nil {
		return err
	}
	var fresh, shared, incremental, limit []time.Duration
	var bytes int64
	full := func(address, speaks string, into *[]time.Duration) error {
		c, err := do[Connected](clients, "Full", Connect{Address: address, Speaks: speaks})
		if err == nil {
			*into, bytes = append(*into, c.Took), max(bytes, c.Bytes)
		}
		return err
	}
	if file := b.profile("full"); file != "" {
		bridge.Go("Role.CPUProfile", Record{File: file, For: 10 * time.Second}, &Nothing{}, nil)
	}
	rounds := pick(b, 25, 7)
	for i := range rounds {
		if _, err := do[Paced](bridge, "Change", Pace{First: i + 1, Count: 1}); err != nil {
			return err
		}
		if err := full(started.Address, sotw, &fresh); err != nil {
			return err
		}
		if _, err := do[Nothing](server, "Set", PlainBytes{Full: bytes}); err != nil {
			return err
		}
		for range 2 { // interleaved, so that noise of the machine meets all alike
			for _, s := range []struct {
				address, speaks string
				into            *[]time.Duration
			}{{address, plain, &limit}, {started.Address, sotw, &shared}, {started.Address, delta, &incremental}} {
				if err := full(s.address, s.speaks, s.into); err != nil {
					return err
				}
			}
		}
	}
	speed := func(took []time.Duration) float64 { return float64(bytes) / 1e6 / quantile(took, 0.5).Seconds() }
	t := table{
		title: "Full state to a new client",
		text:  fmt.Sprintf("%s at %s, from the request to the last byte; medians of new connections one after another.", size(bytes), describeWorld(world)),
		head:  []string{"what", "median", "MB/s", "of plain gRPC"},
	}
	for _, s := range []struct {
		name string
		took []time.Duration
	}{{"plain gRPC", limit}, {"state of the world", shared}, {"state of the world, first after a change", fresh}, {"delta", incremental}} {
		t.rows = append(t.rows, []string{s.name, ms(quantile(s.took, 0.5)), fmt.Sprintf("%.0f", speed(s.took)), fmt.Sprintf("%.0f %%", 100*speed(s.took)/speed(limit))})
		b.progress("%s: %.0f MB/s", s.name, speed(s.took))
	}
	part := speed(shared) / speed(limit)
	b.report.line(line{
		what: "full state to a new client, " + describeWorld(world), measured: fmt.Sprintf("%.0f MB/s, %.0f %% of plain gRPC", speed(shared), 100*part),
		target: "≥ 80 % of plain gRPC", verdict: verdict(part >= 0.8), limit: fmt.Sprintf("%.0f MB/s", speed(limit)), peer: "–",
	})
	b.report.table(t)
	return nil
}
