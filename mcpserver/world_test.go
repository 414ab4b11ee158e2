package mcpserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	networkingpb "istio.io/api/networking/v1alpha3"

	"google.golang.org/protobuf/proto"

	"meshbridge/mcpserver/store"
)

// created is the create time of every resource in tests.
var created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// spec is a spec of a kind that differs by value.
func spec(kind store.Kind, host, value string) proto.Message {
	switch kind {
	case store.DestinationRule:
		return &networkingpb.DestinationRule{Host: host, Subsets: []*networkingpb.Subset{{Name: value}}}
	case store.VirtualService:
		return &networkingpb.VirtualService{Hosts: []string{host}, Gateways: []string{value}}
	}
	return &networkingpb.ServiceEntry{Hosts: []string{host}, SubjectAltNames: []string{value}}
}

type option func(*store.Meta)

func revision(rev string) option {
	return func(m *store.Meta) { m.Labels = map[string]string{store.RevisionLabel: rev} }
}

// gated waits for a generation, which began at a time.
func gated(generation uint64, since time.Time) option {
	return gate(store.Gate{Generation: generation, Since: since})
}

func gate(g store.Gate) option { return func(m *store.Meta) { m.Gate = g } }

func changedAt(t time.Time) option { return func(m *store.Meta) { m.Changed = t } }

func key(kind store.Kind, host string) store.Key { return store.Key{Kind: kind, Name: "ns/" + host} }

// make one resource, named ns/host.
func resource(t testing.TB, kind store.Kind, host, value string, options ...option) *store.Resource {
	t.Helper()
	meta := store.Meta{Key: key(kind, host), Host: host, Created: created}
	for _, o := range options {
		o(&meta)
	}
	return makeResource(t, meta, spec(kind, host, value))
}

func makeResource(t testing.TB, meta store.Meta, spec proto.Message) *store.Resource {
	t.Helper()
	r, err := store.New(meta, spec)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func removal(kind store.Kind, host string) store.Removal {
	return store.Removal{Key: key(kind, host), Host: host}
}

// opened is a store whose gate is open and which holds services.
func opened(t testing.TB, services int) *store.Store {
	t.Helper()
	s := store.NewStore()
	c := store.Change{Open: true}
	for i := range services {
		c.Put = append(c.Put, resource(t, store.ServiceEntry, fmt.Sprintf("svc-%d.mesh", i), "0"))
	}
	s.Apply(c)
	return s
}

// serve runs a server on a free port until the test ends.
func serve(t testing.TB, cfg Config, source Source, opts Options) (*Server, string) {
	t.Helper()
	srv, err := New(cfg, source, opts)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return srv, ln.Addr().String()
}

// quick is a configuration without pauses.
func quick() Config {
	cfg := Default()
	cfg.Quiet = 0
	return cfg
}

func quickly(t testing.TB) Options {
	return Options{Drain: 500 * time.Millisecond, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// versions are the names and versions of what a view sees of a kind.
func versions(s *store.Snapshot, kind store.Kind, view View) map[string]string {
	out := map[string]string{}
	for r := range s.All(kind, view.Shard) {
		if view.visible(r) != nil {
			out[r.Name] = r.Version
		}
	}
	return out
}

func current(s Source) *store.Snapshot {
	snap, _ := s.Snapshot()
	return snap
}
