package mcpserver

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"meshbridge/mcpserver/store"
)

// rig is one istiod with a stream for each shard, and what paces them, in a bubble of fake time.
type rig struct {
	t       *testing.T
	store   *store.Store
	pacer   *pacer
	members []*member
}

const shards = 64

func pacing(t *testing.T, quiet time.Duration, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, store: store.NewStore(), pacer: newPacer(pacerKey{}, quiet)}
		for i := range shards {
			m := &member{wake: make(chan struct{}, 1), view: View{Shard: store.Shard{Index: i, Of: shards}}}
			r.pacer.join(m, current(r.store), time.Now())
			r.members = append(r.members, m)
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() { defer close(done); pace(r.pacer, r.store, stop) }()
		test(r)
		close(stop)
		<-done
	})
}

// host is one that lives in a shard.
func (r *rig) host(shard int) string {
	for i := 0; ; i++ {
		if h := fmt.Sprintf("svc-%d.mesh", i); store.Slot(h)%shards == shard {
			return h
		}
	}
}

func (r *rig) change(shard int, value string) {
	r.store.Apply(store.Change{Put: []*store.Resource{resource(r.t, store.ServiceEntry, r.host(shard), value)}})
}

// woken are the shards that have been given a turn since it was asked last.
func (r *rig) woken() (out []int) {
	synctest.Wait()
	for i, m := range r.members {
		select {
		case <-m.wake:
			out = append(out, i)
			if r.pacer.take(m) == nil {
				r.t.Errorf("shard %d has a turn and no snapshot", i)
			}
		default:
		}
	}
	return out
}

func (r *rig) want(shards ...int) {
	r.t.Helper()
	if got := r.woken(); fmt.Sprint(got) != fmt.Sprint(shards) {
		r.t.Fatalf("woken %v; want %v", got, shards)
	}
}

// push and ack are what a stream reports when it has sent, and when the client has acknowledged.
func (r *rig) push(shard int) { r.pacer.report(r.members[shard], true, time.Now()) }
func (r *rig) ack(shard int)  { r.pacer.report(r.members[shard], false, time.Now()) }

func TestAChangeAfterAPauseWakesItsStreamAtOnceAndNoOther(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		r.change(5, "1")
		r.want(5)
		r.push(5)
		r.ack(5)
		time.Sleep(time.Second)
		r.want()
		r.change(9, "1")
		r.want(9)
	})
}

func TestTheNextBurstWaitsForEveryAckAndThenForQuiet(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		r.store.Apply(store.Change{Put: []*store.Resource{
			resource(t, store.ServiceEntry, r.host(1), "1"), resource(t, store.ServiceEntry, r.host(2), "1")}})
		r.want(1, 2)
		r.push(1)
		r.push(2)
		r.ack(1)
		r.change(1, "2")
		r.change(3, "1")
		r.want()
		r.ack(2)
		time.Sleep(149 * time.Millisecond)
		r.want()
		r.change(4, "1")
		time.Sleep(time.Millisecond)
		r.want(1, 3, 4)
	})
}

func TestAfterABurstThatTookLongThePauseIsLonger(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		for _, burst := range []struct{ took, pause time.Duration }{
			{20 * time.Millisecond, 190 * time.Millisecond},
			{500 * time.Millisecond, 1150 * time.Millisecond},
			{1900 * time.Millisecond, 2150 * time.Millisecond},
			{0, 150 * time.Millisecond},
		} {
			r.change(1, "x"+burst.took.String())
			r.want(1)
			r.push(1)
			r.change(2, "x"+burst.took.String())
			time.Sleep(burst.took)
			r.want()
			r.ack(1)
			time.Sleep(burst.pause - time.Millisecond)
			r.want()
			time.Sleep(time.Millisecond)
			r.want(2)
			r.push(2)
			r.ack(2)
			time.Sleep(time.Second)
		}
	})
}

