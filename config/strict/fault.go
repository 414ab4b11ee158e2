package strict

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing wrong in a document.
type Fault struct {
	File  string
	Line  int    // from 1; 0 where the whole file is meant
	Path  string // such as sources[0].zookeeper.servers, "" for the whole document
	Wrong string // what is wrong
	Right string // what would be right; "" where Wrong says both
}

// Error is the fault on one line: file:line: path: what is wrong: what would be right.
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		b.WriteString(":" + strconv.Itoa(f.Line))
	}
	for _, part := range []string{f.Path, f.Wrong, f.Right} {
		if part != "" {
			b.WriteString(": " + strings.ReplaceAll(part, "\n", "; "))
		}
	}
	return b.String()
}

// Faults is everything wrong in a document, in the order of its lines.
type Faults []Fault

// Error is every fault on a line of its own.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single faults to errors.Is and errors.As.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, fault := range f {
		errs[i] = fault
	}
	return errs
}

// Err is the faults as an error, nil if there are none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// sorted orders by line and path and drops what is told twice.
func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Wrong, b.Wrong))
	})
	return slices.Compact(f)
}

// Flatten lists the single errors of a tree of joined ones, from left to right.
func Flatten(err error) []error {
	if err == nil {
		return nil
	}
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) || err.Error() != joined(many.Unwrap()) {
		return []error{err}
	}
	var flat []error
	for _, e := range many.Unwrap() {
		flat = append(flat, Flatten(e)...)
	}
	return flat
}

func joined(errs []error) string {
	lines := make([]string, len(errs))
	for i, err := range errs {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}
