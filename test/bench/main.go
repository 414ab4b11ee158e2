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
	harness.Isolate(func() (func(), error) { return prepare(ctx, chosen) })
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
	name  string
	run   func(b *bench) error
	tools []harness.Tool // real servers
	own   bool           // needs the bridge's own binary
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
		{name: "ack", run: ackRow, tools: istiods()},
		{name: "eds", run: edsRow, tools: istiods()},
		{name: "rollout", run: rolloutRow, tools: append(istiods(), harness.StockEnvoy)},
		{name: "envoy", run: envoyRow, tools: append(istiods(), harness.StockEnvoy)},
		{name: "registries", run: registriesRow, tools: []harness.Tool{harness.ZooKeeper, harness.Consul, harness.Nacos3}, own: true},
	}
}

// istiods are the tools of a mesh.
func istiods() []harness.Tool {
	return []harness.Tool{harness.IstiodNewest, harness.IstioCRDs, harness.Kube}
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

// prepare builds what the rows need, unless that has been done.
func prepare(ctx context.Context, chosen []row) (cleanup func(), err error) {
	cleanup = func() {}
	for _, r := range chosen {
		for _, tool := range r.tools {
			if _, err := harness.Build(ctx, tool, os.Stderr); err != nil {
				return cleanup, err
			}
		}
		if r.own {
			if cleanup, err = harness.BuildBridge(); err != nil {
				return func() {}, err
			}
		}
	}
	return cleanup, nil
}
