// Package dryrun converts what the sources report once, without serving it. Its invariant: it gives either what every
// source says in full, or an error.
package dryrun

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/sources"
)

// Run runs the sources, by name, until each has reported all of its scopes, and converts that with what files say of
// canaries. A source that fails before ends it, and so does ctx. Names of instances are looked up by lookup, unless it is nil.
func Run(ctx context.Context, rules *convert.Rules, all map[string]sources.Source, canaries []canary.Entry, lookup convert.Lookup) (convert.Result, error) {
	services, unread, err := collect(ctx, all)
	if err != nil {
		return convert.Result{}, err
	}
	result := convert.Convert(ctx, rules, services, canaries, lookup)
	result.Rejected = append(unread, result.Rejected...)
	return result, nil
}

var (
	errDone  = errors.New("every source is in") // ends the sources
	errEnded = errors.New("it ended without saying why")
)

// collect returns the services of each source, and what of them could not be read.
func collect(ctx context.Context, all map[string]sources.Source) (map[string][]*sources.Service, []convert.Rejection, error) {
	mirror := sources.NewMirror(time.Now, slog.New(slog.DiscardHandler))
	var expected []sources.Expected
	for _, name := range slices.Sorted(maps.Keys(all)) {
		expected = append(expected, sources.Expected{Name: name, Required: true})
	}
	mirror.Expect(expected)

	services := map[string]map[sources.Key]*sources.Service{}
	g, running := errgroup.WithContext(ctx)
	for name, src := range all {
		g.Go(func() error {
			err := src.Run(running, mirror.Sink(name))
			switch {
			case running.Err() != nil: // it was told to end
				err = nil
			case err == nil:
				err = fmt.Errorf("source %s: %w", name, errEnded)
			default:
				err = fmt.Errorf("source %s: %w", name, err)
			}
			return err
		})
	}
	g.Go(func() error {
		for {
			select {
			case <-mirror.Dirty():
				changes, open := mirror.Take()
				for _, c := range changes {
					take(services, c)
				}
				if open {
					return errDone
				}
			case <-running.Done():
				return nil
			}
		}
	})
	switch err := g.Wait(); {
	case errors.Is(err, errDone):
		return flat(services), faultsOf(mirror.Sources()), nil
	case err != nil:
		return nil, nil, err
	}
	return nil, nil, fmt.Errorf("%w; not read in time: %s", context.Cause(ctx), strings.Join(mirror.Waiting(), "; "))
}

func take(services map[string]map[sources.Key]*sources.Service, c sources.Change) {
	if c.Service == nil {
		delete(services[c.Ref.Source], c.Ref.Key)
		return
	}
	if services[c.Ref.Source] == nil {
		services[c.Ref.Source] = map[sources.Key]*sources.Service{}
	}
	services[c.Ref.Source][c.Ref.Key] = c.Service
}

func flat(services map[string]map[sources.Key]*sources.Service) map[string][]*sources.Service {
	out := map[string][]*sources.Service{}
	for source, byKey := range services {
		out[source] = slices.Collect(maps.Values(byKey))
	}
	return out
}

func faultsOf(all []sources.SourceStatus) []convert.Rejection {
	var list []convert.Rejection
	for _, s := range all {
		for _, scope := range s.Scopes {
			for _, f := range scope.Faults {
				list = append(list, convert.Rejection{Source: s.Name, Instance: f.Where, Class: convert.ClassRead, Reason: f.Reason})
			}
		}
	}
	return list
}
