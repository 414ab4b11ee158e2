package bridge

import (
	"context"
	"sync"

	"meshbridge/sources"
)

// following is the set of sources that run, each in a goroutine of its own. Its methods are called from one goroutine.
type following struct {
	mirror *sources.Mirror
	wait   sync.WaitGroup
	stops  map[string]func() // by source; returns when its Run has
}

func newFollowing(m *sources.Mirror) *following {
	return &following{mirror: m, stops: map[string]func(){}}
}

// start runs a source until ctx ends or it is stopped.
func (f *following) start(ctx context.Context, name string, src sources.Source) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	f.stops[name] = func() {
		cancel()
		<-done
	}
	f.wait.Add(1)
	go func() {
		defer f.wait.Done()
		defer close(done)
		sources.Run(ctx, f.mirror, name, src, sources.DefaultBackoff)
	}()
}

// stop ends a source and waits for it.
func (f *following) stop(name string) {
	if stop := f.stops[name]; stop != nil {
		stop()
		delete(f.stops, name)
	}
}
