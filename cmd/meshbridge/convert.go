package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/bridge"
	"meshbridge/cmd/internal/dryrun"
	"meshbridge/cmd/internal/object"
	"meshbridge/cmd/internal/term"
	"meshbridge/config"
	"meshbridge/config/canaries"
	"meshbridge/convert"
)

// convertFlags are the flags of convert.
type convertFlags struct {
	config  string
	output  string
	timeout time.Duration
	strict  bool
}

func newConvert(t terminal) *cobra.Command {
	var f convertFlags
	cmd := &cobra.Command{
		Use:   "convert",
		Short: "Read the sources once and print the Istio objects they become",
		Long: `Read every configured source and the documents of canaries once, and print the Istio objects that the
bridge would serve, in a form that kubectl applies: a dry run, or the input of a GitOps repository.
The same registries and documents give the same bytes. Nothing is served and no state is kept or
read, so an address that a running bridge moved aside because of a clash may come out otherwise, and
a document with a fault has no last good content.

What is left out, and why, goes to the error output. Exit status: 0 converted, 1 a source could not
be read or, with --strict, something was left out, 2 wrong use or a wrong configuration.`,
		Example: `  meshbridge convert --config meshbridge.yaml
  meshbridge convert --strict > mesh.yaml && kubectl diff -f mesh.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			result, err := f.run(cmd.Context(), t)
			if err != nil {
				return err
			}
			left := leftOut(result)
			for _, line := range left {
				fmt.Fprintln(t.err, "left out:", term.Clean(line))
			}
			if err := f.print(t, result); err != nil {
				return err
			}
			if f.strict && len(left) > 0 {
				return fmt.Errorf("%d things were left out (--strict)", len(left))
			}
			return nil
		},
	}
	fs := cmd.Flags()
	addConfigFlag(cmd, &f.config)
	fs.StringVarP(&f.output, "output", "o", "yaml", "form of output: yaml or json")
	fs.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait for all sources")
	fs.BoolVar(&f.strict, "strict", false, "exit with 1 if anything was left out")
	completeFrom(cmd, "output", "yaml", "json")
	return cmd
}

func (f *convertFlags) run(ctx context.Context, t terminal) (convert.Result, error) {
	if f.output != "yaml" && f.output != "json" {
		return convert.Result{}, usagef("-o %s: want yaml or json", f.output)
	}
	cfg, err := load(f.config)
	if err != nil {
		return convert.Result{}, err
	}
	if cfg.path == "" {
		return convert.Result{}, usagef("no configuration at %s: name one with --config", strings.Join(config.Places(), " or "))
	}
	log := slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	opened, rules, err := bridge.Sources(cfg.Config, log)
	if err != nil {
		return convert.Result{}, usageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	return dryrun.Run(ctx, rules, opened, canaries.Load(cfg.Config.Config), func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	})
}

func (f *convertFlags) print(t terminal, result convert.Result) error {
	objects := make([]json.RawMessage, 0, len(result.Resources))
	for _, r := range result.Resources {
		o, err := object.Stored(r)
		if err != nil {
			return err
		}
		objects = append(objects, o)
	}
	if f.output == "yaml" {
		out, err := object.YAML(objects)
		if err == nil {
			_, err = t.out.Write(out)
		}
		return err
	}
	e := json.NewEncoder(t.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
}

// leftOut words what was left out of the services and of the documents of canaries.
func leftOut(result convert.Result) []string {
	var lines []string
	for _, r := range result.Rejected {
		lines = append(lines, rejection(r))
	}
	for _, c := range result.Canaries {
		for _, f := range c.Faults {
			lines = append(lines, "canary "+cmp.Or(c.Name, c.File)+": "+f.Text)
		}
	}
	return lines
}

// rejection words what was left out in one line.
func rejection(r convert.Rejection) string {
	what := "source " + r.Source
	for _, part := range []struct{ name, value string }{{"service", r.Service}, {"host", r.Host}, {"instance", r.Instance}} {
		if part.value != "" {
			what += ", " + part.name + " " + part.value
		}
	}
	return what + ": " + r.Reason + " (" + r.Class + ")"
}
