package mcpserver

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"meshbridge/mcpserver/store"
)

// A stream lives for long, and must not remember all that it was sent.
func TestAStreamForgetsWhatItsClientAcknowledgedLongerThanSettleAgo(t *testing.T) {
	s := opened(t, 1)
	now := created
	session := NewSession(SessionConfig{Settle: 10 * time.Second}, current(s), now)
	request := func(req Request) {
		res, err := session.Request(req, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, resp := range res.Responses {
			if _, err := session.Request(Request{TypeURL: resp.TypeURL, Nonce: resp.Nonce}, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, kind := range store.Kinds() {
		request(Request{TypeURL: "networking.istio.io/v1/" + kind.Kind, Node: &Node{ID: "istiod"}})
	}
	for i := range 100 {
		now = now.Add(time.Second)
		host, value := fmt.Sprintf("h%d.mesh", i), strconv.Itoa(i)
		s.Apply(store.Change{Put: []*store.Resource{
			resource(t, store.DestinationRule, host, value), resource(t, store.VirtualService, host, value, gated(current(s).Generation+1, now)),
		}})
		for _, resp := range session.Update(current(s), now).Responses {
			request(Request{TypeURL: resp.TypeURL, Nonce: resp.Nonce})
		}
	}
	for _, sub := range session.subs {
		if n := len(sub.acks); n > 30 { // three a second at most, for ten seconds: those of rules, of routes, and of nothing
			t.Errorf("%d acknowledgements of %s are remembered", n, sub.kind.Kind)
		}
		if n := len(sub.released); n > 12 {
			t.Errorf("%d hosts are remembered of which a %s was held back", n, sub.kind.Kind)
		}
	}
	if n := session.of(store.VirtualService).count; n != 90 {
		t.Errorf("%d routes arrived, not all but those of the last ten seconds", n)
	}
}