func TestAFirstStateLongAfterABurstIsNoBurstThatTookLong(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		r.change(1, "1")
		r.want(1)
		r.push(1)
		r.ack(1)
		time.Sleep(10 * time.Second)
		r.push(3) // a stream that has just connected
		time.Sleep(20 * time.Millisecond)
		r.ack(3)
		r.change(2, "1")
		time.Sleep(189 * time.Millisecond)
		r.want()
		time.Sleep(time.Millisecond)
		r.want(2)
	})
}

func TestWithoutQuietABurstWaitsForTheAcksAlone(t *testing.T) {
	pacing(t, 0, func(r *rig) {
		r.change(1, "1")
		r.want(1)
		r.push(1)
		r.change(2, "1")
		r.want()
		r.ack(1)
		r.want(2)
	})
}

func TestASlowStreamHoldsItsSiblingsBackForTwoSecondsOnly(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		r.change(1, "1")
		r.want(1)
		r.push(1)
		r.change(1, "2")
		r.change(2, "1")
		time.Sleep(slowStream - time.Millisecond)
		r.want()
		time.Sleep(time.Millisecond)
		r.want(2)
		r.push(2)
		r.ack(2)
		time.Sleep(150 * time.Millisecond)
		r.change(3, "1")
		r.want(3)
		r.ack(3)
		// The slow one has its turn when it is done, after its own pause.
		time.Sleep(time.Minute)
		r.want()
		r.ack(1)
		time.Sleep(149 * time.Millisecond)
		r.want()
		time.Sleep(time.Millisecond)
		r.want(1)
	})
}

func TestATurnInWhichNothingIsSentStartsNoPause(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		r.change(1, "1")
		r.want(1)
		r.ack(1) // nothing in flight, and nothing was
		r.change(2, "1")
		r.want(2)
	})
}

func TestAStreamThatLeavesHoldsNobodyBack(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		r.change(1, "1")
		r.want(1)
		r.push(1)
		r.change(2, "1")
		r.want()
		if !r.pacer.leave(r.members[1]) {
			t.Fatal("nobody remains")
		}
		r.want(2)
	})
}

func TestWhatHasSettledGetsATurnInTheNextBurst(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		r.change(1, "1")
		r.want(1)
		r.push(1)
		r.pacer.due(r.members[7])
		r.want()
		r.ack(1)
		r.want()
		time.Sleep(150 * time.Millisecond)
		r.want(7)
	})
}

func TestAChangeOfAnotherRevisionWakesNobody(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		r.store.Apply(store.Change{Put: []*store.Resource{resource(t, store.ServiceEntry, r.host(1), "1", revision("canary"))}})
		r.want()
		r.change(1, "2") // it leaves the revision
		r.want(1)
	})
}

func TestTheOpenGateWakesEveryStream(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		r.store.Apply(store.Change{Open: true})
		if got := r.woken(); len(got) != shards {
			t.Errorf("woken %v", got)
		}
	})
}

func TestAStreamThatIsNeverWokenIsMovedOnNowAndThen(t *testing.T) {
	pacing(t, 150*time.Millisecond, func(r *rig) {
		first := r.pacer.take(r.members[9])
		for i := range 4 {
			time.Sleep(refreshEvery / 3)
			r.change(1, fmt.Sprint(i))
			for _, shard := range r.woken() {
				r.ack(shard)
			}
		}
		if r.pacer.take(r.members[9]) == first {
			t.Error("the idle stream keeps the first snapshot alive")
		}
	})
}

func TestAStreamBeginsNoEarlierThanItsSiblings(t *testing.T) {
	s := store.NewStore()
	old := current(s)
	s.Apply(store.Change{Open: true})
	p := newPacer(pacerKey{}, 0)
	now := created
	p.join(&member{wake: make(chan struct{}, 1)}, current(s), now)
	if got := p.join(&member{wake: make(chan struct{}, 1)}, old, now); got != current(s) {
		t.Errorf("it begins at %d", got.Generation)
	}
}
