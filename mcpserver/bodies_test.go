package mcpserver

import (
	"bytes"
	"testing"
	"time"

	"meshbridge/mcpserver/store"
)

// asked makes the session of a view and takes its first response of services.
func asked(t *testing.T, s Source, view View) *Response {
	t.Helper()
	session := NewSession(SessionConfig{View: view}, current(s), created)
	res, err := session.Request(Request{TypeURL: seURL, Node: &Node{ID: "n", Revision: view.Revision}}, created)
	if err != nil || len(res.Responses) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	return res.Responses[0]
}

func TestStreamsOfOneViewShareOneBody(t *testing.T) {
	s := opened(t, 10)
	cache := newBodies(func() time.Time { return created })
	old := asked(t, s, View{})
	first := cache.get(old)
	if cache.get(asked(t, s, View{})) != first {
		t.Error("the same view has two bodies")
	}
	if !bytes.Equal(first.entries.Materialize(), entriesOf(s)) || len(first.entries) != 1 {
		t.Error("the body is not the entries in one piece")
	}
	if cache.get(asked(t, s, View{Shard: store.Shard{Index: 1, Of: 2}})) == first {
		t.Error("another shard has the same body")
	}
	s.Apply(store.Change{Put: []*store.Resource{resource(t, store.DestinationRule, "x.mesh", "1"), resource(t, store.ServiceEntry, "x.mesh", "1", revision("canary"))}})
	if cache.get(asked(t, s, View{})) != first {
		t.Error("what the view does not see makes a new body")
	}
	s.Apply(store.Change{Put: []*store.Resource{resource(t, store.ServiceEntry, "x.mesh", "1")}})
	next := cache.get(asked(t, s, View{}))
	if next == first || next.version == first.version || next.resources != 11 {
		t.Error("a change makes no new body")
	}
	if late := cache.get(old); late.version != first.version || cache.get(asked(t, s, View{})) != next {
		t.Error("a straggler does not get its own state, or disturbs the others")
	}
}

func entriesOf(s Source) []byte {
	var all []byte
	for r := range current(s).All(store.ServiceEntry, store.Shard{}) {
		all = append(all, r.Entry()...)
	}
	return all
}

func TestBodiesBeyondTheBoundCopyNothing(t *testing.T) {
	s := opened(t, 10)
	cache := newBodies(func() time.Time { return created })
	cache.joined = maxJoined
	b := cache.get(asked(t, s, View{}))
	if !bytes.Equal(b.entries.Materialize(), entriesOf(s)) {
		t.Error("the body is not the entries")
	}
	own := map[*byte]bool{}
	for r := range current(s).All(store.ServiceEntry, store.Shard{}) {
		own[&r.Entry()[0]] = true
	}
	for _, e := range b.entries {
		if !own[&e.ReadOnlyData()[0]] {
			t.Error("an entry is a copy")
		}
	}
}

func TestABodyThatNobodyAsksForIsDropped(t *testing.T) {
	s := opened(t, 1)
	now := created
	cache := newBodies(func() time.Time { return now })
	cache.get(asked(t, s, View{}))
	now = now.Add(2 * bodyIdle)
	cache.get(asked(t, s, View{Revision: "canary"}))
	if len(cache.byView) != 1 || cache.joined != len(cache.get(asked(t, s, View{Revision: "canary"})).entries.Materialize()) {
		t.Errorf("%d bodies are kept, %d bytes joined", len(cache.byView), cache.joined)
	}
}
