//go:build e2e

package validation

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"meshbridge/sources"
)

// dice make everything random. Equal seeds give equal worlds.
type dice struct {
	*rand.Rand
	odds int // in so many of a hundred cases something is odd
}

// newDice are those of a seed. In some worlds nothing is odd, since one odd word takes a whole document out of what is served.
func newDice(seed uint64) dice {
	d := dice{Rand: rand.New(rand.NewPCG(seed, 5))}
	d.odds = pick(d, 0, 0, 2, 8)
	return d
}

// chance is true in so many of a hundred cases.
func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

// odd is one of the likely values, or sometimes an unlikely one.
func odd[T any](d dice, likely, unlikely []T) T {
	if d.chance(d.odds) {
		return pick(d, unlikely...)
	}
	return pick(d, likely...)
}

// What registries are known to say, and what they might.
var (
	versions = []string{
		"v1", "v2", "v3", "1.0.0", "1.0.1-rc.2", "2026.11.21", "V1", "gray", "primary", "true", "7",
	}
	oddVersions = []string{
		"", "-", "v1/2", "v 1", "1.0.0+build", "_v1_", "ü", "über-1", "1-0-0", "...", "v1\n", "null", "1e3", "0x1F",
		strings.Repeat("a", 63), strings.Repeat("a", 64) + "b", strings.Repeat("a", 62) + ".b",
	}
	names    = []string{"shop", "billing", "com.acme.Catalog", "com.acme.Stock", "orders", "mocka", "mockb", "inventory"}
	oddNames = []string{
		"Shop", "shop_1", "shop-1", "7", "-x-", "ü", "a..b", "s.2", strings.Repeat("n", 70), strings.Repeat("deep.", 60) + "x",
		"10.1.2.3", "shop.7", "7.shop", "shop.", ".shop", "shop-", "SHOP.Billing", "*", "*.shop", "shop*", "*-shop",
		strings.Repeat("n", 63), strings.Repeat("n", 64), strings.Repeat("n", 63) + "." + strings.Repeat("m", 63),
	}
	// hosts are what nobody should be able to serve, or just may.
	oddHosts = []string{
		"10.1.2.3", "shop.7", "*.7", "7", "*.10.0.0.1", "300.1.2.3", "1.2.3.shop", "shop.example.com.", "*.example.com.", "shop.7.", ".", "SHOP.example.com", "shop-.example.com",
		"-shop.example.com", "*", "*.", "*.shop", "*shop.example.com", "*-shop.example.com", "shop.*.com", "shop.*", "**.com", "a_b.example.com", "ü.example.com", "a b.com",
		strings.Repeat("h", 63) + ".com", strings.Repeat("h", 64) + ".com", strings.Repeat("deep.", 50) + "com", strings.Repeat("deep.", 49) + "com", "fd00::1", "::1", "shop..com", "00.com", "shop.0x7",
	}
	zones  = []string{"z1", "z2", "Z1", "z/1"}
	groups = []string{"", "", "", "g", "G_1", "DEFAULT_GROUP"}
)

// protocols are sets of service ports.
var protocols = [][]sources.Port{
	{{Name: "http", Protocol: "http", Number: 80}},
	{{Name: "http", Protocol: "http", Number: 80}},
	{{Name: "http", Protocol: "http", Number: 80}},
	{{Name: "http", Protocol: "http", Number: 80}},
	{{Name: "web", Protocol: "HTTP", Number: 8000}, {Name: "api", Protocol: "http2", Number: 8001}, {Name: "rpc", Protocol: "grpc", Number: 9000}},
	{{Name: "http", Protocol: "http", Number: 80}, {Name: "admin", Protocol: "http", Number: 8081}},
	{{Name: "dubbo", Protocol: "dubbo", Number: 20880}},
	{{Name: "dubbo", Protocol: "dubbo", Number: 20880}, {Name: "tri", Protocol: "tri", Number: 50051}},
	{{Name: "tcp", Protocol: "tcp", Number: 6000}, {Name: "redis", Protocol: "redis", Number: 6379}},
	{{Name: "mysql", Protocol: "mysql", Number: 3306}},
	{{Name: "mongo", Protocol: "mongo", Number: 27017}, {Name: "tls", Protocol: "tls", Number: 8443}},
	{{Name: "https", Protocol: "https", Number: 443}},
	{{Name: "https", Protocol: "https", Number: 443}, {Name: "http", Protocol: "http", Number: 80}, {Name: "grpc-web", Protocol: "grpc-web", Number: 8080}},
	{{Name: "hessian", Protocol: "hessian", Number: 9999}, {Name: "x", Protocol: "", Number: 1}},
	{{Name: "ü!", Protocol: "What Is This", Number: 65535}},
}

// services are those of one registry. A declared one says its ports itself; else each instance says its own, so that a host may
// fall into several ServiceEntries.
func (d dice) services() []*sources.Service {
	var all []*sources.Service
	taken := map[sources.Key]bool{}
	for range 2 + d.IntN(5) {
		s := d.service()
		if !taken[s.Key] {
			taken[s.Key] = true
			all = append(all, s)
		}
	}
	return all
}

func (d dice) service() *sources.Service {
	s := &sources.Service{Key: sources.Key{Name: odd(d, names, oddNames), Group: pick(d, groups...)}}
	if s.Interface = strings.Contains(s.Name, "."); s.Interface {
		s.Key.Version = pick(d, "", "1.0.0", "0.0.0", "2_0")
	}
	ports := pick(d, protocols...)
	if d.chance(50) {
		s.Ports = ports
	}
	mine := []string{odd(d, versions, oddVersions), odd(d, versions, oddVersions), odd(d, versions, oddVersions)}
	for i := range d.IntN(7) {
		s.Instances = append(s.Instances, d.instance(i, ports, mine))
	}
	return s
}

func (d dice) instance(i int, ports []sources.Port, mine []string) sources.Instance {
	in := sources.Instance{
		ID: fmt.Sprintf("i%02d", i), Address: fmt.Sprintf("10.%d.%d.%d", d.IntN(3), d.IntN(200), 1+d.IntN(200)),
		Weight: pick[uint32](d, 100, 100, 100, 0, 1, 50, 1<<31), Healthy: !d.chance(5), Enabled: !d.chance(5),
		Locality: pick(d, "", "eu", "eu/eu-1", "eu/eu-1/rack 7"), Metadata: d.metadata(mine),
	}
	if d.chance(5) {
		in.Address = pick(d, "fd00::1", "host.example.com", "", "10.0.0.300", "::ffff:10.0.0.1")
	}
	for _, p := range ports {
		if d.chance(80) {
			in.Ports = append(in.Ports, sources.Port{Name: p.Name, Protocol: p.Protocol, Number: odd(d, []uint32{p.Number, 8080, 18080}, []uint32{0, 65536})})
		}
	}
	return in
}

// metadata is an instance's, its version one of the service's.
func (d dice) metadata(mine []string) map[string]string {
	m := map[string]string{}
	if !d.chance(10) {
		m["version"] = pick(d, mine...)
	}
	if d.chance(40) {
		m["zone"] = pick(d, zones...)
	}
	if d.chance(30) {
		m["istio.service.tag"] = pick(d, "gray", "gray", "blue", "a b")
	}
	if d.chance(20) {
		m[pick(d, "app", "istio.io/rev", "bad key", "team/owner", "meshbridge.subset", "meshbridge.pool.gray", "topology.kubernetes.io/zone", "istio-locality", "app.kubernetes.io/name", strings.Repeat("k", 64), "k-", "K")] = odd(d, versions, oddVersions)
	}
	return m
}
