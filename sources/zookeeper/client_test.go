package zookeeper

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"meshbridge/sources"
	"meshbridge/sources/sourcetest"
)

func unknownBecause(what string) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool {
		return p.States["/dubbo"] != nil && strings.Contains(p.States["/dubbo"].Error(), what)
	}
}

func quietSource(t *testing.T, change func(*Config)) *Source {
	t.Helper()
	c := Default()
	change(&c)
	src, err := New(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestWithoutAServerAllIsUnknownAndRunStillEnds(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	rec, stop := sourcetest.Start(t, quietSource(t, func(c *Config) { c.Servers = []string{address} }))
	p := rec.Wait(t, "a reason", unknownBecause("connect to "+address))
	stop()
	if len(p.Snapshots) > 0 || len(p.Services) > 0 {
		t.Errorf("got %+v, want nothing reported", p)
	}
}

func TestAServerThatHangsUpOrKeepsSilentIsLeftForTheNext(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"hangs up":     func(c net.Conn) { c.Close() },
		"keeps silent": func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				var open []net.Conn
				defer func() {
					for _, c := range open {
						c.Close()
					}
				}()
				for {
					c, err := listener.Accept()
					if err != nil {
						return
					}
					open = append(open, c)
					serve(c)
				}
			}()
			defer func() { listener.Close(); <-done }()
			rec, stop := sourcetest.Start(t, quietSource(t, func(c *Config) {
				c.Servers, c.SessionTimeout = []string{listener.Addr().String()}, 1_000_000_000
			}))
			rec.Wait(t, "a reason", unknownBecause("without a quorum"))
			stop()
		})
	}
}

func TestMissingCertificatesAreTheReason(t *testing.T) {
	rec, _ := sourcetest.Start(t, quietSource(t, func(c *Config) {
		c.Servers, c.TLS = []string{"127.0.0.1:1"}, &sources.TLS{CA: "/does/not/exist"}
	}))
	rec.Wait(t, "a reason", unknownBecause("tls.ca"))
}

func TestEachTimeRoundResolvesAnew(t *testing.T) {
	answers := map[string][][]string{"zk": {{"10.0.0.1", "10.0.0.2"}, {"10.0.0.3"}}}
	h := newHosts(t.Context(), []string{"zk:2181", "gone:2181"}, func(_ context.Context, host string) ([]string, error) {
		left := answers[host]
		if len(left) == 0 {
			return nil, errors.New("no such host")
		}
		answers[host] = left[1:]
		return left[0], nil
	})
	round := func(n int) (addresses []string, restarts int) {
		for range n {
			address, restart := h.Next()
			if restart {
				restarts++
			}
			addresses = append(addresses, address+" of "+h.name(address))
		}
		slices.Sort(addresses)
		return addresses, restarts
	}
	first, restarts := round(3)
	if want := []string{"10.0.0.1:2181 of zk", "10.0.0.2:2181 of zk", "gone:2181 of gone"}; !slices.Equal(first, want) || restarts != 0 || h.Len() != 3 {
		t.Errorf("first: got %q with %d restarts, want %q with none", first, restarts, want)
	}
	second, restarts := round(2)
	if want := []string{"10.0.0.3:2181 of zk", "gone:2181 of gone"}; !slices.Equal(second, want) || restarts != 1 {
		t.Errorf("second: got %q with %d restarts, want %q with one", second, restarts, want)
	}
}
