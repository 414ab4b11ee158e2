package get

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"meshbridge/cmd/internal/term"
)

// column is one column of a table of T.
type column[T any] struct {
	name string
	wide bool // shown with -o wide alone
	cell func(T) string
}

// printer prints rows under each other in columns as wide as their widest cell so far, so that rows of a watch stay in line.
type printer struct {
	out    io.Writer
	widths []int
}

// print writes rows of as many cells as there are columns. The last cell of a row is not padded.
func (p *printer) print(rows [][]string) error {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(p.widths) {
				p.widths = append(p.widths, 0)
			}
			p.widths[i] = max(p.widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", p.widths[i]-utf8.RuneCountInString(cell)+3))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// head is the row of names.
func head[T any](columns []column[T], wide bool) []string {
	var row []string
	for _, c := range columns {
		if wide || !c.wide {
			row = append(row, c.name)
		}
	}
	return row
}

// cells is the row of one item.
func cells[T any](columns []column[T], wide bool, item T) []string {
	var row []string
	for _, c := range columns {
		if wide || !c.wide {
			row = append(row, term.Clean(c.cell(item)))
		}
	}
	return row
}

// some joins up to three items, and counts the rest.
func some(items []string) string {
	const most = 3
	if len(items) <= most {
		return strings.Join(items, ",")
	}
	return fmt.Sprintf("%s,+%d", strings.Join(items[:most], ","), len(items)-most)
}
