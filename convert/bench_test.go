package convert

import (
	"fmt"
	"testing"

	"meshbridge/sources"
)

// BenchmarkOneChange adds and removes one endpoint of one service among many: the cost must not grow with their number.
func BenchmarkOneChange(b *testing.B) {
	for _, services := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			w := newWorld(b, compile(b, ""))
			addresses := make([]string, 20)
			for i := range addresses {
				addresses[i] = fmt.Sprintf("v1@10.0.0.%d", i)
			}
			for i := range services {
				w.put("a", service(fmt.Sprintf("s%d", i), "10.0.0.1"))
			}
			w.step()
			more, less := service("s7", addresses...), service("s7", addresses[1:]...)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%2 == 0 {
					w.put("a", more)
				} else {
					w.put("a", less)
				}
				w.step()
			}
		})
	}
}

// BenchmarkFirstBuild converts 1,000 services with 20 endpoints of six metadata keys each.
func BenchmarkFirstBuild(b *testing.B) {
	rules := compile(b, "")
	var all []*sources.Service
	for i := range 1_000 {
		s := &sources.Service{Key: sources.Key{Name: fmt.Sprintf("s%d", i)}}
		for j := range 20 {
			s.Instances = append(s.Instances, sources.Instance{ID: fmt.Sprint(j), Address: fmt.Sprintf("10.%d.%d.%d", i%256, i/256, j), Weight: 100,
				Healthy: true, Enabled: true, Ports: []sources.Port{{Protocol: "http", Number: 8080}},
				Metadata: map[string]string{"version": "v1", "app": "orders", "zone": "eu-1", "region": "eu", "team": "pay", "git": "abcdef"}})
		}
		all = append(all, s)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := newWorld(b, rules)
		for _, s := range all {
			w.put("a", s)
		}
		w.step()
	}
}
