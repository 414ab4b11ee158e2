package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/bridge"
	"meshbridge/config"
	"meshbridge/deploy/quickstart"
)

func newRun(t terminal) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the bridge",
		Long: `Follow the configured registries and serve what they hold to istiod, until interrupted.

Without --config the file is meshbridge.yaml here, else /etc/meshbridge/meshbridge.yaml, else the
built-in default, which serves the services of deploy/quickstart/services on loopback. The file and
the secrets it names are followed: a good change takes effect at once, a bad one is refused and the
last good configuration stays active.

Exit status: 0 after an interrupt, 1 when the bridge cannot run, 2 when the configuration is refused.`,
		Example: `  meshbridge run
  meshbridge run --config /etc/meshbridge/meshbridge.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), t, path) },
	}
	addConfigFlag(cmd, &path)
	return cmd
}

// addConfigFlag lets a command read a configuration file.
func addConfigFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", "", "configuration file (default: meshbridge.yaml here, then in /etc/meshbridge)")
	if err := cmd.MarkFlagFilename("config", "yaml", "yml"); err != nil {
		panic(err) // the flag was added above
	}
}

// loaded is a configuration, and where it came from.
type loaded struct {
	*config.Config
	files *config.Files
	path  string // "": built in
}

// load reads the named file, else that of the usual places, else the built-in default. A refused file is wrong use.
func load(path string) (loaded, error) {
	if path == "" {
		found, err := config.Locate(config.Places())
		if errors.Is(err, config.ErrNoFile) {
			cfg, files, err := config.LoadBytes("the built-in default", quickstart.Config, ".", os.LookupEnv)
			return loaded{Config: cfg, files: files}, err
		}
		if err != nil {
			return loaded{}, err
		}
		path = found
	}
	cfg, files, err := config.Load(path, os.LookupEnv)
	if err != nil {
		return loaded{}, usageError{fmt.Errorf("configuration refused:\n%w", err)}
	}
	return loaded{Config: cfg, files: files, path: path}, nil
}

func run(ctx context.Context, t terminal, path string) error {
	cfg, err := load(path)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(bridge.LogLevel(cfg.Log.Level))
	log := slog.New(newLogHandler(t, cfg.Log.Format, level))
	opts := bridge.Options{Config: cfg.Config, Log: log, Level: level}
	if cfg.path != "" {
		watcher := &config.Watcher{Path: cfg.path, Env: os.LookupEnv, Log: log}
		opts.Reloads = func(ctx context.Context, apply func(*config.Config)) error {
			return watcher.Run(ctx, cfg.Config, cfg.files, apply)
		}
	}
	b, err := bridge.New(ctx, opts)
	if err != nil {
		return err
	}
	if cfg.path == "" {
		fmt.Fprintf(t.err, `meshbridge serves deploy/quickstart/services at xds://%s; try in another terminal:
  meshbridge watch %[1]s     what an istiod receives; then edit deploy/quickstart/services/shop.yaml
  meshbridge get services    what the mesh sees (without an installed binary: go run ./cmd/meshbridge get services)
`, b.Addr())
	}
	log.Info("meshbridge runs", "mcp", b.Addr().String(), "admin", cfg.Admin.Address, "config", cfg.path)
	return b.Run(ctx)
}

func newLogHandler(t terminal, format config.Format, level slog.Leveler) slog.Handler {
	opts := &slog.HandlerOptions{Level: level}
	if format == config.JSON {
		return slog.NewJSONHandler(t.err, opts)
	}
	return slog.NewTextHandler(t.err, opts)
}
