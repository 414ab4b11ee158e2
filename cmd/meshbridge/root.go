package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/term"
)

// The exit codes.
const (
	exitFine    = 0
	exitTrouble = 1
	exitUsage   = 2
)

// terminal is where a command is run from.
type terminal struct {
	out, err io.Writer
	env      func(string) string
	server   string // the bridge that is asked when none is named
}

// localServer is the default admin address of a bridge on this machine.
const localServer = "http://127.0.0.1:16011"

// usageError is wrong use of the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// failure ends a command of which 1 is an answer: there is none.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// errTrouble ends a command that has already said what is wrong.
var errTrouble = errors.New("trouble found")

// newRoot makes the tree of commands.
func newRoot(t terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "meshbridge",
		Short: "Bridge service registries to Istio",
		Long: `meshbridge follows service registries (Nacos, Eureka, Consul, Dubbo and Spring Cloud on ZooKeeper,
files of legacy hosts) and serves what it finds as ServiceEntry and DestinationRule to an unmodified
istiod, over MCP, incrementally; and canary documents as VirtualService, make before break.

Start the bridge, list it in istiod's meshConfig.configSources, and ask it what it sees:

  meshbridge run --config meshbridge.yaml
  meshbridge check
  meshbridge get services
  meshbridge watch 127.0.0.1:16010

Exit status: 0 fine, 1 trouble found, 2 wrong use.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newRun(t),
		newCanary(t),
		newCheck(t),
		newConvert(t),
		newGet(t),
		newRelease(t),
		newWatch(t),
		newVersion(t),
	)
	return root
}

// execute runs a command line and returns the exit code.
func execute(ctx context.Context, args []string, t terminal) int {
	root := newRoot(t)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitFine
	}
	if !errors.Is(err, errTrouble) {
		fmt.Fprintf(t.err, "meshbridge: %s\n", term.CleanLines(err.Error()))
	}
	if errors.As(err, new(failure)) {
		return exitUsage
	}
	// What fails before a command starts is an unknown command, a wrong flag or a wrong number of arguments.
	if !started || errors.As(err, new(usageError)) {
		fmt.Fprintf(t.err, "see: %s --help\n", cmd.CommandPath())
		return exitUsage
	}
	return exitTrouble
}
