package zookeeper

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-zookeeper/zk"
)

const greet = "/dubbo/org.example.Greet"

func providerNode(iface, address string, params ...string) string {
	return "/dubbo/" + iface + "/providers/" + url.QueryEscape("dubbo://"+address+"/"+iface+"?interface="+iface+"&"+strings.Join(params, "&"))
}

func dubboInstance(app, address string, port int) (node, data string) {
	return fmt.Sprintf("/services/%s/%s:%d", app, address, port),
		fmt.Sprintf(`{"address":%q,"port":%d,"payload":{"@class":%q,"metadata":{"dubbo.endpoints":"[{\"port\":%d,\"protocol\":\"dubbo\"}]"}}}`, address, port, dubboClass, port)
}

func (b *bench) expect(what string, want ...string) {
	b.t.Helper()
	joined := strings.Join(want, "\n")
	if joined != "" {
		joined += "\n"
	}
	if diff := cmp.Diff(joined, text(b.picture())); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wait lets fake time pass and everything that it causes happen.
func (b *bench) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAChangeBetweenAnAnswerAndItsReceiptIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		changed := false
		tree.answered = func(call, path string) {
			if call == "ChildrenW" && path == greet+"/providers" && !changed {
				changed = true
				tree.put(providerNode("org.example.Greet", "10.0.0.2:20880"), "")
			}
		}
		b := follow(t, tree, Default())
		b.wait(settle)
		b.expect("both",
			"/dubbo org.example.Greet (interface)",
			"  dubbo://10.0.0.1:20880 at 10.0.0.1 dubbo:20880 weight 100",
			"  dubbo://10.0.0.2:20880 at 10.0.0.2 dubbo:20880 weight 100")
	})
}

func TestANodeThatAppearsWhileItIsLookedForIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put(greet+"/consumers", "")
		appeared := false
		tree.answered = func(call, path string) {
			if call == "ChildrenW" && path == greet+"/providers" && !appeared {
				appeared = true
				tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
			}
		}
		b := follow(t, tree, Default())
		b.expect("the provider",
			"/dubbo org.example.Greet (interface)",
			"  dubbo://10.0.0.1:20880 at 10.0.0.1 dubbo:20880 weight 100")
	})
}

func TestANodeThatIsReplacedBetweenTwoListingsIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mapping = "/dubbo/mapping/org.example.Greet"
		tree := newTree()
		node, data := dubboInstance("orders", "10.0.0.1", 20880)
		tree.put(node, data)
		tree.put(mapping, "orders")
		removed, back := false, false
		tree.answered = func(call, path string) {
			switch {
			case call == "ChildrenW" && path == "/dubbo/mapping" && !removed:
				removed = true
				tree.remove(mapping)
			case call == "ExistsW" && path == mapping && !back:
				back = true
				tree.put(mapping, "orders")
			}
		}
		b := follow(t, tree, Default())
		b.wait(2 * settle)
		b.expect("the interface",
			"/dubbo org.example.Greet (interface)", asApp,
			"/services orders", asApp)
	})
}

func TestABurstIsReadTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put(greet+"/providers", "")
		b := follow(t, tree, Default())
		b.wait(settle)
		before := tree.count("ChildrenW " + greet + "/providers")
		for i := range 100 {
			tree.put(providerNode("org.example.Greet", fmt.Sprintf("10.0.0.%d:20880", i+1)), "")
			synctest.Wait()
		}
		b.wait(settle)
		if got := tree.count("ChildrenW "+greet+"/providers") - before; got != 2 {
			t.Errorf("got %d reads, want the first at once and one for the rest", got)
		}
		if got := b.picture().Instances("org.example.Greet"); got != 100 {
			t.Errorf("got %d instances, want 100", got)
		}
	})
}

func TestAnArmedWatchIsNotArmedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		tree.put("/services/billing/a", `{"address":"10.0.0.1","port":1}`)
		b := follow(t, tree, Default())
		for range 10 {
			b.wait(2 * audit)
		}
		for _, call := range []string{"Children " + greet + "/providers", "Get /services/billing/a"} {
			if got := tree.count(call); got < 10 {
				t.Errorf("%s: %d times, want 10 or more", call, got)
			}
		}
		tree.mu.Lock()
		defer tree.mu.Unlock()
		if tree.again > 0 {
			t.Errorf("%d watches were armed twice", tree.again)
		}
	})
}

