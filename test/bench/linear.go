package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"

	discoverygrpc "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	mcppb "istio.io/api/mcp/v1alpha1"

	"meshbridge/convert"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// linearType is the type that LinearCaches hold. Only clusters and listeners get the full state that MCP needs of state of
// the world, so the ServiceEntries go under the name of clusters.
const linearType = resource.ClusterType

// Linear is the role of a process that serves the same resources from LinearCaches, one for each shard. It is given them
// converted and ready, which the bridge is not.
type Linear struct {
	ctx    context.Context
	world  World
	shards int
	rules  *convert.Rules
	caches []*cache.LinearCache
	ready  map[int]*mcppb.Resource // by change
}

// LinearConfig is how the caches start.
type LinearConfig struct {
	World  World
	Shards int
}

// Start fills the caches and serves them.
func (l *Linear) Start(config LinearConfig, address *string) error {
	l.world, l.shards = config.World, max(config.Shards, 1)
	var err error
	if l.rules, err = convert.Compile(convert.Default(), []convert.Source{{Name: scripted}}); err != nil {
		return err
	}
	contents := make([]map[string]types.Resource, l.shards)
	for i := range contents {
		contents[i] = map[string]types.Resource{}
	}
	for i := range l.world.Services {
		message, err := l.convert(i, 0)
		if err != nil {
			return err
		}
		contents[l.shard(i)][message.Metadata.Name] = message
	}
	mux := cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetNode().GetId() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetNode().GetId() },
		Caches:        map[string]cache.Cache{},
	}
	for i, content := range contents {
		c := cache.NewLinearCache(linearType, cache.WithInitialResources(content))
		l.caches = append(l.caches, c)
		mux.Caches[strconv.Itoa(i)] = c
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	g := grpc.NewServer(grpc.MaxConcurrentStreams(math.MaxUint32))
	discoverygrpc.RegisterAggregatedDiscoveryServiceServer(g, server.NewServer(l.ctx, &mux, nil))
	go g.Serve(listener) //nolint:errcheck // it ends with the process
	*address = listener.Addr().String()
	return nil
}

// shard is that of a service: which one does not matter as long as they are of equal size.
func (l *Linear) shard(service int) int { return service % l.shards }

// convert makes the resource of a service.
func (l *Linear) convert(i, change int) (*mcppb.Resource, error) {
	result := convert.Convert(l.ctx, l.rules, map[string][]*sources.Service{scripted: {l.world.service(i, change)}}, nil, nil)
	for _, r := range result.Resources {
		if r.Kind == store.ServiceEntry {
			return r.Message()
		}
	}
	return nil, fmt.Errorf("service %s has no ServiceEntry: %s", l.world.name(i), strings.TrimSpace(fmt.Sprint(result.Rejected)))
}

// Change makes the resources of the changes, and then puts them into the caches at the pace.
func (l *Linear) Change(pace Pace, reply *Paced) error {
	l.ready = make(map[int]*mcppb.Resource, pace.Count)
	for n := pace.First; n < pace.First+pace.Count; n++ {
		message, err := l.convert(l.world.target(n), n)
		if err != nil {
			return err
		}
		l.ready[n] = message
	}
	result, err := pace.run(func(n int) error {
		message := l.ready[n]
		return l.caches[l.shard(l.world.target(n))].UpdateResource(message.Metadata.Name, message)
	})
	*reply = result
	return err
}

// Usage is the process's.
func (l *Linear) Usage(_ Nothing, reply *Usage) error {
	u, err := usage()
	*reply = u
	return err
}
