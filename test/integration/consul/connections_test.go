//go:build integration

package consul

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
	"meshbridge/sources/consul"
	"meshbridge/sources/sourcetest"
	"meshbridge/test/harness"
)

// connections counts the established connections of this network namespace to an address.
func connections(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text()) // number, local, remote, state (01: established)
		if len(fields) > 3 && strings.HasSuffix(fields[2], fmt.Sprintf(":%04X", port)) && fields[3] == "01" {
			n++
		}
	}
	return n
}

func TestOnlySinglyWatchedServicesTakeAConnectionEach(t *testing.T) {
	const services = 60
	authority := harness.NewAuthority(t)
	server := harness.StartConsul(t, harness.ConsulConfig{TLS: authority})
	var instances []harness.ConsulInstance
	for n := 1; n <= services; n++ {
		instances = append(instances, instance(fmt.Sprintf("service-%d", n), n))
	}
	server.Register(instances...)
	others := connections(t, server.Addr)
	for _, way := range []struct {
		name  string
		at    string
		least int
		most  int // besides those of reads, of which 8 may be kept
		set   func(*consul.Config)
	}{
		{"singly", server.Addr, services + 1, services + 1 + 8, func(*consul.Config) {}},
		{"sweeping", server.Addr, 3, 3 + 8, func(c *consul.Config) { c.Watches = 0 }},
		{"singly over TLS", server.SecureAddr, 1, 2, func(c *consul.Config) {
			c.Address, c.TLS = "https://"+server.SecureAddr, &sources.TLS{CA: authority.File}
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			c := config(server.Addr)
			way.set(&c)
			r, stop := sourcetest.Start(t, newSource(t, c))
			r.Wait(t, "all", func(p sourcetest.Picture) bool { return len(p.Services) == services })
			before := 0
			if way.at == server.Addr {
				before = others
			}
			harness.Eventually(t, 10*time.Second, "the connections", func() error {
				if n := connections(t, way.at) - before; n < way.least || n > way.most {
					return fmt.Errorf("%d, want %d to %d", n, way.least, way.most)
				}
				return nil
			})
			stop()
			harness.Eventually(t, 10*time.Second, "no connection is left", func() error {
				if n := connections(t, way.at) - before; n > 0 {
					return fmt.Errorf("%d", n)
				}
				return nil
			})
		})
	}
}
