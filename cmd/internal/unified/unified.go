// Package unified writes what differs between two texts as diff -u does. Its invariant: equal texts give nothing, and patch
// makes the one text out of the other.
package unified

import (
	"fmt"
	"strings"

	"github.com/kylelemons/godebug/diff"
)

// context is how many equal lines stand around a difference.
const context = 3

// line is a line of either text or both: ' ', '-' or '+'.
type line struct {
	mark byte
	text string
}

// Diff says how one text becomes another, under their names; "" if they are equal. A text is /dev/null by name where there
// is none.
func Diff(beforeName, before, afterName, after string) string {
	var lines []line
	for _, c := range diff.DiffChunks(split(before), split(after)) {
		for _, part := range []struct {
			mark byte
			text []string
		}{{'-', c.Deleted}, {'+', c.Added}, {' ', c.Equal}} {
			for _, text := range part.text {
				lines = append(lines, line{part.mark, text})
			}
		}
	}
	hunks := hunksOf(lines)
	if len(hunks) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", beforeName, afterName)
	for _, h := range hunks {
		h.write(&b, lines)
	}
	return b.String()
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// hunk is a run of lines with differences that lie near each other, from first to before end.
type hunk struct{ first, end int }

func hunksOf(lines []line) []hunk {
	var hunks []hunk
	for i, l := range lines {
		if l.mark == ' ' {
			continue
		}
		first, end := max(0, i-context), min(len(lines), i+context+1)
		if n := len(hunks); n > 0 && first <= hunks[n-1].end {
			hunks[n-1].end = end
		} else {
			hunks = append(hunks, hunk{first, end})
		}
	}
	return hunks
}

func (h hunk) write(b *strings.Builder, lines []line) {
	fmt.Fprintf(b, "@@ -%s +%s @@\n", h.place(lines, '-'), h.place(lines, '+'))
	for _, l := range lines[h.first:h.end] {
		fmt.Fprintf(b, "%c%s\n", l.mark, l.text)
	}
}

// place is where a hunk begins in one of the texts, and how many of its lines it has.
func (h hunk) place(lines []line, mark byte) string {
	before, in := 0, 0
	for i, l := range lines[:h.end] {
		if l.mark != ' ' && l.mark != mark {
			continue
		}
		if i < h.first {
			before++
		} else {
			in++
		}
	}
	switch in {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return fmt.Sprint(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, in)
}
