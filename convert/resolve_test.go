package convert

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// nameServer answers with one address, in a time that depends on the name: dead… never, slow… after two seconds, none… that there
// is no such name, others at once.
type nameServer struct {
	mu    sync.Mutex
	addr  netip.Addr
	asked map[string][]time.Time
	dead  map[string]bool
	busy  int
	most  int // lookups at a time
}

func newNameServer() *nameServer {
	return &nameServer{addr: netip.MustParseAddr("10.0.0.1"), asked: map[string][]time.Time{}, dead: map[string]bool{}}
}

func (n *nameServer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	n.asked[host] = append(n.asked[host], time.Now())
	n.busy++
	n.most = max(n.most, n.busy)
	addr, dead := n.addr, n.dead[host] || strings.HasPrefix(host, "dead")
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.busy--
		n.mu.Unlock()
	}()
	var wait <-chan time.Time
	switch {
	case dead:
	case strings.HasPrefix(host, "none"):
		return nil, errors.New("no such host")
	case strings.HasPrefix(host, "late"): // the system's resolver has a shorter patience
		return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
	case strings.HasPrefix(host, "slow"):
		wait = time.After(2 * time.Second)
	default:
		return []netip.Addr{addr}, nil
	}
	select {
	case <-wait:
		return []netip.Addr{addr}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *nameServer) move(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr = netip.MustParseAddr(addr)
}

func (n *nameServer) kill(host string, dead bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead[host] = dead
}

// waits are the times between two lookups of a name, and forgets them.
func (n *nameServer) waits(host string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for i := 1; i < len(n.asked[host]); i++ {
		all = append(all, n.asked[host][i].Sub(n.asked[host][i-1]).String())
	}
	delete(n.asked, host)
	return all
}

// resolving runs a resolver of the name server until the test ends it.
func resolving(t *testing.T, n *nameServer) (r *resolver, stop func()) {
	r = newResolver(n.lookup, quiet())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _ = r.run(ctx); close(done) }()
	return r, func() { cancel(); <-done }
}

// until is how long it takes until a name has an address, in steps of 100 ms.
func (r *resolver) until(host, addr string) time.Duration {
	began := time.Now()
	for time.Since(began) < time.Hour {
		if addrs := r.addrs(host); len(addrs) == 1 && addrs[0].String() == addr {
			break
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(began)
}

func TestNamesWhoseServerIsSilentHoldUpNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNameServer()
		r, stop := resolving(t, n)
		defer stop()
		r.addrs("good.example.com")
		r.addrs("slow.example.com")
		for i := range 1000 {
			r.addrs(fmt.Sprintf("dead%d.example.com", i))
		}
		check := func(host, addr string, most time.Duration) {
			t.Helper()
			if took := r.until(host, addr); took > most {
				t.Errorf("%s had %s after %s, %s at most", host, addr, took, most)
			}
		}
		// Behind 1,000 names of which nobody knows yet that they are dead.
		check("good.example.com", "10.0.0.1", 8*time.Second)
		time.Sleep(10 * time.Minute)
		n.move("10.0.0.2")
		check("good.example.com", "10.0.0.2", resolveEvery)
		check("slow.example.com", "10.0.0.2", resolveEvery+3*time.Second)
		check("new.example.com", "10.0.0.2", 100*time.Millisecond)
		check("slownew.example.com", "10.0.0.2", 2100*time.Millisecond)
		time.Sleep(time.Hour)
		n.waits("good.example.com")
		time.Sleep(2 * time.Minute)
		if diff := cmp.Diff([]string{"30s", "30s", "30s"}, n.waits("good.example.com")); diff != "" {
			t.Errorf("times between two lookups of a name that answers: %s", diff)
		}
		if n.most > queues*resolveAtOnce {
			t.Errorf("%d lookups at a time, %d at most", n.most, queues*resolveAtOnce)
		}
	})
}

func TestANameWhoseServerIsSilentIsLookedUpMoreAndMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNameServer()
		r, stop := resolving(t, n)
		defer stop()
		for _, host := range []string{"dead.example.com", "late.example.com", "none.example.com", "back.example.com"} {
			r.addrs(host)
		}
		time.Sleep(20*time.Minute + time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"35s", "1m5s", "2m5s", "4m5s", "5m5s", "5m5s"}, n.waits("dead.example.com")); diff != "" {
			t.Errorf("dead: %s", diff)
		}
		if diff := cmp.Diff([]string{"30s", "1m0s", "2m0s", "4m0s", "5m0s", "5m0s"}, n.waits("late.example.com")); diff != "" {
			t.Errorf("late: %s", diff)
		}
		if waits := n.waits("none.example.com"); len(waits) != 40 || waits[39] != "30s" {
			t.Errorf("a name that the server says there is none of: %v", waits)
		}

		// It answers, dies and answers again: the last answer stands, and the times begin anew.
		n.kill("back.example.com", true)
		time.Sleep(10 * time.Minute)
		if addrs := r.addrs("back.example.com"); len(addrs) != 1 {
			t.Errorf("a name that died lost its answer: %v", addrs)
		}
		n.kill("back.example.com", false)
		n.move("10.0.0.3")
		if took := r.until("back.example.com", "10.0.0.3"); took > resolveMost+resolveTimeout {
			t.Errorf("it answers again, which is seen after %s", took)
		}
		n.waits("back.example.com")
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"30s", "30s"}, n.waits("back.example.com")); diff != "" {
			t.Errorf("back: %s", diff)
		}
	})
}

func TestANameThatIsForgottenAndNeededAgainIsLookedUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNameServer()
		r, stop := resolving(t, n)
		defer stop()
		for _, host := range []string{"a.example.com", "dead.example.com"} {
			r.addrs(host)
			time.Sleep(2 * time.Second) // the dead one is being looked up
			r.keep(func(string) bool { return false }, time.Now())
			n.kill("dead.example.com", false)
			r.addrs(host)
			synctest.Wait()
			if waits := n.waits(host); len(waits) != 1 || waits[0] != "2s" {
				t.Errorf("%s: looked up again after %v", host, waits)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n.waits("a.example.com") != nil || len(r.answers) != 1 {
			t.Errorf("names that nobody needs are followed: %v", r.answers)
		}
		if r.busy != [queues]int{} || len(r.waiting[queuePrompt])+len(r.waiting[queueNew]) != 0 {
			t.Errorf("lookups that ended take room: %v, turns %v", r.busy, r.waiting)
		}
	})
}
