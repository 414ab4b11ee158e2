package consul

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"
)

// errResized ends a session that has to watch in another way, because the catalog has grown or shrunk.
var errResized = errors.New("the catalog has another size: it is watched in another way")

// sweepShare bounds how much of the time nodes are swept: one part in so many.
const sweepShare = 5

// manySingly is how many services are read on their own rather than all by nodes, if there are no more nodes than this.
const manySingly = 128

// session follows one datacenter until a query fails. It belongs to one goroutine, but for the mailbox.
type session struct {
	cfg    Config
	log    *slog.Logger
	client *client
	dc     string // "" is the agent's own
	reader reader
	report *reporter
	mail   *mailbox

	single       bool                          // each service is watched on its own
	watches      int                           // so many services may be
	state        *state                        // nil while single
	names        map[string][]string           // the services that are listed, with their tags
	watched      map[string]context.CancelFunc // services that are watched
	uncontrolled bool                          // there is no access control
	denied       bool                          // there is, and what no rule allows may not be read

	pending   pending
	nextSweep time.Time
}

// pending is what has to be read at the next look.
type pending struct {
	affected names
	sweep    bool // every node
	all      bool // everything
}

func (p *pending) any() bool { return len(p.affected) > 0 || p.sweep || p.all }

// run follows until ctx ends or something cannot be read any more, and returns why.
func (s *session) run(ctx context.Context) error {
	services, meta, err := s.list(ctx)
	if err != nil {
		return err
	}
	s.single = len(services) <= s.watches
	s.pending.affected = names{}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.follow(ctx, group, services, meta) })
	return group.Wait()
}

// follow reads everything, watches it in the group, and reads what changes.
func (s *session) follow(ctx context.Context, group *errgroup.Group, services map[string][]string, meta *api.QueryMeta) error {
	if !s.single {
		s.state = newState()
	}
	read, at, err := s.full(ctx, services, meta)
	if err != nil {
		return err
	}
	group.Go(func() error { return s.watchServices(ctx, meta.LastIndex) })
	if s.single {
		s.watchEach(ctx, group, read)
	} else {
		group.Go(func() error { return s.watchNodes(ctx, at.nodes) })
		group.Go(func() error { return s.watchChecks(ctx, at.checks) })
	}
	return s.loop(ctx, group)
}

