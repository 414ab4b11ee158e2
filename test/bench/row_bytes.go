package main

import (
	"fmt"
	"time"
)

// bytesRow counts the bytes of one change on the wire.
func bytesRow(b *bench) error {
	world := World{Services: pick(b, 10000, 2000), Endpoints: 20}
	t := table{
		title: "Bytes on the wire for one change",
		text:  "To one client, at " + describeWorld(world) + ": what its connections read, with all framing, beside the bytes of the message.",
		head:  []string{"protocol", "shards", "on the wire", "of messages", "of the full state"},
	}
	for _, c := range []struct {
		speaks string
		shards int
	}{{delta, 1}, {sotw, 1}, {sotw, 16}, {sotw, 64}} {
		o, err := b.loadBridge(load{
			name: fmt.Sprintf("bytes-%d", c.shards), world: world, speaks: c.speaks, clients: 1, shards: c.shards, count: 8, interval: 200 * time.Millisecond,
		})
		if err != nil {
			return err
		}
		part := float64(o.payload) / float64(o.first.Bytes)
		t.rows = append(t.rows, []string{c.speaks, fmt.Sprint(c.shards), size(o.wire), size(o.payload), fmt.Sprintf("%.3g %%", 100*part)})
		l := line{what: fmt.Sprintf("bytes for one change, %s, %s, %s", c.speaks, parts(c.shards), describeWorld(world)), measured: size(o.wire), limit: size(o.payload), peer: "–"}
		switch {
		case c.speaks == delta:
			l.target, l.verdict = "the one resource", verdict(part < 2.0/float64(world.Services))
		case c.shards > 1:
			l.target, l.verdict = "that shard only", verdict(part < 2.0/float64(c.shards))
		default:
			l.target, l.verdict = "all there is", "–"
		}
		b.report.line(l)
	}
	b.report.table(t)
	return nil
}
