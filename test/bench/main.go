package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"meshbridge/test/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	roles := map[string]any{"bridge": &Bridge{ctx: ctx}, "clients": newClients(ctx), "linear": &Linear{ctx: ctx}, "plain": newPlain(ctx)}
	if len(os.Args) == 2 && roles[os.Args[1]] != nil {
		exit(serve(roles[os.Args[1]]))
	}
	out := flag.String("out", "", "file for the report, beside standard output; only with all rows")
	only := flag.String("only", "", "names of rows to measure, separated by commas: "+strings.Join(names(), ", "))
	quick := flag.Bool("quick", false, "measure for a shorter time, and smaller worlds")
	profiles := flag.String("profile", "", "folder for CPU profiles of the bridge")
	flag.Parse()
	chosen, err := choose(*only)
	if err == nil && *out != "" && len(chosen) < len(rows()) {
		err = fmt.Errorf("-out goes with all rows, not with -only")
	}
	exit(err)
	harness.Isolate(func() (func(), error) {
		if !slices.ContainsFunc(chosen, func(r row) bool { return r.istiod }) {
			return func() {}, nil
		}
		return func() {}, build(ctx)
	})
	b := &bench{ctx: ctx, quick: *quick, profiles: *profiles, start: time.Now(), busy: loadAverage()}
	err = b.measure(chosen)
	text := b.report.markdown(describe(b))
	fmt.Print(text)
	if err == nil && *out != "" {
		err = os.WriteFile(*out, []byte(text), 0o644)
	}
	exit(err)
}

// exit ends the process if there is an error, and a role's process always.
func exit(err error) {
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	case len(os.Args) == 2 && !strings.HasPrefix(os.Args[1], "-"):
		os.Exit(0)
	}
}

// row is a group of measurements.
type row struct {
	name   string
	istiod bool // needs a real one
	run    func(b *bench) error
}

// rows are all there is to measure, in the order of the report.
func rows() []row {
	return []row{
		{name: "change", run: changeRow},
		{name: "scale", run: scaleRow},
		{name: "bytes", run: bytesRow},
		{name: "full", run: fullRow},
		{name: "memory", run: memoryRow},
		{name: "sustained", run: sustainedRow},
		{name: "ack", istiod: true, run: ackRow},
		{name: "eds", istiod: true, run: edsRow},
	}
}

func names() []string {
	var all []string
	for _, r := range rows() {
		all = append(all, r.name)
	}
	return all
}

func choose(only string) ([]row, error) {
	if only == "" {
		return rows(), nil
	}
	var chosen []row
	for name := range strings.SplitSeq(only, ",") {
		i := slices.Index(names(), name)
		if i < 0 {
			return nil, fmt.Errorf("-only: there is no row %q, but %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, rows()[i])
	}
	return chosen, nil
}

// build builds the real servers unless that has been done.
func build(ctx context.Context) error {
	for _, tool := range []harness.Tool{harness.IstiodNewest, harness.IstioCRDs, harness.Kube} {
		if _, err := harness.Build(ctx, tool, os.Stderr); err != nil {
			return err
		}
	}
	return nil
}
