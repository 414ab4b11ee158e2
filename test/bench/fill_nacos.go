package main

import (
	"fmt"

	"meshbridge/test/harness"
)

// The ports of the meters: a client of Nacos takes the second to be 1,000 above the first.
const (
	nacosHTTP = "127.0.0.1:18848"
	nacosGRPC = "127.0.0.1:19848"
)

// fillNacos makes a real Nacos 3 of 10,000 services with 2 instances each.
func fillNacos(b *bench) (*filled, error) {
	services, instances := pick(b, 10000, 500), 2
	server := harness.StartNacos(stand{b: b}, harness.NacosConfig{Major: 3})
	asked, err := httpMeter(b, nacosHTTP, server.Addr)
	if err != nil {
		return nil, err
	}
	streams, err := tcpMeter(b, nacosGRPC, server.GRPCAddr, http2Frames)
	if err != nil {
		return nil, err
	}
	provider := server.Provide("")
	b.cleanups = append(b.cleanups, provider.Close)
	set := func(service, n int) {
		var list []harness.NacosInstance
		for i := range n {
			list = append(list, harness.NacosInstance{IP: dotted(10, service*16+i), Port: 8080, Metadata: map[string]string{"version": "v1"}})
		}
		provider.Set(harness.NacosService{Name: fmt.Sprintf("svc-%05d", service)}, list...)
	}
	for i := range services {
		set(i, instances)
	}
	return &filled{
		name:   fmt.Sprintf("Nacos %s, %s services × %d", harness.Nacos3.Version, thousands(int64(services)), instances),
		source: fmt.Sprintf("{name: nacos, nacos: {servers: [\"http://%s\"]}}", asked.address), meters: []*meter{asked, streams},
		change: func(n int) (string, error) {
			set(n, instances+1)
			return fmt.Sprintf("svc-%05d.", n), nil
		},
	}, nil
}
