package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// bench measures rows.
type bench struct {
	ctx      context.Context
	quick    bool
	profiles string // folder, or ""
	start    time.Time
	busy     string // load average at the start
	report   report

	cleanups []func() // of the row that is being measured, run last first
	failed   bool
}

// measure measures the rows one after another. One that fails is told and stops none of the others.
func (b *bench) measure(chosen []row) error {
	var errs []error
	for _, r := range chosen {
		if b.ctx.Err() != nil {
			return b.ctx.Err()
		}
		b.progress("row %s", r.name)
		if err := b.one(r); err != nil {
			b.progress("row %s: %v", r.name, err)
			errs = append(errs, fmt.Errorf("row %s: %w", r.name, err))
		}
	}
	return errors.Join(errs...)
}

// one measures a row and cleans up after it.
func (b *bench) one(r row) (err error) {
	defer func() {
		if f, ok := recover().(fatal); ok {
			b.failed, err = true, errors.New(string(f))
		}
		b.clean()
	}()
	return r.run(b)
}

func (b *bench) clean() {
	for len(b.cleanups) > 0 {
		last := len(b.cleanups) - 1
		f := b.cleanups[last]
		b.cleanups = b.cleanups[:last]
		f()
	}
	b.failed = false
}

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%4.0fs %s\n", time.Since(b.start).Seconds(), fmt.Sprintf(format, args...))
}

// pick is the first value, or the second in a quick run.
func pick[T any](b *bench, full, quick T) T {
	if b.quick {
		return quick
	}
	return full
}

// child starts a process in a role, which ends with the row or when the returned function is called.
func (b *bench) child(role string) (*child, func(), error) {
	c, err := startChild(b.ctx, role)
	if err != nil {
		return nil, nil, err
	}
	ended := false
	end := func() {
		if !ended {
			ended = true
			c.end() //nolint:errcheck // it is killed
		}
	}
	b.cleanups = append(b.cleanups, end)
	return c, end, nil
}

// profile is the file for a profile, or "".
func (b *bench) profile(name string) string {
	if b.profiles == "" {
		return ""
	}
	return filepath.Join(b.profiles, name+".pprof")
}

// stand lets the harness of the tests start its servers for a row: what would fail a test fails the row.
type stand struct {
	testing.TB // nil: what is not below is not used
	b          *bench
}

// fatal is what ends a row from within the harness.
type fatal string

func (s stand) Helper()                           {}
func (s stand) Cleanup(f func())                  { s.b.cleanups = append(s.b.cleanups, f) }
func (s stand) Failed() bool                      { return s.b.failed }
func (s stand) Logf(format string, args ...any)   { s.b.progress(format, args...) }
func (s stand) Errorf(format string, args ...any) { s.b.progress(format, args...) }
func (s stand) Fatal(args ...any)                 { panic(fatal(fmt.Sprint(args...))) }
func (s stand) Fatalf(format string, args ...any) { panic(fatal(fmt.Sprintf(format, args...))) }
func (s stand) Context() context.Context          { return s.b.ctx }
func (s stand) Name() string                      { return "bench" }

// quantile is the value below which the part q of the values lies; 0 without values.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