func (s *session) loop(ctx context.Context, group *errgroup.Group) error {
	resync := time.NewTicker(s.cfg.Resync)
	defer resync.Stop()
	settle := time.NewTimer(0)
	defer settle.Stop()
	armed := false
	arm := func(pause time.Duration) {
		if !armed && s.pending.any() {
			armed = true
			settle.Reset(pause)
		}
	}
	for {
		select { // there is news, the news has settled, it is time to read everything, or we are told to stop
		case <-s.mail.wake:
			if err := s.sort(ctx, s.mail.take()); err != nil {
				return err
			}
			arm(s.cfg.Debounce)
		case <-settle.C:
			armed = false
			if err := s.look(ctx, group); err != nil {
				return err
			}
			arm(max(s.cfg.Debounce, time.Until(s.nextSweep)))
		case <-resync.C:
			s.pending.all = true
			arm(s.cfg.Debounce)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sort tells from news what has to be read.
func (s *session) sort(ctx context.Context, n news) error {
	if n.services != nil {
		if err := s.admit(ctx, len(n.services), n.listed); err != nil {
			return err
		}
		s.listed(n.services)
	}
	for name := range n.touched {
		s.pending.affected[name] = true
	}
	if n.nodes != nil {
		more := s.state.setNodes(n.nodes, s.pending.affected)
		s.pending.sweep = s.pending.sweep || more
	}
	if n.checks != nil {
		s.state.setChecks(n.checks, s.pending.affected)
	}
	delete(s.pending.affected, ownService)
	s.pending.all = s.pending.all || n.again
	if n.alive && !s.pending.any() {
		s.report.vouch()
	}
	return nil
}

// listed compares the names of all services with those that are known. Those that came or went are looked at; what else
// changed in the list shows on the nodes.
func (s *session) listed(services map[string][]string) {
	s.names = services
	for name := range services {
		if _, known := s.report.held[name]; !known && s.watched[name] == nil {
			s.pending.affected[name] = true
		}
	}
	for name := range s.report.held {
		if _, there := services[name]; !there {
			s.pending.affected[name] = true
		}
	}
	for name, cancel := range s.watched {
		if _, there := services[name]; !there {
			s.pending.affected[name] = true
			cancel()
			delete(s.watched, name)
		}
	}
	s.pending.sweep = s.pending.sweep || !s.single
}

// look reads what is pending and reports it.
func (s *session) look(ctx context.Context, group *errgroup.Group) error {
	if !s.pending.any() {
		return nil
	}
	if s.pending.sweep && !s.pending.all && !time.Now().Before(s.nextSweep) {
		if err := s.sweepNodes(ctx); err != nil {
			return err
		}
	}
	if s.pending.all || !s.single && len(s.pending.affected) > manySingly+len(s.state.nodes) {
		s.pending = pending{affected: names{}}
		services, meta, err := s.list(ctx)
		if err != nil {
			return err
		}
		if fits := len(services) <= s.watches; s.single != fits && (s.single || len(services) <= s.watches/2) {
			return errResized
		}
		read, _, err := s.full(ctx, services, meta)
		if err == nil && s.single {
			s.watchEach(ctx, group, read)
		}
		return err
	}
	affected := s.pending.affected
	s.pending.affected = names{}
	if s.single && len(s.watched)+len(affected) > s.watches && s.grows(affected) {
		return errResized
	}
	read, err := s.readSome(ctx, affected.sorted())
	if err != nil {
		return err
	}
	if err := s.report.report(ctx, s, read, false, false); err != nil {
		return err
	}
	if s.single {
		s.watchEach(ctx, group, read)
	}
	return nil
}

// grows reports whether there are more services to watch than may be.
func (s *session) grows(affected names) bool {
	more := 0
	for name := range affected {
		if _, held := s.report.held[name]; !held && s.watched[name] == nil {
			more++
		}
	}
	return len(s.watched)+more > s.watches
}

// sweepNodes finds the services that changed on any node.
func (s *session) sweepNodes(ctx context.Context) error {
	began := time.Now()
	_, err := s.sweep(ctx, func(node string, list []*api.AgentService) {
		s.state.setServices(node, list, s.pending.affected)
	})
	if err != nil {
		return err
	}
	delete(s.pending.affected, ownService)
	s.pending.sweep = false
	now := time.Now()
	s.nextSweep = now.Add((sweepShare - 1) * now.Sub(began))
	return nil
}

// full reads and reports everything, services being all that are listed.
func (s *session) full(ctx context.Context, services map[string][]string, meta *api.QueryMeta) (read map[string]reading, at indexes, err error) {
	s.names = services
	hidden := meta.ResultsFilteredByACLs
	whole := false
	if !s.single {
		read, at, whole, err = s.readAll(ctx)
		if err != nil {
			return nil, at, err
		}
		hidden = hidden || !whole
	}
	hidden = hidden && !s.cfg.AllowFiltered
	if s.single || hidden || s.cfg.Filter != "" {
		wanted := names{}
		for name := range services {
			wanted[name] = true
		}
		for name := range s.report.held { // whether they are gone or hidden is told by asking for them
			wanted[name] = true
		}
		delete(wanted, ownService)
		if read, err = s.readSome(ctx, wanted.sorted()); err != nil {
			return nil, at, err
		}
	}
	return read, at, s.report.report(ctx, s, read, true, hidden)
}

// watchEach watches each listed service that was read and is not watched yet.
func (s *session) watchEach(ctx context.Context, group *errgroup.Group, read map[string]reading) {
	for _, name := range slices.Sorted(maps.Keys(read)) {
		r := read[name]
		if _, listed := s.names[name]; !listed || s.watched[name] != nil || r.fault != "" {
			continue
		}
		one, cancel := context.WithCancel(ctx)
		s.watched[name] = cancel
		group.Go(func() error {
			defer cancel()
			err := s.watchService(one, name, r.index)
			if one.Err() != nil && ctx.Err() == nil {
				return nil // it is not listed any more
			}
			return err
		})
	}
}

// tooMany reports whether a session ended because it had more connections than the agent takes.
func (s *session) tooMany(err error) bool {
	return s.single && len(s.watched) > 0 && hasStatus(err, http.StatusTooManyRequests)
}
