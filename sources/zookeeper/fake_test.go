package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"meshbridge/sources"
	"meshbridge/sources/dubbo"
	"meshbridge/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree is a ZooKeeper in memory, as far as conn goes: watches that fire once, permissions, and the events of both.
type tree struct {
	mu       sync.Mutex
	nodes    map[string]*znode
	armed    map[string]map[watchKind]bool
	denied   map[string]bool         // paths that may not be read
	broken   map[string]error        // paths that fail in another way
	answered func(call, path string) // called after an answer was made and before it is returned
	calls    map[string]int          // by call and path
	zxid     int64
	again    int // watches armed that were armed already
	sink     func(zk.Event)
}

type znode struct {
	data                string
	czxid, mzxid, pzxid int64
}

func newTree() *tree {
	return &tree{
		nodes: map[string]*znode{"/": {}}, armed: map[string]map[watchKind]bool{}, denied: map[string]bool{},
		broken: map[string]error{}, calls: map[string]int{}, sink: func(zk.Event) {},
	}
}

// put creates a node and those above it, or changes its data.
func (t *tree) put(node, data string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.putLocked(node, data)
}

func (t *tree) putLocked(node, data string) {
	t.zxid++
	if n := t.nodes[node]; n != nil {
		n.data, n.mzxid = data, t.zxid
		t.fireLocked(node, zk.EventNodeDataChanged, dataWatch)
		return
	}
	parent := path.Dir(node)
	if t.nodes[parent] == nil {
		t.putLocked(parent, "10.0.0.99") // as Curator does
	}
	t.nodes[node] = &znode{data: data, czxid: t.zxid, mzxid: t.zxid, pzxid: t.zxid}
	t.nodes[parent].pzxid = t.zxid
	t.fireLocked(node, zk.EventNodeCreated, dataWatch)
	t.fireLocked(parent, zk.EventNodeChildrenChanged, childrenWatch)
}

// remove deletes a node and those below it.
func (t *tree) remove(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range slices.Backward(slices.Sorted(maps.Keys(t.nodes))) {
		if at != node && !strings.HasPrefix(at, node+"/") {
			continue
		}
		t.zxid++
		delete(t.nodes, at)
		t.nodes[path.Dir(at)].pzxid = t.zxid
		t.fireLocked(at, zk.EventNodeDeleted, dataWatch, childrenWatch)
		t.fireLocked(path.Dir(at), zk.EventNodeChildrenChanged, childrenWatch)
	}
}

func (t *tree) fireLocked(node string, event zk.EventType, kinds ...watchKind) {
	fired := false
	for _, kind := range kinds {
		fired = fired || t.armed[node][kind]
		delete(t.armed[node], kind)
	}
	if fired && !t.denied[node] {
		t.sink(zk.Event{Type: event, Path: node})
	}
}

// read answers one call; watch is armed where it succeeds, or where arm says so.
func (t *tree) read(call, node string, watch bool, kind watchKind) (*znode, []string, error) {
	t.mu.Lock()
	t.calls[call+" "+node]++
	n, err := t.nodes[node], t.broken[node]
	switch {
	case err != nil:
	case n == nil:
		err = zk.ErrNoNode
	case t.denied[node]:
		err = zk.ErrNoAuth
	}
	var names []string
	var found znode
	if err == nil {
		found = *n
		for at := range t.nodes {
			if path.Dir(at) == node && at != "/" {
				names = append(names, path.Base(at))
			}
		}
	}
	if watch && (err == nil || call == "ExistsW" && errors.Is(err, zk.ErrNoNode)) {
		if t.armed[node] == nil {
			t.armed[node] = map[watchKind]bool{}
		}
		if t.armed[node][kind] {
			t.again++
		}
		t.armed[node][kind] = true
	}
	hook := t.answered
	t.mu.Unlock()
	if hook != nil {
		hook(call, node)
	}
	return &found, names, err
}

// count is how often a call was made for a path.
func (t *tree) count(call string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls[call]
}

func (n *znode) stat() *zk.Stat { return &zk.Stat{Czxid: n.czxid, Mzxid: n.mzxid, Pzxid: n.pzxid} }

func (t *tree) Children(node string) ([]string, *zk.Stat, error) {
	n, names, err := t.read("Children", node, false, childrenWatch)
	return names, n.stat(), err
}

