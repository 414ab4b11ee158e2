//go:build integration

package nacos

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"meshbridge/sources"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

func TestAServerThatIsKilledAndStartedAgain(t *testing.T) {
	each(t, harness.NacosConfig{}, func(t *testing.T, server *harness.NacosServer) {
		provider := server.Provide("")
		orders, kept := harness.NacosService{Name: "orders"}, harness.NacosService{Group: "pay", Name: "kept"}
		provider.Set(orders, instance("10.0.0.1"), instance("10.0.0.2"))
		server.Persist(kept, instance("10.0.0.3"))
		r := follow(t, config(server))
		r.Wait(t, "both", func(p sourcetest.Picture) bool { return p.Instances("orders") == 2 && p.Instances("kept") == 1 })

		server.Kill()
		p := r.Wait(t, "unknown", unknown)
		if p.Removals > 0 || p.Instances("orders") != 2 {
			t.Errorf("the outage removed %d", p.Removals)
		}
		server.Start()
		r.Wait(t, "everything is back", func(p sourcetest.Picture) bool {
			return !unknown(p) && p.Instances("orders") == 2 && p.Instances("kept") == 1
		})
		provider.Set(orders, instance("10.0.0.1"))
		r.Wait(t, "a change after it", has("orders", 1))
	})
}

func TestAServerThatHangsIsUnknownAndComesBack(t *testing.T) {
	server := harness.StartNacos(t, harness.NacosConfig{Major: 3})
	server.Persist(harness.NacosService{Name: "orders"}, instance("10.0.0.1"))
	r := follow(t, config(server))
	r.Wait(t, "the first report", has("orders", 1))
	server.Signal(syscall.SIGSTOP)
	if p := r.Wait(t, "unknown", unknown); p.Removals > 0 {
		t.Error("a server that hangs removed something")
	}
	server.Signal(syscall.SIGCONT)
	server.Persist(harness.NacosService{Name: "orders"}, instance("10.0.0.1"), instance("10.0.0.2"))
	r.Wait(t, "the change", func(p sourcetest.Picture) bool { return p.Instances("orders") == 2 && !unknown(p) })
}

func TestAnotherServerTakesOver(t *testing.T) {
	one, two := harness.StartNacos(t, harness.NacosConfig{Major: 2}), harness.StartNacos(t, harness.NacosConfig{Major: 3})
	put := func(server *harness.NacosServer, n int) {
		for i := range n {
			server.Persist(harness.NacosService{Name: "orders"}, instance(fmt.Sprintf("10.0.0.%d", i+1)))
		}
	}
	put(one, 1)
	put(two, 1)
	r := follow(t, config(one, two))
	r.Wait(t, "the first report", has("orders", 1))
	one.Kill()
	put(two, 2)
	r.Wait(t, "what the second knows", func(p sourcetest.Picture) bool { return p.Instances("orders") == 2 && !unknown(p) })
	one.Start()
	put(one, 3)
	two.Kill()
	r.Wait(t, "what the first knows", func(p sourcetest.Picture) bool { return p.Instances("orders") == 3 && !unknown(p) })
}

// datagrams lists the sockets of this network namespace that could take a datagram.
func datagrams(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, name := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, strings.Split(strings.TrimSpace(string(text)), "\n")[1:]...)
	}
	return found
}

// The SDK's naming client listens for datagrams from anyone on a port from 54951 on, and believes them. This source has no
// such listener, so that one sent to every such port changes nothing.
func TestASpoofedDatagramChangesNothing(t *testing.T) {
	for _, major := range []int{2, 3} { // in turn, because sockets are counted
		server := harness.StartNacos(t, harness.NacosConfig{Major: major})
		orders := harness.NacosService{Name: "orders"}
		server.Persist(orders, instance("10.0.0.1"))
		before := datagrams(t)
		r, stop := sourcetest.Start(t, newSource(t, config(server)))
		r.Wait(t, "the first report", has("orders", 1))
		if after := datagrams(t); len(after) > len(before) {
			t.Errorf("the source opened a socket for datagrams: %q, before %q", after, before)
		}
		spoof := `{"type":"dom","data":"{\"name\":\"DEFAULT_GROUP@@orders\",\"groupName\":\"DEFAULT_GROUP\",\"hosts\":[{\"ip\":\"6.6.6.6\",\"port\":80,\"weight\":1,\"healthy\":true,\"enabled\":true}],\"lastRefTime\":9999999999999}","lastRefTime":9999999999999}`
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		for port := 54951; port <= 55950; port++ {
			if _, err := socket.WriteTo([]byte(spoof), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err != nil && !strings.Contains(err.Error(), "refused") {
				t.Fatal(err)
			}
		}
		socket.Close()
		server.Persist(orders, instance("10.0.0.2"))
		p := r.Wait(t, "a true change", has("orders", 2))
		if find(p, "orders", "6.6.6.6") != nil {
			t.Error("the datagram was believed")
		}
		stop()
		server.Stop()
	}
}

func TestReloadsLeaveNothingBehind(t *testing.T) {
	server := harness.StartNacos(t, harness.NacosConfig{Major: 3})
	server.Persist(harness.NacosService{Name: "orders"}, instance("10.0.0.1"))
	count := func() (goroutines, files int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return runtime.NumGoroutine(), len(entries)
	}
	cycle := func() {
		r, stop := sourcetest.Start(t, newSource(t, config(server)))
		r.Wait(t, "the first report", has("orders", 1))
		stop()
	}
	cycle() // what the runtime and the test make once
	goroutines, files := count()
	for range 10 {
		cycle()
	}
	harness.Eventually(t, 20*time.Second, "as many goroutines and files as before", func() error {
		if g, f := count(); g > goroutines || f > files {
			return fmt.Errorf("%d goroutines and %d files after ten reloads, %d and %d before", g, f, goroutines, files)
		}
		return nil
	})
}

func TestGRPCMayBeSpokenOverTLS(t *testing.T) {
	authority := harness.NewAuthority(t)
	cert, key := authority.Issue("nacos", "127.0.0.1", "localhost")
	const property = "-Dnacos.remote.server.rpc.tls."
	flags := []string{
		property + "enableTls=true", property + "compatibility=false", property + "certChainFile=file:" + cert, property + "certPrivateKey=file:" + key,
	}
	each(t, harness.NacosConfig{Flags: flags}, func(t *testing.T, server *harness.NacosServer) {
		server.Persist(harness.NacosService{Name: "orders"}, instance("10.0.0.1"))
		c := config(server)
		plain := follow(t, c)
		c.TLS = &sources.TLS{CA: authority.File}
		follow(t, c).Wait(t, "the service", has("orders", 1))
		if p := plain.Wait(t, "no connection without TLS", unknown); len(p.Services) > 0 {
			t.Errorf("got %+v", p.Services)
		}
	})
}
