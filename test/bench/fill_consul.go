package main

import (
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"meshbridge/test/harness"
)

// consulNodes is how many nodes the services of a catalog lie on.
const consulNodes = 100

// fillConsul makes a real Consul of 10,000 services with 2 instances each, every one with a check.
func fillConsul(b *bench) (*filled, error) {
	services, instances := pick(b, 10000, 1000), 2
	server := harness.StartConsul(stand{b: b}, harness.ConsulConfig{})
	m, err := httpMeter(b, "127.0.0.1:0", server.Addr)
	if err != nil {
		return nil, err
	}
	register := func(service, instance int) error {
		node, id := fmt.Sprintf("node-%03d", (service*instances+instance)%consulNodes), fmt.Sprintf("svc-%05d-%d", service, instance)
		_, err := server.Catalog().Register(&api.CatalogRegistration{
			Node: node, Address: dotted(10, 1<<20+(service*instances+instance)%consulNodes), SkipNodeUpdate: true,
			Service: &api.AgentService{
				ID: id, Service: fmt.Sprintf("svc-%05d", service), Address: dotted(10, service*16+instance), Port: 8080, Meta: map[string]string{"version": "v1"},
			},
			Check: &api.AgentCheck{Node: node, CheckID: "check-" + id, Name: "alive", ServiceID: id, Status: api.HealthPassing},
		}, nil)
		return err
	}
	for n := range consulNodes {
		if _, err := server.Catalog().Register(&api.CatalogRegistration{Node: fmt.Sprintf("node-%03d", n), Address: dotted(10, 1<<20+n)}, nil); err != nil {
			return nil, fmt.Errorf("register a node: %w", err)
		}
	}
	var fill errgroup.Group
	for from := range 8 {
		fill.Go(func() error {
			for i := from; i < services*instances; i += 8 {
				if err := register(i/instances, i%instances); err != nil {
					return fmt.Errorf("register an instance: %w", err)
				}
			}
			return nil
		})
	}
	if err := fill.Wait(); err != nil {
		return nil, err
	}
	return &filled{
		name:   fmt.Sprintf("Consul %s, %s services × %d", harness.Consul.Version, thousands(int64(services)), instances),
		source: fmt.Sprintf("{name: consul, consul: {address: \"http://%s\"}}", m.address), meters: []*meter{m}, wait: 3 * time.Second,
		change: func(n int) (string, error) { return fmt.Sprintf("svc-%05d.", n), register(n, instances) },
	}, nil
}
