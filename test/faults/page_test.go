//go:build faults

package faults

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// key names a cell.
type key struct{ registry, fault string }

// none is a cell that does not exist, or a phase that a fault does not have.
const none = "–"

// parsePage reads the tables of docs/faults.md: below each heading of the second level one of registry, three words and a reason.
func parsePage(page string) (map[key]cell, error) {
	cells := map[key]cell{}
	fault := ""
	for n, line := range strings.Split(page, "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			fault = heading
			continue
		}
		if fault == "" || !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| registry ") {
			continue
		}
		fields := strings.Split(strings.Trim(line, "|"), "|")
		if len(fields) != 5 {
			return nil, fmt.Errorf("line %d: %d columns, want 5", n+1, len(fields))
		}
		for i := range fields {
			fields[i] = strings.Trim(strings.TrimSpace(fields[i]), "`")
		}
		if fields[4] == "" {
			return nil, fmt.Errorf("line %d: no reason", n+1)
		}
		k := key{fields[0], fault}
		if _, twice := cells[k]; twice {
			return nil, fmt.Errorf("line %d: %s is there twice", n+1, fields[0])
		}
		cells[k] = cell{Registry: k.registry, Fault: fault, During: fields[1], Outlived: fields[2], After: fields[3]}
	}
	return cells, nil
}

// printTable prints what was measured, a row for each fault, with the time to recover.
func printTable(out io.Writer, measured map[key]cell) {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.Debug)
	row := func(cells ...string) { fmt.Fprintln(w, "| "+strings.Join(cells, "\t ")+"\t") }
	row(append([]string{"fault: during, outlived, after (recovered in)"}, registryNames...)...)
	for _, s := range scenarios {
		cells := []string{s.name}
		for _, name := range registryNames {
			cells = append(cells, text(measured, key{name, s.name}))
		}
		row(cells...)
	}
	w.Flush()
}

func text(measured map[key]cell, k key) string {
	c, ok := measured[k]
	switch {
	case !ok:
		return "not measured"
	case c.During == none:
		return none
	}
	return fmt.Sprintf("%s (%.1f s)", c.words(), c.Recovery.Round(100*time.Millisecond).Seconds())
}
