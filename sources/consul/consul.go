package consul

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"meshbridge/sources"
)

// Scope is the name of the only scope where no datacenter is named: the agent's own datacenter.
const Scope = "default"

// lookAround is the time between two looks for further datacenters, where all are followed.
const lookAround = time.Minute

// Run implements [sources.Source]. It returns only when ctx ends, or when all datacenters are wanted and the agent names
// none: while one cannot be read, its last report stands.
func (s *Source) Run(ctx context.Context, sink sources.Sink) error {
	t := s.transport(s.cfg)
	defer t.close()
	c, err := newClient(s.cfg, t)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	f := &following{source: s, client: c, sink: sink, group: group}
	group.Go(func() error { return f.run(ctx) })
	return group.Wait()
}

// following is one Run. It belongs to one goroutine; each datacenter has one of its own.
type following struct {
	source *Source
	client *client
	sink   sources.Sink
	group  *errgroup.Group
	scopes []string
}

func (f *following) run(ctx context.Context) error {
	dcs := f.source.cfg.Datacenters
	if len(dcs) == 0 {
		f.follow(ctx, []string{""})
		return nil
	}
	if dcs[0] != all {
		f.follow(ctx, dcs)
		return nil
	}
	dcs, err := f.client.datacenters(ctx)
	if err != nil {
		return err
	}
	f.follow(ctx, dcs)
	return f.lookAround(ctx)
}

// lookAround finds datacenters that come. One that the agent no longer knows is followed on: it may be cut off.
func (f *following) lookAround(ctx context.Context) error {
	ticker := time.NewTicker(lookAround)
	defer ticker.Stop()
	for {
		select { // one of two can happen: it is time for a look, or we are told to stop
		case <-ticker.C:
			dcs, err := f.client.datacenters(ctx)
			if err != nil {
				f.source.log.Debug("no look for further datacenters", "err", err)
				continue
			}
			if dcs = slices.DeleteFunc(dcs, func(dc string) bool { return slices.Contains(f.scopes, dc) }); len(dcs) > 0 {
				f.follow(ctx, dcs)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow names further datacenters and follows each.
func (f *following) follow(ctx context.Context, dcs []string) {
	first := len(f.scopes)
	for _, dc := range dcs {
		scope := dc
		if dc == "" {
			scope = Scope
		}
		f.scopes = append(f.scopes, scope)
	}
	f.sink.Scopes(slices.Clone(f.scopes))
	watches := f.source.cfg.Watches / len(f.scopes)
	for i, dc := range dcs {
		r := reader{cfg: f.source.cfg, scope: f.scopes[first+i]}
		if first+i > 0 {
			r.namespace = dc
		}
		f.group.Go(func() error { return f.datacenter(ctx, dc, watches, newReporter(f.sink, r)) })
	}
}

// datacenter follows one, session after session.
func (f *following) datacenter(ctx context.Context, dc string, watches int, report *reporter) error {
	log := f.source.log.With("scope", report.reader.scope)
	backoff := sources.DefaultBackoff
	pause := backoff.First
	for {
		s := &session{
			cfg: f.source.cfg, log: log, client: f.client, dc: dc, reader: report.reader, report: report, mail: newMailbox(),
			watches: watches, watched: map[string]context.CancelFunc{},
		}
		began := time.Now()
		err := s.run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errResized) {
			log.Info("watched in another way", "reason", err)
			continue
		}
		if s.tooMany(err) {
			log.Warn("services are not watched singly any more", "err", err)
			watches = 0
			continue
		}
		report.unknown(err)
		if time.Since(began) > backoff.Most {
			pause = backoff.First
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause = min(2*pause, backoff.Most)
	}
}