func TestAnInstanceIsReadWhenItChangesAndNotWithItsNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put("/services/billing/a", `{"address":"10.0.0.1","port":1}`)
		tree.put("/services/billing/b", `{"address":"10.0.0.2","port":1}`)
		b := follow(t, tree, Default())
		b.wait(settle)
		tree.put("/services/billing/b", `{"address":"10.0.0.2","port":2}`)
		b.wait(settle)
		b.expect("the change", "/services billing", "  a at 10.0.0.1 :1 weight 100", "  b at 10.0.0.2 :2 weight 100")
		if a, b := tree.count("GetW /services/billing/a")+tree.count("Get /services/billing/a"), tree.count("GetW /services/billing/b"); a != 1 || b != 2 {
			t.Errorf("a was read %d times and b %d times, want 1 and 2", a, b)
		}
	})
}

func TestAWatchThatIsLostWithoutAWordIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put(greet+"/providers", "")
		tree.put("/services/billing/a", `{"address":"10.0.0.1","port":1}`)
		b := follow(t, tree, Default())
		hide := func(hidden bool) {
			tree.mu.Lock()
			defer tree.mu.Unlock()
			tree.denied[greet+"/providers"], tree.denied["/services/billing/a"] = hidden, hidden
		}
		hide(true)
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		tree.put("/services/billing/a", `{"address":"10.0.0.1","port":2}`)
		hide(false)
		b.wait(settle)
		if got := b.picture().Instances("org.example.Greet"); got > 0 {
			t.Fatal("the event was not held back: the test shows nothing")
		}
		b.wait(2 * audit)
		b.expect("what the audit found",
			"/dubbo org.example.Greet (interface)", "  dubbo://10.0.0.1:20880 at 10.0.0.1 dubbo:20880 weight 100",
			"/services billing", "  a at 10.0.0.1 :2 weight 100")
		tree.put("/services/billing/a", `{"address":"10.0.0.1","port":3}`)
		tree.remove(providerNode("org.example.Greet", "10.0.0.1:20880"))
		b.wait(settle)
		b.expect("what the watches told, armed anew",
			"/dubbo org.example.Greet (interface)",
			"/services billing", "  a at 10.0.0.1 :3 weight 100")
	})
}

func TestWhatCannotBeReadIsTriedLessAndLessOftenAndStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		tree.put(providerNode("org.example.Other", "10.0.0.1:20880"), "")
		b := follow(t, tree, Default())
		stands := []string{
			"/dubbo org.example.Greet (interface)", "  dubbo://10.0.0.1:20880 at 10.0.0.1 dubbo:20880 weight 100",
			"/dubbo org.example.Other (interface)", "  dubbo://10.0.0.1:20880 at 10.0.0.1 dubbo:20880 weight 100",
		}
		b.wait(settle)
		b.expect("both", stands...)
		tree.mu.Lock()
		tree.broken[greet+"/providers"] = zk.ErrNoAuth
		tree.mu.Unlock()
		tree.put(providerNode("org.example.Greet", "10.0.0.2:20880"), "")
		b.wait(settle)
		b.expect("both, and why one may be old", append(stands,
			"fault /dubbo/org.example.Greet: list /dubbo/org.example.Greet/providers: zk: not authenticated: the identity in auth may not read it; what was read last stands")...)

		before := tree.count("ChildrenW " + greet + "/providers")
		b.wait(10 * time.Minute)
		if got := tree.count("ChildrenW "+greet+"/providers") - before; got < 20 || got > 60 {
			t.Errorf("got %d reads in ten minutes, want one every 15 to 30 s", got)
		}
		tree.mu.Lock()
		delete(tree.broken, greet+"/providers")
		tree.mu.Unlock()
		b.wait(retryMax)
		b.expect("the change", append([]string{stands[0], stands[1], "  dubbo://10.0.0.2:20880 at 10.0.0.2 dubbo:20880 weight 100"}, stands[2:]...)...)
	})
}

