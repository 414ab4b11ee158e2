package eureka

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func fill(s *server, n int) {
	for i := range n {
		s.put("ORDERS", string(rune('1'+i)), nil)
	}
}

func TestAnEmptyRegistryIsBelievedTheSecondTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := follow(t, nil, newServer())
		p := b.after(time.Second)
		if p.Snapshots[Scope] != 0 || p.States[Scope] == nil || !strings.HasPrefix(p.States[Scope].Error(), "the registry is empty") {
			t.Fatalf("at first: %d snapshots, state %v; want unknown", p.Snapshots[Scope], p.States[Scope])
		}
		p = b.after(polls(1))
		if p.Snapshots[Scope] != 1 || len(p.Services) != 0 || p.States[Scope] != nil {
			t.Errorf("then: %d snapshots, state %v; want an empty one", p.Snapshots[Scope], p.States[Scope])
		}
	})
}

func TestARestartedServerIsNotBelievedUntilItIsFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		fill(s, 4)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.restart()
		p := b.after(polls(1))
		holds(t, "empty", p, "ORDERS", 4)
		if p.States[Scope] == nil || !strings.Contains(p.States[Scope].Error(), "lacks 4 of 4") {
			t.Errorf("got state %v, want doubt", p.States[Scope])
		}
		s.asked()
		holds(t, "still empty", b.after(polls(1)), "ORDERS", 4)
		if asked := s.asked(); asked["/apps/delta"] != 0 || asked["/apps"] == 0 {
			t.Errorf("got requests %v of a list in doubt, want full reads", asked)
		}
		for i := range 3 { // slowly
			fill(s, i+1)
			holds(t, "being filled", b.after(polls(2)), "ORDERS", 4)
		}
		fill(s, 4)
		p = b.after(polls(1))
		if p.Removals != 0 || p.Reports != 1 || p.States[Scope] != nil {
			t.Errorf("full again: %d removals, %d reports, state %v; want no change", p.Removals, p.Reports, p.States[Scope])
		}
	})
}

func TestARestartedServerThatIsHalfFullIsBelievedWhenItNoLongerGrows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		fill(s, 4)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.restart()
		fill(s, 2)
		holds(t, "half full", b.after(polls(1)), "ORDERS", 4)
		holds(t, "no fuller", b.after(polls(1)), "ORDERS", 4)
		holds(t, "for a while", b.after(polls(3)), "ORDERS", 2)
	})
}

func TestWhatComesWhileAListIsInDoubtIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		fill(s, 4)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.restart()
		fill(s, 2)
		s.put("ORDERS", "1", func(r *registered) { r.metadata["version"] = "v2" })
		s.put("STOCK", "1", nil)
		p := b.after(polls(1))
		holds(t, "what it lacks", p, "ORDERS", 4)
		holds(t, "what is new", p, "STOCK", 1)
		if v := p.Service("ORDERS").Instances[0].Metadata["version"]; v != "v2" || p.States[Scope] == nil {
			t.Errorf("got version %q and state %v, want what changed, and doubt", v, p.States[Scope])
		}
	})
}

func TestAListOfOthersLacksWhatWasHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		fill(s, 2)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.restart()
		s.put("STOCK", "1", nil)
		s.put("STOCK", "2", func(r *registered) { r.status = "DOWN" }) // another hash
		p := b.after(polls(1))
		if err := p.States[Scope]; err == nil || !strings.Contains(err.Error(), "lacks 2 of 2") || p.Instances("ORDERS") != 2 {
			t.Errorf("got %s, state %v; want all of them", written(p), err)
		}
	})
}

func TestARegistryThatStaysEmptyIsEmpty(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		fill(s, 4)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.restart()
		p := b.after(polls(5))
		if len(p.Services) != 0 || p.States[Scope] != nil {
			t.Errorf("got %s and state %v, want nothing", written(p), p.States[Scope])
		}
		fill(s, 1)
		holds(t, "filled again", b.after(polls(1)), "ORDERS", 1)
	})
}

func TestInstancesThatAreDeregisteredToTheLastGoAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		fill(s, 2)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.remove("ORDERS", "1")
		s.remove("ORDERS", "2")
		p := b.after(polls(1))
		if len(p.Services) != 0 || p.States[Scope] != nil {
			t.Errorf("got %s and state %v, want nothing", written(p), p.States[Scope])
		}
	})
}

func TestAPeerThatKnowsMoreIsAskedWhenOneIsEmpty(t *testing.T) {
	bubble(t, func(t *testing.T) {
		one, other := newServer(), newServer()
		fill(one, 3)
		fill(other, 3)
		b := follow(t, nil, one, other)
		b.after(time.Second)
		if one.asked()["/apps"] == 0 {
			one, other = other, one
		}
		one.restart()
		p := b.after(polls(1))
		if p.Removals != 0 || p.States[Scope] != nil || other.asked()["/apps"] != 1 {
			t.Errorf("got %d removals, state %v; want the other's word", p.Removals, p.States[Scope])
		}
	})
}

func TestTheLastInstanceGoesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		s.put("ORDERS", "1", nil)
		s.put("STOCK", "1", nil)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.remove("ORDERS", "1")
		holds(t, "after a delta", b.after(polls(1)), "ORDERS", -1)
	})
}

func TestWhatALongGapTookIsKeptForAWhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		fill(s, 4)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.fault(refused)
		b.after(4 * time.Minute)
		s.remove("ORDERS", "1")
		s.fault(nil)
		p := b.after(polls(1))
		holds(t, "after the gap", p, "ORDERS", 4)
		holds(t, "and a while", b.after(polls(4)), "ORDERS", 3)
	})
}

func TestAnEmptyListWithoutDeltasIsDoubted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer()
		fill(s, 2)
		s.withoutDeltas(http.StatusForbidden)
		b := follow(t, nil, s)
		b.after(time.Second)
		s.restart()
		holds(t, "empty", b.after(polls(1)), "ORDERS", 2)
	})
}

func TestOfPeersThatAllLackSomethingTheFullestIsFollowed(t *testing.T) {
	for fullest := range 3 {
		bubble(t, func(t *testing.T) {
			servers := []*server{newServer(), newServer(), newServer()}
			for _, s := range servers {
				fill(s, 4)
			}
			b := follow(t, nil, servers...)
			b.after(time.Second)
			for i, s := range servers {
				s.restart()
				fill(s, map[bool]int{true: 2, false: i % 2}[i == fullest])
			}
			holds(t, "at first", b.after(polls(1)), "ORDERS", 4)
			holds(t, "after a while", b.after(polls(4)), "ORDERS", 2)
			for _, s := range servers {
				s.asked()
			}
			b.after(polls(2))
			for i, s := range servers {
				if asked := s.asked(); (len(asked) > 0) != (i == fullest) {
					t.Errorf("server %d was asked for %v, the fullest is %d", i, asked, fullest)
				}
			}
		})
	}
}
