// Command meshbridge bridges service registries to Istio. This package holds the command line, one file per command, and
// no logic: what a command does lives in a package that it calls.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// gcPercent spends a little processor on a smaller heap: most of it is what is served, which lives long.
const gcPercent = 40

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], terminal{out: os.Stdout, err: os.Stderr, env: os.Getenv, server: localServer})
	stop()
	os.Exit(code)
}