func (t *tree) ChildrenW(node string) ([]string, *zk.Stat, <-chan zk.Event, error) {
	n, names, err := t.read("ChildrenW", node, true, childrenWatch)
	return names, n.stat(), nil, err
}

func (t *tree) Get(node string) ([]byte, *zk.Stat, error) {
	n, _, err := t.read("Get", node, false, dataWatch)
	return []byte(n.data), n.stat(), err
}

func (t *tree) GetW(node string) ([]byte, *zk.Stat, <-chan zk.Event, error) {
	n, _, err := t.read("GetW", node, true, dataWatch)
	return []byte(n.data), n.stat(), nil, err
}

func (t *tree) ExistsW(node string) (bool, *zk.Stat, <-chan zk.Event, error) {
	n, _, err := t.read("ExistsW", node, true, dataWatch)
	if errors.Is(err, zk.ErrNoNode) {
		return false, nil, nil, nil
	}
	return err == nil, n.stat(), nil, err
}

// bench follows a tree in a bubble of fake time.
type bench struct {
	t      *testing.T
	tree   *tree
	sink   *sourcetest.Recorder
	model  *model
	report *reporter
	stop   func()
}

// follow starts to follow a tree; the bench is stopped with the test.
func follow(t *testing.T, tree *tree, c Config) *bench {
	b := &bench{t: t, tree: tree, sink: sourcetest.NewRecorder(), model: newModel(c.scopes())}
	b.report = newReporter(b.sink, c.scopes())
	b.session()
	return b
}

// session starts another session; the one before has been stopped, and its watches are gone.
func (b *bench) session() {
	ctx, cancel := context.WithCancelCause(b.t.Context())
	b.tree.mu.Lock()
	clear(b.tree.armed)
	w := newWatches(b.tree)
	b.tree.sink = w.event
	b.tree.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := newFollower(w, b.model, b.report).run(ctx)
		b.report.lost(err)
	}()
	b.stop = func() {
		cancel(errors.New("cut"))
		<-done
	}
	b.t.Cleanup(b.stop)
	synctest.Wait()
}

// picture is what was reported by now.
func (b *bench) picture() sourcetest.Picture {
	synctest.Wait()
	p, _ := b.sink.Picture()
	for _, w := range p.Wrong {
		b.t.Error(w)
	}
	return p
}

// text writes a picture for comparison.
func text(p sourcetest.Picture) string {
	var out strings.Builder
	for _, s := range p.Services {
		fmt.Fprintf(&out, "%s %s", s.Scope, s.Name)
		for _, part := range []string{s.Group, s.Version} {
			if part != "" {
				fmt.Fprintf(&out, " %s", part)
			}
		}
		if s.Interface {
			out.WriteString(" (interface)")
		}
		out.WriteString("\n")
		for _, i := range s.Instances {
			fmt.Fprintf(&out, "  %s at %s", i.ID, i.Address)
			for _, p := range i.Ports {
				fmt.Fprintf(&out, " %s:%d", p.Protocol, p.Number)
			}
			fmt.Fprintf(&out, " weight %d", i.Weight)
			if !i.Healthy {
				out.WriteString(" unhealthy")
			}
			if !i.Enabled {
				out.WriteString(" disabled")
			}
			for _, key := range slices.Sorted(maps.Keys(i.Metadata)) {
				if !dubbo.IsVolatile(volatile(), key) {
					fmt.Fprintf(&out, " %s=%s", key, i.Metadata[key])
				}
			}
			out.WriteString("\n")
		}
		for _, f := range s.Skipped {
			fmt.Fprintf(&out, "  skipped %s: %s\n", f.Where, f.Reason)
		}
	}
	for _, scope := range slices.Sorted(maps.Keys(p.States)) {
		if err := p.States[scope]; err != nil {
			fmt.Fprintf(&out, "%s is unknown: %v\n", scope, err)
		}
	}
	for _, f := range p.Faults {
		fmt.Fprintf(&out, "fault %s: %s\n", f.Where, f.Reason)
	}
	return out.String()
}

var _ conn = (*tree)(nil)
var _ sources.Sink = (*sourcetest.Recorder)(nil)
