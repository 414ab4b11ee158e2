package eureka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"meshbridge/sources"
)

// Scope is the name of the only scope: a Eureka is read whole or not at all.
const Scope = "default"

const (
	// A server's deltas reach back three minutes, less its caches' ages. After a longer gap only a full read will do.
	maxGap = 2 * time.Minute
	// The pause after a failure doubles from this, up to the interval.
	minPause = time.Second
)

// Run implements [sources.Source]. It returns only when ctx ends: while no server answers, the last report stands.
func (s *Source) Run(ctx context.Context, sink sources.Sink) error {
	t := s.transport(s.cfg)
	defer t.CloseIdleConnections()
	servers := make([]*url.URL, len(s.cfg.Servers))
	for i, server := range s.cfg.Servers {
		base, err := server.parse()
		if err != nil {
			return fmt.Errorf("servers[%d]: %w", i, err)
		}
		servers[i] = base
	}
	f := &follower{
		cfg: s.cfg, log: s.log, sink: sink, client: newClient(s.cfg, t), peers: newPeers(servers, s.random), failing: map[*url.URL]bool{},
	}
	sink.Scopes([]string{Scope})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failures := 0; ; {
		select { // one of two can happen: it is time for a poll, or we are told to stop
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := f.poll(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause := s.cfg.Interval
		if err == nil {
			failures = 0
		} else {
			sink.State(Scope, err)
			if !errors.As(err, new(lacking)) {
				pause = min(pause, minPause<<min(failures, 10))
				failures++
			}
		}
		timer.Reset(jitter(pause, s.random))
	}
}

// jitter spreads a pause by a tenth, so that readers that were started together do not stay together.
func jitter(pause time.Duration, random *rand.Rand) time.Duration {
	return time.Duration((0.9 + 0.2*random.Float64()) * float64(pause))
}

// follower follows for the time of one Run. It belongs to Run's goroutine.
type follower struct {
	cfg    Config
	log    *slog.Logger
	sink   sources.Sink
	client *client
	peers  *peers

	held    *registry // what was reported; nil before the first report
	from    *url.URL  // who said it
	fresh   time.Time // when it was last said
	full    time.Time // when it was last said in full
	doubt   doubt
	failing map[*url.URL]bool // servers that failed when they were last asked
}

// poll asks one server after the other until one answers, and reports what it says.
func (f *follower) poll(ctx context.Context) error {
	f.peers.refresh(time.Now())
	var errs []error
	var most *registry // of those in doubt
	var mostFrom *url.URL
	var mostAt time.Time
	for range f.peers.order {
		server, began := f.peers.first(), time.Now()
		next, uncertain, err := f.ask(ctx, server)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", name(server), err))
			f.failed(server, err)
		case next == nil: // a delta was enough
			f.followed(server)
			return nil
		case !suspicious(f.held, next, uncertain):
			f.take(server, next, began)
			return nil
		default:
			f.answered(server)
			if most == nil || next.counts.size() > most.counts.size() {
				most, mostFrom, mostAt = next, server, began
			}
		}
		f.peers.rotate()
	}
	if most == nil {
		return join(errs)
	}
	settle := f.cfg.Settle
	if f.held == nil {
		settle = 0
	}
	if f.doubt.believe(most.counts.size(), mostAt, settle) {
		f.take(mostFrom, most, mostAt)
		return nil
	}
	return f.keep(most)
}

// keep takes what a list in doubt says, and keeps what it lacks.
func (f *follower) keep(listed *registry) error {
	if f.held == nil {
		return lacking{}
	}
	doubted := lacking{missing: f.held.missing(listed), held: f.held.counts.size()}
	both := f.held.union(listed)
	if apps := f.held.differences(both); len(apps) > 0 {
		f.held = both
		f.tell(apps)
	}
	return doubted
}

// ask asks one server: for what changed if that can be enough, else for everything. A nil registry says that it was enough,
// and that what changed has been reported.
func (f *follower) ask(ctx context.Context, server *url.URL) (next *registry, uncertain bool, err error) {
	now := time.Now()
	uncertain = f.held != nil && (server != f.from || f.doubt.open || now.Sub(f.fresh) > max(maxGap, 2*f.cfg.Interval))
	if f.held != nil && !uncertain && now.Sub(f.fresh) <= maxGap {
		changes, hash, err := f.client.delta(ctx, server)
		switch {
		case withoutDeltas(err):
			f.log.Debug("no deltas: everything is read", "server", name(server), "err", err)
		case err != nil:
			return nil, false, err
		default:
			if next := f.held.revise(changes); next.counts.hash() == hash {
				f.tell(f.held.apply(next))
				f.fresh = now
				if now.Sub(f.full) < f.cfg.Resync {
					return nil, false, nil
				}
			} else {
				f.log.Info("what changed does not lead to what the server has: everything is read",
					"server", name(server), "here", next.counts.hash(), "there", hash)
				uncertain = true
			}
		}
	}
	next, err = f.client.full(ctx, server)
	return next, uncertain, err
}

// take takes what a server was asked for at a time, its whole registry, for true, and reports how it differs from what
// was held.
func (f *follower) take(server *url.URL, next *registry, asked time.Time) {
	first, before := f.held == nil, f.held
	f.held, f.fresh, f.full, f.doubt = next, asked, asked, doubt{}
	if f.from != nil && f.from != server {
		f.log.Info("another server is followed", "server", name(server))
	}
	if first {
		f.sink.Snapshot(Scope, next.services(Scope), nil)
	} else {
		f.tell(before.differences(next))
	}
	f.followed(server)
}

// tell reports the applications that changed. A report without any says that what was reported still holds.
func (f *follower) tell(apps []string) {
	var changed []*sources.Service
	var removed []sources.Key
	for _, app := range apps {
		if s := f.held.service(Scope, app); s != nil {
			changed = append(changed, s)
		} else {
			removed = append(removed, sources.Key{Scope: Scope, Name: app})
		}
	}
	f.sink.Update(Scope, changed, removed)
}

func (f *follower) followed(server *url.URL) {
	f.from = server
	f.answered(server)
}

func (f *follower) answered(server *url.URL) {
	if len(f.peers.order) > 1 && f.failing[server] {
		delete(f.failing, server)
		f.log.Info("server answers again", "server", name(server))
	}
}

func (f *follower) failed(server *url.URL, err error) {
	if len(f.peers.order) > 1 && !f.failing[server] { // of a single one the scope's state says it
		f.failing[server] = true
		f.log.Warn("server does not answer", "server", name(server), "err", err)
	}
}

// join is one line of all that went wrong.
func join(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}
