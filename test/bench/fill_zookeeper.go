package main

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"meshbridge/test/harness"
)

// fillZooKeeper makes a real ZooKeeper of 2,000 interfaces with 10 providers each.
func fillZooKeeper(b *bench) (*filled, error) {
	interfaces, providers := pick(b, 2000, 200), 10
	s := stand{b: b}
	server := harness.StartZooKeeper(s, harness.ZooKeeperConfig{})
	m, err := tcpMeter(b, "127.0.0.1:0", server.Addr, zookeeperFrames)
	if err != nil {
		return nil, err
	}
	registry := server.Dial(s)
	provider := func(i, j int) harness.DubboProvider {
		return harness.DubboProvider{
			Interface: fmt.Sprintf("org.example.bench.I%05d", i), Scheme: "dubbo",
			Address: net.JoinHostPort(dotted(10, i*100+j), strconv.Itoa(20880)), Parameters: map[string]string{"version": "1.0.0", "application": "bench"},
		}
	}
	var fill sync.WaitGroup
	for from := range 8 { // ephemeral nodes of one session, from eight goroutines
		fill.Go(func() {
			for i := from; i < interfaces; i += 8 {
				for j := range providers {
					registry.Register(provider(i, j))
				}
			}
		})
	}
	fill.Wait()
	return &filled{
		name:   fmt.Sprintf("ZooKeeper %s, %s interfaces × %d", harness.ZooKeeper.Version, thousands(int64(interfaces)), providers),
		source: fmt.Sprintf("{name: zk, zookeeper: {servers: [%q]}}", m.address), meters: []*meter{m}, wait: time.Second,
		change: func(n int) (string, error) {
			p := provider(n, providers)
			registry.Register(p)
			return fmt.Sprintf("i%05d", n), nil
		},
	}, nil
}
