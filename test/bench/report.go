package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// report is what was measured.
type report struct {
	lines  []line
	tables []table
}

// line is one promise of the design and what came of it.
type line struct{ what, measured, target, verdict, limit, peer string }

// table is a group of measurements in more detail.
type table struct {
	title, text string
	head        []string
	rows        [][]string
}

// verdict judges in words. Nothing else depends on it.
func verdict(meets bool) string {
	if meets {
		return "meets"
	}
	return "**misses**"
}

func (r *report) line(l line)   { r.lines = append(r.lines, l) }
func (r *report) table(t table) { r.tables = append(r.tables, t) }

// describe says where and when it was measured.
func describe(b *bench) string {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for l := range strings.Lines(string(info)) {
			if key, value, _ := strings.Cut(l, ":"); strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	memory := "unknown memory"
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kb int64
		if _, err := fmt.Sscanf(string(info), "MemTotal: %d kB", &kb); err == nil {
			memory = fmt.Sprintf("%.0f GiB of memory", float64(kb)/(1<<20))
		}
	}
	gogc := os.Getenv("GOGC")
	if gogc == "" {
		gogc = fmt.Sprintf("%d for the bridge, as shipped, else the default", gcPercent)
	}
	mode := ""
	if b.busy != "" {
		mode = fmt.Sprintf(" The load average was %s at the start.", b.busy)
	}
	if b.quick {
		mode += " This was a quick run: shorter, and with smaller worlds."
	}
	return fmt.Sprintf("Measured on %s in %.0f min. %d cores of %s, %s, %s/%s, %s, GOGC %s.%s",
		b.start.UTC().Format(time.DateOnly), time.Since(b.start).Minutes(), runtime.NumCPU(), model, memory, runtime.GOOS, runtime.GOARCH, runtime.Version(), gogc, mode)
}

const preface = `# Benchmarks

Written by ` + "`make bench`" + `: every number below is of one run on one machine, and nothing is edited by hand. The bridge, its
clients, the peers and istiod share the machine's cores; each is a process of its own, and CPU is what the named process used (user
and system). What comes in is a scripted source; from there on it is the bridge as it ships: mirror, conversion, store, MCP server.

A world of *services × endpoints* has ServiceEntries with inline endpoints. A change gives one service one more endpoint, or replaces that.
The limit is a plain gRPC server that streams the same bytes to as many streams over the same loopback and does nothing else. LinearCache is
go-control-plane's, v0.14.0, given the same resources **already converted**; for state of the world one cache for each shard.
`

// loadAverage is how many processes have wanted to run in the last minute, "" if that cannot be read.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// markdown is the whole report.
func (r *report) markdown(machine string) string {
	var b strings.Builder
	b.WriteString(preface + "\n" + machine + "\n")
	if len(r.lines) > 0 {
		b.WriteString("\n## The targets\n\n")
		summary := table{head: []string{"what", "measured", "target", "", "limit: plain gRPC", "LinearCache"}}
		for _, l := range r.lines {
			summary.rows = append(summary.rows, []string{l.what, l.measured, l.target, l.verdict, l.limit, l.peer})
		}
		summary.write(&b)
	}
	for _, t := range r.tables {
		fmt.Fprintf(&b, "\n## %s\n\n", t.title)
		if t.text != "" {
			b.WriteString(t.text + "\n\n")
		}
		t.write(&b)
	}
	return b.String()
}

func (t table) write(b *strings.Builder) {
	row := func(cells []string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }
	row(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---"
	}
	row(rule)
	for _, cells := range t.rows {
		row(cells)
	}
}

// Forms of numbers.

func ms(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%s ms", thousands(int64(d/time.Millisecond)))
}

func size[T int64 | int | uint64](bytes T) string {
	switch v := float64(bytes); {
	case v >= 1e6:
		return fmt.Sprintf("%.1f MB", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1f kB", v/1e3)
	default:
		return fmt.Sprintf("%d B", bytes)
	}
}

func mib(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func times(a, b time.Duration) string {
	if b <= 0 {
		return "–"
	}
	if r := float64(a) / float64(b); r < 10 {
		return fmt.Sprintf("%.1f×", r)
	} else {
		return fmt.Sprintf("%.0f×", r)
	}
}
