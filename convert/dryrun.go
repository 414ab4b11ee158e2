package convert

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// Result is what a dry run gives.
type Result struct {
	Resources []*store.Resource // by kind and name
	Rejected  []Rejection
	Canaries  []CanaryView // by name
}

// Convert translates once: all services of each source, by the source's name, and what files say of canaries. It is the same
// way that Run goes, without memory of the past. Host names of instances are looked up once, if lookup is not nil.
func Convert(ctx context.Context, rules *Rules, services map[string][]*sources.Service, canaries []canary.Entry, lookup Lookup) Result {
	reports := map[sources.Ref]*sources.Service{}
	changes := []sources.Change{}
	now := Created()
	for _, source := range slices.Sorted(maps.Keys(services)) {
		for _, s := range services[source] {
			ref := sources.Ref{Source: source, Key: s.Key}
			reports[ref] = s
			changes = append(changes, sources.Change{Ref: ref, Service: s, At: now})
		}
	}
	e := newEngine(rules, func(ref sources.Ref) *sources.Service { return reports[ref] }, lookups(ctx, rules, changes, lookup))
	e.entries = &canaries
	change := e.step(changes, true, now)
	return Result{Resources: change.Put, Rejected: e.rejections(), Canaries: e.canaries()}
}

// lookups asks for every host name once.
func lookups(ctx context.Context, rules *Rules, changes []sources.Change, lookup Lookup) func(string) []netip.Addr {
	if lookup == nil {
		return func(string) []netip.Addr { return nil }
	}
	r := newResolver(lookup, slog.New(slog.NewTextHandler(io.Discard, nil)))
	for _, c := range changes {
		if rules.of(c.Ref) == nil {
			continue
		}
		for i := range c.Service.Instances {
			if host, ok := lookupName(&c.Service.Instances[i]); ok {
				r.addrs(host)
			}
		}
	}
	looking, stop := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return r.run(looking) })
	r.settled(ctx)
	stop()
	_ = g.Wait() // run returns no error
	return r.addrs
}
