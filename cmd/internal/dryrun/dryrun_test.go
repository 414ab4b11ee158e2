package dryrun_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"meshbridge/cmd/internal/dryrun"
	"meshbridge/convert"
	"meshbridge/sources"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a source by its Run.
type source func(ctx context.Context, sink sources.Sink) error

func (s source) Run(ctx context.Context, sink sources.Sink) error { return s(ctx, sink) }

// follows reports a service in each scope, and then goes on as a source does.
func follows(scopes ...string) source {
	return func(ctx context.Context, sink sources.Sink) error {
		sink.Scopes(scopes)
		for _, scope := range scopes {
			key := sources.Key{Scope: scope, Name: "svc-" + scope}
			sink.Snapshot(scope, []*sources.Service{{Key: key, Instances: []sources.Instance{{
				ID: "1", Address: "10.0.0.1", Ports: []sources.Port{{Protocol: "http", Number: 8080}}, Weight: 100, Healthy: true, Enabled: true,
			}}}}, nil)
		}
		sink.Faults(scopes[0], []sources.Fault{{Where: "broken.yaml:1", Reason: "not a list"}})
		<-ctx.Done()
		return ctx.Err()
	}
}

// rules are those of sources without configuration.
func rules(t *testing.T, names ...string) *convert.Rules {
	t.Helper()
	var list []convert.Source
	for i, name := range names {
		list = append(list, convert.Source{Name: name, Order: i})
	}
	r, err := convert.Compile(convert.Default(), list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryScopeOfEverySourceIsConverted(t *testing.T) {
	got, err := dryrun.Run(t.Context(), rules(t, "a", "b"), map[string]sources.Source{"a": follows("one", "two"), "b": follows("three")}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range got.Resources {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"registries/svc-one.mesh", "registries/svc-three.mesh", "registries/svc-two.mesh"}, names); diff != "" {
		t.Error(diff)
	}
	if len(got.Rejected) != 2 || got.Rejected[0].Instance != "broken.yaml:1" {
		t.Errorf("rejected %+v", got.Rejected)
	}
}

func TestASourceThatFailsEndsTheRun(t *testing.T) {
	lost := errors.New("connection refused")
	fails := source(func(context.Context, sources.Sink) error { return lost })
	_, err := dryrun.Run(t.Context(), rules(t, "a", "b"), map[string]sources.Source{"a": follows("one"), "b": fails}, nil, nil)
	if !errors.Is(err, lost) || !strings.Contains(err.Error(), "source b") {
		t.Errorf("error %v", err)
	}
	ends := source(func(context.Context, sources.Sink) error { return nil })
	if _, err := dryrun.Run(t.Context(), rules(t, "b"), map[string]sources.Source{"b": ends}, nil, nil); err == nil {
		t.Error("a source that ends without a word is taken for an empty one")
	}
}

func TestASourceThatIsNotReadInTimeIsNamed(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("too late")
	half := source(func(ctx context.Context, sink sources.Sink) error {
		sink.Scopes([]string{"one", "two"})
		sink.Snapshot("one", nil, nil)
		cancel(late)
		<-ctx.Done()
		return ctx.Err()
	})
	_, err := dryrun.Run(ctx, rules(t, "a"), map[string]sources.Source{"a": half}, nil, nil)
	if !errors.Is(err, late) || !strings.Contains(err.Error(), `source a: scope "two" not read yet`) {
		t.Errorf("error %v", err)
	}
}
