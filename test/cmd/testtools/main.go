// Command testtools builds the tools that the tests start, into the cache, once: `testtools integration` or `testtools e2e`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"meshbridge/test/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	sets := map[string]func() []harness.Tool{"integration": harness.Integration, "e2e": harness.EndToEnd}
	if len(os.Args) != 2 || sets[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: testtools integration|e2e")
		os.Exit(2)
	}
	for _, tool := range sets[os.Args[1]]() {
		if _, err := harness.Build(ctx, tool, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
