package convert

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"meshbridge/convert/canary"
	"meshbridge/convert/rollout"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// Reports is where the sources' last reports are: the Mirror.
type Reports interface {
	// Dirty receives when there is something to Take.
	Dirty() <-chan struct{}
	// Take drains the changed services; open says whether the gate is open once they are applied.
	Take() (changes []sources.Change, open bool)
	// Service is the last report of a service, or nil.
	Service(ref sources.Ref) *sources.Service
}

// Applier is what changes are applied to: the Store.
type Applier interface {
	Apply(store.Change) *store.Snapshot
}

// Options are what a Converter works with. The zero value keeps nothing on disk, looks names up as the system does, logs
// to the default logger and registers no metrics.
type Options struct {
	StateDir   string // where vips.db lies; "": nowhere
	Now        func() time.Time
	Lookup     Lookup
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Clients    rollout.Clients // of the store; nil: there are none
}

// gatherNames is how long the first build waits for the addresses of host names.
const gatherNames = 10 * time.Second

// Converter translates what the sources report and applies it to the store.
type Converter struct {
	// Set once.
	reports  Reports
	store    Applier
	opts     Options
	resolver *resolver
	metrics  *metrics
	wake     chan struct{}

	mu       sync.Mutex
	engine   *engine         // guarded by mu
	next     *Rules          // guarded by mu: to be adopted, or nil
	canaries *[]canary.Entry // guarded by mu: to be adopted, or nil
}

// New makes a converter; Run does the work.
func New(rules *Rules, reports Reports, s Applier, opts Options) *Converter {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Lookup == nil {
		opts.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	c := &Converter{
		reports:  reports,
		store:    s,
		opts:     opts,
		resolver: newResolver(opts.Lookup, opts.Log),
		metrics:  newMetrics(opts.Registerer),
		wake:     make(chan struct{}, 1),
	}
	c.engine = newEngine(rules, reports.Service, c.resolver.addrs)
	if opts.Clients != nil {
		c.engine.clients = opts.Clients
	}
	return c
}

// SetRules has everything converted anew by other rules. What comes out equal is no change.
func (c *Converter) SetRules(rules *Rules) {
	c.mu.Lock()
	c.next = rules
	c.mu.Unlock()
	notify(c.wake)
}

// Run translates until ctx ends. It is called once.
func (c *Converter) Run(ctx context.Context) error {
	d, hosts, names := openDisk(c.opts.StateDir, c.opts.Log)
	defer func() {
		d.retry = time.Time{}
		d.save(nil, nil, c.opts.Now()) // what could not be written has one more chance
		d.close()
	}()
	c.resolver.seed(names, c.opts.Now().Add(unusedKeep))
	c.mu.Lock()
	for _, host := range c.engine.load(hosts) {
		c.opts.Log.Error("what the state says of a host cannot be read; it is forgotten", "host", host)
	}
	c.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.resolver.run(ctx) })
	g.Go(func() error { return c.loop(ctx, d) })
	return g.Wait()
}

func (c *Converter) loop(ctx context.Context, d *disk) error {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		due := c.work(ctx, d)
		timer.Stop()
		if !due.IsZero() {
			timer.Reset(max(0, due.Sub(c.opts.Now())))
		}
		// Sources reported, or what was retained has been so long enough, or the rules changed, or a host name has other
		// addresses, or it ends.
		select {
		case <-c.reports.Dirty():
		case <-timer.C:
		case <-c.wake:
		case <-c.resolver.news:
		case <-ctx.Done():
			return nil
		}
	}
}

// work takes in and applies all there is, and says when to look again without being told.
func (c *Converter) work(ctx context.Context, d *disk) time.Time {
	changes, open := c.reports.Take()
	if opening := c.takeIn(changes, open); opening {
		waiting, cancel := context.WithTimeout(ctx, gatherNames)
		c.resolver.settled(waiting)
		cancel()
	}
	answers := c.resolver.take()
	change, saves, due := c.build(open, answers)

	// On disk first: what a client has seen must survive a crash.
	retry := d.save(saves, answers, c.opts.Now())
	if change.Open {
		c.applied(c.store.Apply(change))
	}
	if !retry.IsZero() && (due.IsZero() || retry.Before(due)) {
		return retry
	}
	return due
}

func (c *Converter) applied(snap *store.Snapshot) {
	c.metrics.applied(snap)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.applied(snap)
}

// takeIn notes what changed, and says whether the gate opens with it.
func (c *Converter) takeIn(changes []sources.Change, open bool) (opening bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		c.engine.adopt(c.next, c.opts.Now())
		c.next = nil
	}
	if c.canaries != nil {
		c.engine.entries, c.canaries = c.canaries, nil
	}
	c.engine.takeIn(changes, c.opts.Now())
	return open && !c.engine.open
}

// build converts what changed. Host names that nobody needs any more are added to the answers, with none.
func (c *Converter) build(open bool, answers map[string][]netip.Addr) (change store.Change, saves map[string]string, due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.opts.Now()
	c.engine.resolved(slices.Collect(maps.Keys(answers)), now)
	change = c.engine.build(open, now)
	c.metrics.tell(c.engine)
	for _, d := range c.engine.disputes() {
		if len(d.lost) > 0 {
			c.opts.Log.Info("a canary document is superseded by another one", "document", d.key, "file", d.file, "at", d.lost[0].host, "reason", d.lost[0].text, "places", len(d.lost))
		} else {
			c.opts.Log.Info("a canary document is superseded nowhere any more", "document", d.key, "file", d.file)
		}
	}
	if !c.engine.open {
		return change, c.engine.saves, time.Time{}
	}
	for _, host := range c.resolver.keep(func(host string) bool { return c.engine.users[host] != nil }, now) {
		answers[host] = nil
	}
	return change, c.engine.saves, c.engine.dues.next()
}
