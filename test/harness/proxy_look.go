package harness

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Pushes are all pushes since the proxy connected, oldest first.
func (p *Proxy) Pushes() []Push {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.pushes)
}

// Since are the pushes after the first n.
func (p *Proxy) Since(n int) []Push { return p.Pushes()[n:] }

// Endpoints are the addresses of a host's clusters, each ip:port once, sorted, and whether there is such a cluster.
func (p *Proxy) Endpoints(host string) ([]string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for cluster, addresses := range p.endpoints {
		if hostOf(cluster) == host {
			found = append(found, addresses...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), p.hosts[host]
}

// WatchFewest returns a function that tells the fewest addresses that any cluster of the host has had since.
func (p *Proxy) WatchFewest(host string) func() int {
	now, _ := p.Endpoints(host)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fewest[host] = len(now)
	return func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.fewest[host]
	}
}

// Clusters are the addresses of each of a host's clusters without a subset, by port.
func (p *Proxy) Clusters(host string) map[string][]string {
	found := map[string][]string{}
	for cluster, addresses := range p.AllClusters(host) {
		if port, whole := strings.CutSuffix(cluster, "|"); whole {
			found[port] = addresses
		}
	}
	return found
}

// AllClusters are the addresses of each of a host's clusters, by port|subset; without a subset by port|.
func (p *Proxy) AllClusters(host string) map[string][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := map[string][]string{}
	for cluster, addresses := range p.endpoints {
		// outbound|80|v1|orders.shop.mesh
		if parts := strings.Split(cluster, "|"); len(parts) == 4 && parts[3] == host {
			found[parts[1]+"|"+parts[2]] = slices.Clone(addresses)
		}
	}
	return found
}

// Settle waits until the proxy has listeners and clusters and no push has come for the time.
func (p *Proxy) Settle(quiet time.Duration) {
	p.t.Helper()
	Eventually(p.t, 60*time.Second, "istiod is quiet", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.err != nil {
			p.t.Fatalf("the proxy's stream ended: %v", p.err)
		}
		if !slices.ContainsFunc(p.pushes, func(push Push) bool { return push.Type == "LDS" }) {
			return errors.New("no listener has come")
		}
		if since := time.Since(p.last); since < quiet {
			return fmt.Errorf("the last push came %s ago", since)
		}
		return nil
	})
}

// WaitEndpoints waits until the host's endpoints are these, ip:port.
func (p *Proxy) WaitEndpoints(host string, want ...string) {
	p.t.Helper()
	slices.Sort(want)
	Eventually(p.t, 30*time.Second, "the proxy has the endpoints of "+host, func() error {
		if got, _ := p.Endpoints(host); !slices.Equal(got, want) {
			return fmt.Errorf("it has [%s], want [%s]", strings.Join(got, " "), strings.Join(want, " "))
		}
		return nil
	})
}

// String describes a push in a failure: its type, how much is in it, and the first names.
func (p Push) String() string {
	names := p.Names
	if len(names) > 3 {
		names = names[:3]
	}
	return fmt.Sprintf("%s of %d (%s), %d removed", p.Type, len(p.Names), strings.Join(names, " "), len(p.Removed))
}
