package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"meshbridge/test/harness"
)

// filled is a registry that holds a world, as a bridge is to follow it.
type filled struct {
	name   string // what it is, and how large
	source string // the bridge's source, as YAML
	meters []*meter
	// change adds one instance to the n-th service, and returns a part of that service's host.
	change func(n int) (host string, err error)
	wait   time.Duration // between two changes
}

// registriesRow measures the bridge's binary on large registries.
func registriesRow(b *bench) error {
	t := table{
		title: "Large registries",
		text: "The bridge as it is shipped, its binary in a process of its own, with state.dir set. The first snapshot counts from the start of that process until /readyz is 200. " +
			"Connections and requests are those to the registry, the latter while nothing changes (for ZooKeeper requests of its protocol, for Nacos HTTP requests and gRPC messages together); " +
			"a change is one more instance of one service, from before the registry is told until `meshbridge watch --delta` has it. " +
			"Eureka is scripted, with the answers of a real one and its 30 s cache left out; the others are real servers.",
		head: []string{"registry", "first snapshot", "connections", "requests a minute, idle", "change to client: median", "the most", "resident", "CPU, idle"},
	}
	for _, fill := range []func(b *bench) (*filled, error){fillZooKeeper, fillEureka, fillConsul, fillNacos} {
		r, err := fill(b)
		if err != nil {
			return err
		}
		row, err := b.follow(r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		t.rows = append(t.rows, row)
		b.progress("%s", strings.Join(row, ", "))
		b.clean()
	}
	b.report.table(t)
	return nil
}

// follow has a bridge follow a filled registry, and returns its row.
func (b *bench) follow(r *filled) ([]string, error) {
	s := stand{b: b}
	b.progress("%s: a bridge reads it", r.name)
	start := time.Now()
	bridge := harness.LaunchBridge(s, harness.BridgeConfig{YAML: "state: {dir: state}\nsources:\n- " + r.source})
	for deadline := start.Add(3 * time.Minute); bridge.Ready() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("it is not ready after 3 minutes: %w", bridge.Ready())
		}
	}
	first := time.Since(start)
	pid, err := processWith(bridge.Config)
	if err != nil {
		return nil, err
	}
	client, err := b.watch(pid, bridge.MCP)
	if err != nil {
		return nil, err
	}
	time.Sleep(10 * time.Second) // its first work
	idle := pick(b, 30*time.Second, 15*time.Second)
	before, requests := b.used(pid), r.requests()
	time.Sleep(idle)
	after, requests := b.used(pid), r.requests()-requests
	var open int64
	for _, m := range r.meters {
		open += m.open.Load()
	}
	var delays []time.Duration
	for n := range pick(b, 10, 5) {
		at := time.Now()
		host, err := r.change(n)
		if err != nil {
			return nil, err
		}
		seen, err := client.next(host, 2*time.Minute)
		if err != nil {
			return nil, err
		}
		delays = append(delays, seen.Sub(at))
		time.Sleep(r.wait)
	}
	u := b.used(pid)
	return []string{
		r.name, seconds(first), fmt.Sprint(open), fmt.Sprintf("%.0f", float64(requests)*float64(time.Minute)/float64(idle)),
		ms(quantile(delays, 0.5)), ms(quantile(delays, 1)), mib(u.RSS), fmt.Sprintf("%.1f %%", 100*float64(after.CPU-before.CPU)/float64(idle)),
	}, nil
}

func (r *filled) requests() int64 {
	var n int64
	for _, m := range r.meters {
		n += m.requests.Load()
	}
	return n
}

// used is what the process has used; a process that is gone has used nothing.
func (b *bench) used(pid int) Usage {
	u, err := processUsage(pid)
	if err != nil {
		b.progress("%v", err)
	}
	return u
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// watching is `meshbridge watch`, and when it printed what.
type watching struct {
	mu      sync.Mutex
	lines   []watched
	changed chan struct{}
}

type watched struct {
	at   time.Time
	text string
}

// watch starts the command of the binary that a process runs, and returns when it has the state.
func (b *bench) watch(pid int, address string) (*watching, error) {
	cmd := exec.CommandContext(b.ctx, fmt.Sprintf("/proc/%d/exe", pid), "watch", address, "--delta", "--kind", "ServiceEntry")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.cleanups = append(b.cleanups, func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // it was killed
	})
	w := &watching{changed: make(chan struct{}, 1)}
	go w.read(out)
	return w, nil
}

func (w *watching) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		w.mu.Lock()
		w.lines = append(w.lines, watched{time.Now(), lines.Text()})
		w.mu.Unlock()
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// next waits for a line that tells of a change of the host, and forgets what came before.
func (w *watching) next(host string, limit time.Duration) (time.Time, error) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		w.mu.Lock()
		lines := w.lines
		w.lines = nil
		w.mu.Unlock()
		for _, l := range lines {
			if strings.Contains(l.text, host) && strings.Contains(l.text, "(+1,-0)") {
				return l.at, nil
			}
		}
		select {
		case <-w.changed:
		case <-deadline.C:
			return time.Time{}, fmt.Errorf("no change of %s came within %v", host, limit)
		}
	}
}
