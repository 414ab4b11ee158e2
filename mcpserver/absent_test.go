package mcpserver

import (
	"fmt"
	"testing"
	"time"

	"meshbridge/mcpserver/store"
)

// sessionOf is a session whose client acknowledges what it is sent of some kinds.
func sessionOf(t *testing.T, s *store.Store, rev string, now time.Time, kinds ...store.Kind) *Session {
	t.Helper()
	session := NewSession(SessionConfig{}, current(s), now)
	var open []*Response
	for _, kind := range kinds {
		res, err := session.Request(Request{TypeURL: "networking.istio.io/v1alpha3/" + kind.Kind, Node: &Node{ID: "n", Revision: rev}}, now)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, res.Responses...)
	}
	for len(open) > 0 {
		res, err := session.Request(Request{TypeURL: open[0].TypeURL, Nonce: open[0].Nonce}, now)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open[1:], res.Responses...)
	}
	return session
}

// Nobody may ask Reached, where documents move nothing.
func TestClientsThatHaveLeftForLongAreForgotten(t *testing.T) {
	s := opened(t, 1)
	a := absent{sessions: map[clientKey]*absence{}}
	session := sessionOf(t, s, "", created, store.Kinds()...)
	for i := range maxAbsent + 1000 {
		a.leave(clientKey{node: fmt.Sprintf("istiod-%d", i)}, session, created.Add(time.Duration(i)*time.Hour), time.Minute)
	}
	if len(a.sessions) > maxAbsent {
		t.Errorf("%d clients that have left are remembered, most of them for years", len(a.sessions))
	}
}

// A probe asks for ServiceEntry alone, and comes back each minute.
func TestAProbeThatComesAndGoesHoldsUpNoRollout(t *testing.T) {
	s := opened(t, 1)
	a := absent{sessions: map[clientKey]*absence{}}
	now, key := created, clientKey{node: "probe"}
	host := "svc-0.mesh"
	a.leave(key, sessionOf(t, s, "", now, store.ServiceEntry), now, 10*time.Minute)
	snap := s.Apply(store.Change{Put: []*store.Resource{resource(t, store.ServiceEntry, host, "1")}})
	for range 120 {
		now = now.Add(time.Minute)
		session := sessionOf(t, s, "", now, store.ServiceEntry)
		if !session.Reached(snap, host, snap.Generation, now.Add(time.Second)) && session.of(store.ServiceEntry) == nil {
			t.Fatal("the probe itself has not come so far")
		}
		a.leave(key, session, now, 10*time.Minute)
	}
	for _, session := range a.list(now.Add(time.Minute), 10*time.Minute) {
		if !session.Reached(snap, host, snap.Generation, now.Add(time.Minute)) {
			t.Error("after two hours the probe's first stream still counts, though it has had each state since")
		}
	}
}

// Clients of many revisions have left; then the istiod of the mesh restarts.
func TestStrangeRevisionsDoNotKeepTheLastSessionOfAnIstiodOut(t *testing.T) {
	s := opened(t, 1)
	srv, err := New(quick(), s, quickly(t))
	if err != nil {
		t.Fatal(err)
	}
	leave := func(rev string, now time.Time) {
		srv.leaveOver(&stream{view: View{Revision: rev}, session: sessionOf(t, s, rev, now, store.Kinds()...)}, now)
	}
	for i := range maxViews {
		leave(fmt.Sprintf("strange-%d", i), created)
	}
	later := created.Add(24 * time.Hour) // maxAway is five minutes
	leave("default", later)
	if srv.before(View{Revision: "default"}).Session == nil {
		t.Errorf("of %d views none but those of a day ago is kept", len(srv.left))
	}
}
