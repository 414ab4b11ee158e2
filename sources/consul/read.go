package consul

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"sync"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"meshbridge/sources"
)

// reading is what the leader said of one service.
type reading struct {
	service  *sources.Service // nil: it has no instance
	filtered bool             // access control left something out
	index    uint64           // to watch from
	fault    string           // why it could not be read, "" if it could; then it is unknown
}

// list asks for the names of all services, and judges the answer.
func (s *session) list(ctx context.Context) (services map[string][]string, meta *api.QueryMeta, err error) {
	if meta, err = s.client.read(ctx, s.dc, pathServices, "", &services); err != nil {
		return nil, nil, err
	}
	return services, meta, s.admit(ctx, len(services), meta)
}

// readSome asks for each service on its own.
func (s *session) readSome(ctx context.Context, services []string) (map[string]reading, error) {
	var mu sync.Mutex
	read := make(map[string]reading, len(services))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, name := range services {
		group.Go(func() error {
			r, err := s.readOne(ctx, name)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			read[name] = r
			return nil
		})
	}
	return read, group.Wait()
}

// askable reports whether a name can be part of the API's paths. The catalog takes any.
func askable(name string) bool { return name != "" && path.Clean("/"+name) == "/"+name }

func (s *session) readOne(ctx context.Context, name string) (reading, error) {
	if !askable(name) {
		return reading{fault: fmt.Sprintf("the name %q cannot be part of a path of Consul's API: register the service under another", name)}, nil
	}
	var entries []*api.ServiceEntry
	meta, err := s.client.read(ctx, s.dc, pathService+name, s.cfg.Filter, &entries)
	switch {
	case hasStatus(err, http.StatusNotFound):
		return reading{fault: err.Error()}, nil // a name that the API cannot be asked for stops no other
	case err != nil:
		return reading{}, err
	}
	return reading{service: s.reader.service(name, entries), filtered: meta.ResultsFilteredByACLs, index: meta.LastIndex}, nil
}

// sweep asks for the services on every node.
func (s *session) sweep(ctx context.Context, each func(node string, list []*api.AgentService)) (filtered bool, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for name := range s.state.nodes {
		if !askable(name) {
			s.log.Warn("a node's services cannot be read: its name cannot be part of a path of Consul's API", "node", name)
			continue
		}
		group.Go(func() error {
			var answer struct{ Services []*api.AgentService }
			meta, err := s.client.read(ctx, s.dc, pathNode+name, "", &answer)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			filtered = filtered || meta.ResultsFilteredByACLs
			each(name, slices.DeleteFunc(answer.Services, func(s *api.AgentService) bool { return s == nil }))
			return nil
		})
	}
	err = group.Wait()
	return filtered, err
}

// indexes are where queries on lists are to go on.
type indexes struct{ nodes, checks uint64 }

// readAll reads everything by nodes. Checks come last, so that no instance is seen before its checks. Whole is false where
// access control left something out, and then nothing follows from what was read.
func (s *session) readAll(ctx context.Context) (read map[string]reading, at indexes, whole bool, err error) {
	affected := names{}
	var nodes []node
	meta, err := s.client.read(ctx, s.dc, pathNodes, "", &nodes)
	if err != nil {
		return nil, at, false, err
	}
	at.nodes, whole = meta.LastIndex, !meta.ResultsFilteredByACLs
	s.state.setNodes(nodes, affected)
	entries := map[string][]*api.ServiceEntry{}
	filtered, err := s.sweep(ctx, func(name string, list []*api.AgentService) {
		s.state.setServices(name, list, affected)
		for _, service := range list {
			entries[service.Service] = append(entries[service.Service], &api.ServiceEntry{Node: s.state.nodes[name].api(), Service: service})
		}
	})
	if err != nil {
		return nil, at, false, err
	}
	var checks []check
	if meta, err = s.client.read(ctx, s.dc, pathChecks, "", &checks); err != nil {
		return nil, at, false, err
	}
	s.state.setChecks(checks, affected)
	at.checks, whole = meta.LastIndex, whole && !filtered && !meta.ResultsFilteredByACLs
	return s.join(entries, checks), at, whole, nil
}

// join gives the entries their checks and makes services of them.
func (s *session) join(entries map[string][]*api.ServiceEntry, checks []check) map[string]reading {
	type place struct{ node, service string }
	of := map[place]api.HealthChecks{} // service "" is the node itself
	for _, c := range checks {
		at := place{c.Node, c.ServiceID}
		of[at] = append(of[at], &api.HealthCheck{CheckID: c.CheckID, Status: c.Status})
	}
	read := make(map[string]reading, len(entries))
	for name, list := range entries {
		if name == ownService {
			continue
		}
		for _, e := range list {
			e.Checks = append(e.Checks, of[place{e.Node.Node, ""}]...)
			e.Checks = append(e.Checks, of[place{e.Node.Node, e.Service.ID}]...)
		}
		read[name] = reading{service: s.reader.service(name, list)}
	}
	return read
}

func (n *node) api() *api.Node {
	return &api.Node{
		Node: n.Node, Address: n.Address, Datacenter: n.Datacenter, TaggedAddresses: n.TaggedAddresses, Meta: n.Meta, Locality: n.Locality,
	}
}
