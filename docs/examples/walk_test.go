package examples_test

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/convert"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// bridge is a converter at work on what the files of an example say.
type bridge struct {
	*convert.Converter
	store  *store.Store
	mirror *sources.Mirror
	cancel context.CancelFunc
	done   chan error
}

// start begins with the files of a state, and what a former bridge left in dir.
func start(t *testing.T, in files, dir string) *bridge {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	b := &bridge{store: store.NewStore(), mirror: sources.NewMirror(time.Now, quiet), done: make(chan error, 1)}
	var expected []sources.Expected
	for name := range in.services {
		expected = append(expected, sources.Expected{Name: name, Required: true})
	}
	b.mirror.Expect(expected)
	b.Converter = convert.New(in.rules, b.mirror, b.store, convert.Options{StateDir: dir, Log: quiet})
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(t.Context())
	go func() { b.done <- b.Run(ctx) }()
	b.put(in)
	return b
}

// put has the bridge read the files of a state.
func (b *bridge) put(in files) {
	b.SetRules(in.rules)
	b.SetCanaries(in.documents)
	for name, services := range in.services {
		sink := b.mirror.Sink(name)
		sink.Scopes([]string{""})
		sink.Snapshot("", services, nil)
	}
	synctest.Wait()
}

func (b *bridge) stop(t *testing.T) {
	t.Helper()
	b.cancel()
	if err := <-b.done; err != nil {
		t.Error(err)
	}
}

// states are those of all documents, by name.
func (b *bridge) states() map[string]string {
	all := map[string]string{}
	for _, v := range b.Canaries() {
		all[v.Name] = v.State
	}
	return all
}

// routes are the versions of all VirtualServices, by name.
func (b *bridge) routes() map[string]string {
	snap, _ := b.store.Snapshot()
	all := map[string]string{}
	for r := range snap.All(store.VirtualService, store.Shard{}) {
		all[r.Name] = r.Version
	}
	return all
}

// walkOf is what the files of each state of an example say.
func walkOf(t *testing.T, example string) (walk []files) {
	t.Helper()
	for _, s := range slices.DeleteFunc(states(t), func(s state) bool { return s.example != example }) {
		t.Run("read "+s.String(), func(t *testing.T) {
			t.Chdir(t.TempDir())
			s.lay(t)
			walk = append(walk, read(t))
		})
	}
	return walk
}

// TestAMistakeOfOneTeamLeavesTheOtherMoving takes the walk of bad documents through a bridge that runs, and starts anew in its
// middle.
func TestAMistakeOfOneTeamLeavesTheOtherMoving(t *testing.T) {
	walk, dir := walkOf(t, "bad-document"), t.TempDir()
	const echo, foxtrot = "echo/mb-echo.mesh", "foxtrot/mb-foxtrot.mesh"
	synctest.Test(t, func(t *testing.T) {
		b := start(t, walk[0], dir)
		good := b.routes()
		if len(good) != 2 {
			t.Fatalf("the walk begins with routes %v", good)
		}
		expect := func(step int, echoState string, changed ...string) {
			t.Helper()
			if diff := cmp.Diff(map[string]string{"echo": echoState, "foxtrot": convert.CanaryServing}, b.states()); diff != "" {
				t.Errorf("state %d (-want +got):\n%s", step+1, diff)
			}
			var differ []string
			for name, version := range b.routes() {
				if good[name] != version {
					differ = append(differ, name)
				}
			}
			slices.Sort(differ)
			if diff := cmp.Diff(changed, differ); diff != "" {
				t.Errorf("state %d: routes that are not those of the beginning (-want +got):\n%s", step+1, diff)
			}
		}
		expect(0, convert.CanaryServing)
		b.put(walk[1])
		expect(1, convert.CanaryLastGood, foxtrot)
		b.stop(t)
		b = start(t, walk[1], dir)
		expect(1, convert.CanaryLastGood, foxtrot)
		b.put(walk[2])
		expect(2, convert.CanaryResponding, echo, foxtrot)
		b.put(walk[3])
		expect(3, convert.CanaryServing, echo, foxtrot)
		b.stop(t)
	})
}