func TestWhatAnEarlierProcessReadStandsWhereThisOneMayNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		tree.put(providerNode("org.example.Other", "10.0.0.1:20880"), "")
		b := follow(t, tree, Default())
		b.wait(settle)
		b.stop()
		tree.mu.Lock()
		tree.broken[greet+"/providers"] = zk.ErrNoAuth
		tree.mu.Unlock()
		tree.remove("/dubbo/org.example.Other")
		b.model, b.report = newModel(Default().scopes()), newReporter(b.sink, Default().scopes())
		b.session()
		b.wait(settle)
		b.expect("the one that may be there, not the one that is gone",
			"/dubbo org.example.Greet (interface)", "  dubbo://10.0.0.1:20880 at 10.0.0.1 dubbo:20880 weight 100",
			"fault /dubbo/org.example.Greet: list /dubbo/org.example.Greet/providers: zk: not authenticated: the identity in auth may not read it; what was read last stands")
	})
}

func TestANewSessionReportsWhatChangedMeanwhileAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		for i := range 50 {
			tree.put(providerNode(fmt.Sprintf("org.example.I%02d", i), "10.0.0.1:20880"), "")
		}
		tree.put("/services/billing/a", `{"address":"10.0.0.1","port":1}`)
		tree.put("/dubbo/mapping/org.example.M", "m")
		node, data := dubboInstance("m", "10.0.0.5", 20880)
		tree.put(node, data)
		b := follow(t, tree, Default())
		before := b.picture()
		b.stop()
		if p := b.picture(); len(p.Services) != len(before.Services) || p.States["/dubbo"] == nil || p.States["/services"] == nil {
			t.Errorf("between the sessions: %s", text(p))
		}
		tree.remove("/dubbo/org.example.I00")
		tree.remove("/services/billing")
		tree.remove("/dubbo/mapping/org.example.M")
		tree.put(providerNode("org.example.I01", "10.0.0.2:20880"), "")
		b.session()
		b.wait(settle)
		p := b.picture()
		if p.Service("org.example.I00") != nil || p.Service("billing") != nil || p.Service("org.example.M") != nil || p.Instances("org.example.I01") != 2 {
			t.Errorf("after the second session: %s", text(p))
		}
		if p.Reports != before.Reports+1 || p.Removals != before.Removals+3 || p.Snapshots["/dubbo"] != 1 {
			t.Errorf("got %d reports and %d removals more in %d snapshots, want 1 and 3 and one snapshot in all",
				p.Reports-before.Reports, p.Removals-before.Removals, p.Snapshots["/dubbo"])
		}
		for scope, err := range p.States {
			if err != nil {
				t.Errorf("%s is still unknown: %v", scope, err)
			}
		}
	})
}

func TestARootThatVanishesIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := newTree()
		tree.put(providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		b := follow(t, tree, Default())
		b.stop()
		tree.remove("/dubbo")
		b.session()
		b.wait(time.Hour)
		b.expect("what was there",
			"/dubbo org.example.Greet (interface)", "  dubbo://10.0.0.1:20880 at 10.0.0.1 dubbo:20880 weight 100",
			"/dubbo is unknown: list /dubbo: the node is gone with all that was below it")
		tree.put("/dubbo", "")
		b.wait(settle)
		b.expect("nothing, now that the root says so")
	})
}

func TestNoRootAtAllIsEmptyAndSuspicious(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := follow(t, newTree(), Default())
		const why = "the node does not exist, nor does any other root: nothing has registered yet, or chroot or root is wrong"
		b.expect("two faults", "fault /dubbo: "+why, "fault /services: "+why)
		if p := b.picture(); p.Snapshots["/dubbo"] != 1 || p.Snapshots["/services"] != 1 {
			t.Errorf("got snapshots %v, want one of each", p.Snapshots)
		}
		b.tree.put("/services", "")
		b.wait(settle)
		b.expect("no fault: a registry without Dubbo is a usual one")
	})
}

func TestAChrootThatDoesNotExistIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Default()
		c.Chroot, c.Dubbo.Mode, c.SpringCloud.Root = "/prod", ModeInterface, ""
		b := follow(t, newTree(), c)
		b.expect("unknown", "/dubbo is unknown: list /prod: the chroot does not exist")
		b.tree.put("/prod"+providerNode("org.example.Greet", "10.0.0.1:20880"), "")
		b.wait(retryMax)
		b.expect("the interface", "/dubbo org.example.Greet (interface)", "  dubbo://10.0.0.1:20880 at 10.0.0.1 dubbo:20880 weight 100")
	})
}
