package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"meshbridge/config/canaries"
	"meshbridge/convert"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// scripted is the name of the one source.
const scripted = "scripted"

// Bridge is the role of a process that is the bridge, from the mirror to the port, with a scripted source.
type Bridge struct {
	ctx    context.Context
	world  World
	folder string // of the canary documents
	sink   sources.Sink
	server *mcpserver.Server
}

// BridgeConfig is how a bridge starts.
type BridgeConfig struct {
	World World
	Quiet time.Duration
	State bool // with a state.dir, on the disk of the temporary folder
	// Folder is that of the canary documents, if the world has any, and Settle is canary.settle.
	Folder string
	Settle time.Duration
}

// BridgeStarted is a bridge that serves.
type BridgeStarted struct {
	Address string
	Took    time.Duration // from the first report until everything was in the store
}

// gcPercent is what cmd/meshbridge sets where GOGC is not set.
const gcPercent = 40

// Start starts the bridge and returns when its whole world is served.
func (b *Bridge) Start(config BridgeConfig, reply *BridgeStarted) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	registry := prometheus.NewRegistry()
	b.world, b.folder = config.World, config.Folder
	rollout, err := b.documents(config)
	if err != nil {
		return err
	}
	rules, err := convert.Compile(rollout, []convert.Source{{Name: scripted}})
	if err != nil {
		return err
	}
	mirror, resources := sources.NewMirror(time.Now, log), store.NewStore()
	var state string
	if config.State {
		if state, err = os.MkdirTemp("", "meshbridge-bench-"); err != nil {
			return err
		}
		mirror.Restore(state)
	}
	converter := convert.New(rules, mirror, resources, convert.Options{StateDir: state, Log: log, Registerer: registry})
	mcp := mcpserver.Default()
	mcp.Quiet = config.Quiet
	if b.server, err = mcpserver.New(mcp, resources, mcpserver.Options{Log: log, Registerer: registry, Settle: rollout.Canary.Settle, Retain: rollout.Subsets.Retain}); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	documents := canaries.New(rollout, log)
	converter.SetCanaries(documents.Read(b.ctx))
	// All end with the process.
	go b.report(log, "follow the documents", func() error { return documents.Run(b.ctx, converter.SetCanaries) })
	go b.report(log, "guard and keep", func() error { return mirror.Run(b.ctx) })
	go b.report(log, "convert", func() error { return converter.Run(b.ctx) })
	go b.report(log, "serve MCP", func() error { return b.server.Run(b.ctx, listener) })

	start := time.Now()
	mirror.Expect([]sources.Expected{{Name: scripted, Kind: "script", Required: true, Protect: sources.DefaultProtect()}})
	b.sink = mirror.Sink(scripted)
	b.load()
	for {
		snapshot, stale := resources.Snapshot()
		if snapshot.Open && snapshot.Len(store.ServiceEntry) == b.world.Services && snapshot.Len(store.VirtualService) == b.world.Canaries {
			break
		}
		select {
		case <-stale:
		case <-time.After(2 * time.Minute):
			return fmt.Errorf("only %d of %d services are served", snapshot.Len(store.ServiceEntry), b.world.Services)
		}
	}
	if state != "" {
		if err := os.RemoveAll(state); err != nil { // the open files go with the process
			return err
		}
	}
	*reply = BridgeStarted{Address: listener.Addr().String(), Took: time.Since(start)}
	return nil
}

func (b *Bridge) report(log *slog.Logger, what string, run func() error) {
	if err := run(); err != nil {
		log.Error(what, "err", err)
	}
}

// load reports the world in parts, as a source that reads one service after another does.
func (b *Bridge) load() {
	const part = 1000
	b.sink.Scopes([]string{""})
	for from := 0; from < b.world.Services; from += part {
		services := make([]*sources.Service, 0, part)
		for i := from; i < min(from+part, b.world.Services); i++ {
			services = append(services, b.world.service(i, 0))
		}
		if from == 0 {
			b.sink.Snapshot("", services, nil)
		} else {
			b.sink.Update("", services, nil)
		}
	}
}

func (b *Bridge) change(n int) error {
	if b.world.Canaries > 0 {
		return b.step(n)
	}
	b.sink.Update("", []*sources.Service{b.world.service(b.world.target(n), n)}, nil)
	return nil
}

// Change makes changes at the pace.
func (b *Bridge) Change(pace Pace, reply *Paced) error {
	result, err := pace.run(b.change)
	*reply = result
	return err
}

// Usage is the process's.
func (b *Bridge) Usage(_ Nothing, reply *Usage) error {
	u, err := usage()
	*reply = u
	return err
}

// HeapProfile writes a heap profile to the file.
func (b *Bridge) HeapProfile(file string, _ *Nothing) error { return writeHeap(file) }

// Record is a CPU profile to be written.
type Record struct {
	File string
	For  time.Duration
}

// CPUProfile writes a CPU profile.
func (b *Bridge) CPUProfile(r Record, _ *Nothing) error {
	_, err := measured(r.File, func() error {
		time.Sleep(r.For)
		return nil
	})
	return err
}

// Acked makes one change and waits until the streams whose node ID contains Node have nothing in flight and one of them
// has acknowledged a response since.
func (b *Bridge) Acked(args AckedChange, reply *time.Duration) error {
	start := time.Now()
	if err := b.change(args.Change); err != nil {
		return err
	}
	for time.Since(start) < time.Minute {
		time.Sleep(20 * time.Millisecond)
		if at, ok := b.ackedAfter(args.Node, start); ok {
			*reply = at.Sub(start)
			return nil
		}
	}
	return errors.New("no ACK within a minute")
}

// AckedChange is a change, and whose ACK is meant.
type AckedChange struct {
	Change int
	Node   string
}

func (b *Bridge) ackedAfter(node string, start time.Time) (acked time.Time, ok bool) {
	for _, c := range b.server.Clients() {
		if !strings.Contains(c.Node, node) {
			continue
		}
		for _, k := range c.Kinds {
			if k.AckedAt != nil && k.AckedAt.After(start) {
				acked, ok = *k.AckedAt, true
			}
		}
	}
	return acked, ok
}
