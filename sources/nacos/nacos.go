package nacos

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"meshbridge/sources"
)

const (
	// A connection that lasted this long is no failure when it ends.
	stable = 30 * time.Second
	// The pause before the servers are tried anew doubles from reconnectMin to reconnectMax while connections keep breaking.
	reconnectMin = 200 * time.Millisecond
	reconnectMax = 15 * time.Second
)

// Source follows one cluster. It is made by [New] and run by Run, one Run at a time.
type Source struct {
	cfg     Config
	servers []server
	log     *slog.Logger
}

var _ sources.Source = (*Source)(nil)

// New checks the configuration and makes a source of it, which connects to nothing until it is run.
func New(cfg Config, log *slog.Logger) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	servers := make([]server, len(cfg.Servers))
	for i, s := range cfg.Servers {
		servers[i], _ = parseServer(s, cfg.GRPCPort) // validated
	}
	return &Source{cfg: cfg, servers: servers, log: log}, nil
}

// Volatile names the metadata keys that say nothing lasting about an instance; a trailing * stands for any ending.
func (s *Source) Volatile() []string { return volatile() }

// Run implements [sources.Source]. A lost connection is made anew, to the next server, and until everything is read again
// the last report stands. It returns when ctx ends, or when no connection came about that tells which namespaces there are.
func (s *Source) Run(ctx context.Context, sink sources.Sink) error {
	scopes, report, identity := map[string]*scope{}, newReporter(sink), newAuth(s.cfg)
	named, all := s.cfg.named()
	if !all {
		names := make([]string, len(named))
		for i, n := range named {
			names[i] = n.name
			scopes[n.name] = newScope(n, s.cfg.Dubbo.Mode)
		}
		report.name(names)
	}
	at := rand.IntN(len(s.servers))
	for failures := 1; ; failures++ {
		began := time.Now()
		server := s.servers[at%len(s.servers)]
		err := s.follow(ctx, server, scopes, report, identity)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			err = fmt.Errorf("connection to %s ended", server)
		}
		s.log.Debug("connection ended", "server", server.String(), "err", err)
		report.lost(err)
		at++
		if time.Since(began) > stable {
			failures = 1
		}
		if failures%len(s.servers) != 0 {
			continue // the next one may be well
		}
		if len(report.scopes) == 0 {
			return err
		}
		pause := time.NewTimer(backoff(failures/len(s.servers), reconnectMin, reconnectMax))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

// follow follows over one connection and returns why it ended.
func (s *Source) follow(ctx context.Context, to server, scopes map[string]*scope, report *reporter, identity *auth) error {
	secure, err := s.cfg.TLS.Load()
	if err != nil {
		return err
	}
	if secure == nil && to.https {
		secure = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	w := newWeb(to, secure.Clone(), s.cfg.Timeout, identity)
	defer w.close()
	if err := identity.open(ctx, w); err != nil {
		return err
	}
	l, err := dial(ctx, w, secure, s.cfg.Timeout)
	if err != nil {
		return err
	}
	defer l.close()
	f := &follower{
		cfg: s.cfg, link: l, scopes: scopes, report: report, queue: queue{reread: s.cfg.Reread},
		mapped: make(chan string, 64), fired: map[serviceID]digest{}, bell: make(chan struct{}, 1),
	}
	watch := &watcher{lister: lister{web: w, link: l}, cfg: s.cfg, missed: map[string]int{}, at: map[string]*lookedAt{}}
	if !s.cfg.allGroups() {
		watch.groups = s.cfg.Groups
	}
	watch.named, watch.all = s.cfg.named()
	for _, name := range slices.Sorted(maps.Keys(scopes)) {
		watch.namespaces = append(watch.namespaces, scopes[name].namespace)
	}
	return f.run(ctx, watch)
}
