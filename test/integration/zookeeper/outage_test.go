//go:build integration

package zookeeper

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

// fill registers persistent providers with many requests in flight.
func fill(t *testing.T, server *harness.ZooKeeperServer, interfaces, providers int) {
	t.Helper()
	registry := server.Dial(t)
	registry.Ensure("/dubbo", "")
	var group sync.WaitGroup
	names := make(chan string)
	for range 64 {
		group.Go(func() {
			for name := range names {
				dir := "/dubbo/" + name
				for _, node := range []string{dir, dir + "/providers", dir + "/configurators"} {
					if _, err := registry.Create(node, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
						t.Errorf("create %s: %v", node, err)
					}
				}
				for i := range providers {
					node := provider(name, fmt.Sprintf("10.1.%d.%d:20880", i/250, i%250+1)).Node()
					if _, err := registry.Create(node, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
						t.Errorf("create %s: %v", node, err)
					}
				}
			}
		})
	}
	for i := range interfaces {
		names <- fmt.Sprintf("org.example.Interface%05d", i)
	}
	close(names)
	group.Wait()
}

func TestAKilledServerEmptiesNothing(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	fill(t, server, 200, 5)
	r := follow(t, config(server.Addr))
	before := r.Wait(t, "the snapshot", whole)
	server.Kill()
	r.Wait(t, "unknown", unknown)
	server.Start()
	after := r.Wait(t, "known again", whole)
	if after.Removals != 0 || after.Reports != before.Reports {
		t.Errorf("got %d removals and %d reports more, want none", after.Removals, after.Reports-before.Reports)
	}
}

func TestASuspendedServerEmptiesNothing(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	fill(t, server, 50, 5)
	r := follow(t, config(server.Addr)) // sessions of 3 s
	before := r.Wait(t, "the snapshot", whole)
	server.Signal(syscall.SIGSTOP)
	r.Wait(t, "unknown", unknown)
	server.Signal(syscall.SIGCONT)
	after := r.Wait(t, "known again, with a new session", whole)
	if after.Removals != 0 || after.Reports != before.Reports {
		t.Errorf("got %d removals and %d reports more, want none", after.Removals, after.Reports-before.Reports)
	}
}

func TestAVanishedRootIsNoEmptyRegistry(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	one := provider(greet, "10.0.0.1:20880")
	registry.Ensure(one.Node(), "")
	r := follow(t, config(server.Addr))
	r.Wait(t, "the snapshot", has(greet, 1))
	requests := []any{}
	for node := one.Node(); node != "/"; node = path.Dir(node) {
		requests = append(requests, &zk.DeleteRequest{Path: node, Version: -1})
	}
	if _, err := registry.Multi(requests...); err != nil {
		t.Fatal(err)
	}
	p := r.Wait(t, "unknown", unknown)
	if p.Instances(greet) < 0 {
		t.Errorf("the service went with the root")
	}
	registry.Ensure(one.Node(), "")
	r.Wait(t, "known again", func(p sourcetest.Picture) bool { return whole(p) && p.Instances(greet) == 1 })
}

func TestAnEnsembleWithoutItsLeaderIsFollowed(t *testing.T) {
	servers := harness.StartEnsemble(t, 3, harness.ZooKeeperConfig{})
	addresses := []string{servers[0].Addr, servers[1].Addr, servers[2].Addr}
	registry := harness.Dial(t, addresses...)
	persist(t, registry, provider(greet, "10.0.0.1:20880").Node())
	r := follow(t, config(addresses...))
	r.Wait(t, "the snapshot", has(greet, 1))
	for round := range 2 {
		var leader *harness.ZooKeeperServer
		for _, s := range servers {
			if s.Mode() == "leader" {
				leader = s
			}
		}
		if leader == nil {
			t.Fatal("no server leads")
		}
		leader.Kill()
		persist(t, registry, provider(greet, fmt.Sprintf("10.0.1.%d:20880", round+1)).Node())
		p := r.Wait(t, "one more", has(greet, round+2))
		if p.Removals != 0 {
			t.Errorf("%d instances went with the leader", p.Removals)
		}
		leader.Start()
	}
}

