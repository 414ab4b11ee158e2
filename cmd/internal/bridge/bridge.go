// Package bridge wires the parts of a running bridge: sources into the mirror, the mirror through convert into the store,
// the store to the MCP server, and the admin server beside them. Its invariant: a reload touches only what it changes.
package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"meshbridge/cmd/internal/admin"
	"meshbridge/cmd/internal/build"
	"meshbridge/cmd/internal/metrics"
	"meshbridge/config"
	"meshbridge/config/canaries"
	"meshbridge/convert"
	"meshbridge/convert/rollout"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// Options says what to run.
type Options struct {
	Config *config.Config
	// Reloads delivers each new configuration to apply until ctx ends; nil: there are none.
	Reloads func(ctx context.Context, apply func(*config.Config)) error
	Level   *slog.LevelVar // the level of Log, which a reload may change
	Log     *slog.Logger
}

// Bridge is a bridge that listens. Run it.
type Bridge struct {
	// Set once.
	log       *slog.Logger
	level     *slog.LevelVar
	reloads   func(ctx context.Context, apply func(*config.Config)) error
	mirror    *sources.Mirror
	store     *store.Store
	documents *canaries.Watcher
	converter *convert.Converter
	server    *mcpserver.Server
	admin     *admin.Server
	mcp       net.Listener
	following *following

	// Owned by Run and the reloads that it runs.
	cfg     *config.Config
	started *config.Config // what the listeners were opened with
	pending []string       // settings that wait for a restart
	opened  map[string]sources.Source
}

// New makes a bridge and opens its listeners: the MCP port listens before the gate opens, since an istiod that is not
// answered waits and one that is refused exits.
func New(ctx context.Context, opts Options) (*Bridge, error) {
	cfg := opts.Config
	opened, rules, err := Sources(cfg, opts.Log)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	b := &Bridge{
		log: opts.Log, level: opts.Level, reloads: opts.Reloads, cfg: cfg, started: cfg, opened: opened,
		mirror: sources.NewMirror(time.Now, opts.Log), store: store.NewStore(),
	}
	b.following = newFollowing(b.mirror)
	b.server, err = mcpserver.New(cfg.MCP, b.store, mcpserver.Options{
		Log: opts.Log, Registerer: registry, Settle: orNone(cfg.Canary.Settle), Retain: orNone(rollout.Keep(cfg.Canary.Settle)),
	})
	if err != nil {
		return nil, err
	}
	b.converter = convert.New(rules, b.mirror, b.store, convert.Options{StateDir: cfg.State.Dir, Log: opts.Log, Registerer: registry, Clients: b.server})
	b.documents = canaries.New(cfg.Config, opts.Log)
	if err := metrics.Register(registry, b.mirror, b.store); err != nil {
		return nil, fmt.Errorf("register the metrics: %w", err)
	}
	if err := metrics.RegisterCanaries(registry, b.converter); err != nil {
		return nil, fmt.Errorf("register the metrics of canaries: %w", err)
	}
	b.admin, err = admin.New(admin.Options{
		Address: cfg.Admin.Address, Token: cfg.Admin.Token, HealthAddress: cfg.Health.Address,
		Snapshots: b.store, Sources: b.mirror, Services: b.converter, Clients: b.server,
		Canaries: b.converter, ParseCanaries: b.documents.Parse,
		Metrics: registry, Build: build.Read(), Log: opts.Log,
	})
	if err != nil {
		return nil, err
	}
	var listen net.ListenConfig
	if b.mcp, err = listen.Listen(ctx, "tcp", cfg.MCP.Address); err != nil {
		return nil, fmt.Errorf("listen for MCP (mcp.address): %w", err)
	}
	if err := b.admin.Listen(ctx); err != nil {
		_ = b.mcp.Close() // the error that matters is the other one
		return nil, err
	}
	return b, nil
}

// orNone is a duration for options of which 0 is the default: less than none is none.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// LogLevel is a configured level as slog has it.
func LogLevel(l config.Level) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l)); err != nil {
		panic(fmt.Sprintf("log.level %q was validated: %v", l, err))
	}
	return level
}

// Addr is where MCP is served.
func (b *Bridge) Addr() net.Addr { return b.mcp.Addr() }

// Run runs the bridge until ctx ends, then drains the MCP server. It returns nil when ctx ended it.
func (b *Bridge) Run(ctx context.Context) error {
	if dir := b.cfg.State.Dir; dir != "" {
		defer b.mirror.Restore(dir)()
	}
	b.mirror.Expect(Expected(b.cfg))
	b.converter.SetCanaries(b.documents.Read(ctx)) // before anything is served, which documents may change
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return b.server.Run(running, b.mcp) })
	g.Go(func() error { return b.admin.Run(running) })
	g.Go(func() error { return b.mirror.Run(running) })
	g.Go(func() error { return b.converter.Run(running) })
	g.Go(func() error { return b.documents.Run(running, b.converter.SetCanaries) })
	g.Go(func() error { return b.follow(running) })
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// follow runs the sources and applies reloads, and returns when every source has ended.
func (b *Bridge) follow(ctx context.Context) error {
	defer b.following.wait.Wait()
	for _, c := range b.cfg.Sources {
		b.following.start(ctx, c.Name, b.opened[c.Name])
	}
	if b.reloads == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return b.reloads(ctx, func(cfg *config.Config) { b.apply(ctx, cfg) })
}

// apply makes a new configuration the active one. Sources that it does not change keep running.
func (b *Bridge) apply(ctx context.Context, cfg *config.Config) {
	opened, rules, err := Sources(cfg, b.log)
	if err != nil {
		b.log.Error("configuration refused; the last good one stays active", "err", err)
		return
	}
	diff := config.Compare(b.cfg, cfg)
	b.cfg = cfg
	b.level.Set(LogLevel(cfg.Log.Level))
	if err := b.admin.SetToken(cfg.Admin.Token); err != nil {
		b.log.Error("the admin token stays as it was", "err", err)
	}
	for _, names := range [][]string{diff.Stopped, diff.Restarted} {
		for _, name := range names {
			b.following.stop(name)
		}
	}
	// The rules first: a service of a source without rules is not converted.
	b.converter.SetRules(rules)
	b.server.SetTimes(cfg.Canary.Settle, rollout.Keep(cfg.Canary.Settle))
	b.documents.Set(cfg.Config)
	b.mirror.Expect(Expected(cfg))
	for _, names := range [][]string{diff.Started, diff.Restarted} {
		for _, name := range names {
			b.following.start(ctx, name, opened[name])
		}
	}
	b.log.Info("configuration reloaded", "started", diff.Started, "stopped", diff.Stopped, "restarted", diff.Restarted, "adjusted", diff.Adjusted)
	if pending := config.Compare(b.started, cfg).Restart; !slices.Equal(pending, b.pending) {
		b.pending = pending
		b.log.Warn("these settings take effect when the bridge is restarted", "settings", pending)
	}
}