// listed is what a direct look finds: the addresses of each interface, and the status of each instance of an application.
func listed(t *testing.T, registry *harness.Registry) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	interfaces, _, err := registry.Children("/dubbo")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range interfaces {
		nodes, _, err := registry.Children("/dubbo/" + name + "/providers")
		if err != nil {
			continue // deleted, as far as it goes
		}
		for _, node := range nodes {
			_, rest, _ := strings.Cut(node, "%3A%2F%2F")
			address, _, _ := strings.Cut(rest, "%3A")
			out[name] = append(out[name], address)
		}
	}
	apps, _, err := registry.Children("/services")
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range apps {
		nodes, _, err := registry.Children("/services/" + app)
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range nodes {
			data, _, err := registry.Get("/services/" + app + "/" + node)
			if err != nil {
				t.Fatal(err)
			}
			out[app] = append(out[app], fmt.Sprintf("%s %v", node, strings.Contains(string(data), `"UP"`)))
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}

// reported is the same in what a recorder holds.
func reported(p sourcetest.Picture) map[string][]string {
	out := map[string][]string{}
	for _, s := range p.Services {
		for _, i := range s.Instances {
			if s.Interface {
				out[s.Name] = append(out[s.Name], i.Address)
			} else {
				out[s.Name] = append(out[s.Name], fmt.Sprintf("%s %v", i.ID, i.Usable()))
			}
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}

// churn changes things at random until it has tried n times; what fails while the server is away, fails.
func churn(registry *harness.Registry, random *rand.Rand, n int) {
	world := zk.WorldACL(zk.PermAll)
	for range n {
		name := fmt.Sprintf("org.example.Interface%02d", random.IntN(40))
		node := provider(name, fmt.Sprintf("10.0.0.%d:20880", random.IntN(8)+1)).Node()
		switch random.IntN(8) {
		case 0, 1, 2:
			for _, at := range []string{"/dubbo/" + name, path.Dir(node), node} {
				_, _ = registry.Create(at, nil, 0, world)
			}
		case 3, 4:
			_ = registry.Delete(node, -1)
		case 5: // fails unless it is empty
			_ = registry.Delete(path.Dir(node), -1)
			_ = registry.Delete("/dubbo/"+name, -1)
		default:
			app := fmt.Sprintf("app%02d", random.IntN(10))
			id := fmt.Sprintf("%d", random.IntN(5))
			status := []string{"UP", "OUT_OF_SERVICE"}[random.IntN(2)]
			data := []byte(curator(app, id, "10.1.0."+id, 8080, status))
			if random.IntN(4) == 0 {
				_ = registry.Delete("/services/"+app+"/"+id, -1)
			} else if _, err := registry.Set("/services/"+app+"/"+id, data, -1); err != nil {
				_, _ = registry.Create("/services/"+app, nil, 0, world)
				_, _ = registry.Create("/services/"+app+"/"+id, data, 0, world)
			}
		}
	}
}

func TestNothingIsLostUnderChurn(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	registry := server.Dial(t)
	registry.Ensure("/dubbo", "")
	registry.Ensure("/services", "")
	r := follow(t, config(server.Addr))
	r.Wait(t, "an empty registry", whole)

	for round := range 3 {
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() { churn(registry, rand.New(rand.NewPCG(uint64(round), uint64(worker))), 600) })
		}
		if round > 0 {
			server.Kill()
			server.Start()
			registry.WaitSession()
		}
		group.Wait()
		want := listed(t, registry)
		r.Wait(t, fmt.Sprintf("what the registry holds after round %d", round), func(p sourcetest.Picture) bool {
			return whole(p) && maps.EqualFunc(reported(p), want, slices.Equal)
		})
	}
}

func TestNothingIsLostInAnEnsembleThatLosesServers(t *testing.T) {
	servers := harness.StartEnsemble(t, 3, harness.ZooKeeperConfig{})
	addresses := []string{servers[0].Addr, servers[1].Addr, servers[2].Addr}
	registry := harness.Dial(t, addresses...)
	registry.Ensure("/dubbo", "")
	registry.Ensure("/services", "")
	r := follow(t, config(addresses...))
	r.Wait(t, "an empty registry", whole)

	for round, s := range servers {
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() { churn(registry, rand.New(rand.NewPCG(uint64(round+10), uint64(worker))), 200) })
		}
		s.Kill()
		group.Wait()
		s.Start()
		registry.WaitSession()
		if _, err := registry.Sync("/"); err != nil { // what is listed is the newest there is
			t.Fatal(err)
		}
		want := listed(t, registry)
		r.Wait(t, fmt.Sprintf("what the registry holds after round %d", round), func(p sourcetest.Picture) bool {
			return whole(p) && maps.EqualFunc(reported(p), want, slices.Equal)
		})
	}
}

func TestProvidersThatExpireAreGone(t *testing.T) {
	server := harness.StartZooKeeper(t, harness.ZooKeeperConfig{})
	owner := server.Dial(t)
	for i := range 20 {
		owner.Register(provider(fmt.Sprintf("org.example.Interface%d", i), "10.0.0.1:20880"))
	}
	r := follow(t, config(server.Addr))
	r.Wait(t, "all", func(p sourcetest.Picture) bool { return len(p.Services) == 20 })
	start := time.Now()
	owner.Close()
	r.Wait(t, "none", func(p sourcetest.Picture) bool {
		for _, s := range p.Services {
			if len(s.Instances) > 0 {
				return false
			}
		}
		return len(p.Services) == 20
	})
	t.Logf("after %v", time.Since(start))
}
