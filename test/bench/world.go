package main

import (
	"bytes"
	"fmt"
	"strconv"

	"meshbridge/sources"
)

// World is a registry of services with equally many endpoints each. Every change of it has a number, from 1: it gives one
// service one endpoint more, whose address is the number, or another one in place of that.
type World struct {
	Services, Endpoints int
	Metadata            bool // six keys of 120 bytes in all for each instance, else the version alone
	Spread              int  // successive changes are this many services apart; 0 is 7919
	TCP                 bool // the instances speak Dubbo, else HTTP
	Versions            int  // of the instances of each service, or of each with a canary; 0 is 1
	Canaries            int  // so many services have a canary document, and a change is a step of one of these instead
}

// host is the host of a service under the default naming.
func (w World) host(i int) string { return w.name(i) + ".mesh" }

func (w World) name(i int) string { return fmt.Sprintf("svc-%06d", i) }

// target is the service that a change is to.
func (w World) target(change int) int {
	if w.Canaries > 0 {
		return change % w.Canaries
	}
	spread := w.Spread
	if spread == 0 {
		spread = 7919 // a prime
	}
	return change * spread % w.Services
}

// service is a service after a change to it; 0 is its first state.
func (w World) service(i, change int) *sources.Service {
	s := &sources.Service{Key: sources.Key{Name: w.name(i)}, Instances: make([]sources.Instance, 0, w.Endpoints+1)}
	versions := max(w.Versions, 1)
	if w.Canaries > 0 && i >= w.Canaries {
		versions = 1
	}
	for j := range w.Endpoints {
		in := w.instance(i, dotted(10, i*w.Endpoints+j))
		in.Metadata["version"] = "v" + strconv.Itoa(1+j%versions)
		s.Instances = append(s.Instances, in)
	}
	if change > 0 {
		s.Instances = append(s.Instances, w.instance(i, dotted(changed, change)))
	}
	return s
}

func (w World) instance(i int, address string) sources.Instance {
	in := sources.Instance{
		ID: address, Address: address, Ports: []sources.Port{{Name: "http", Protocol: "HTTP", Number: 8080}},
		Metadata: map[string]string{"version": "v1"}, Weight: sources.DefaultWeight, Healthy: true, Enabled: true,
		Locality: "eu/eu-" + strconv.Itoa(i%3),
	}
	if w.TCP {
		in.Ports[0].Name, in.Ports[0].Protocol = "dubbo", "dubbo"
	}
	if w.Metadata {
		in.Metadata = map[string]string{
			"version": "v1", "application": w.name(i), "hostname": "host-" + address, "side": "provider", "started": "1763690000000", "release": "2026.11.21-rc1",
		}
	}
	return in
}

// changed is the first part of the address of an endpoint that a change adds. No other endpoint has it.
const changed = 11

func dotted(first, n int) string {
	return fmt.Sprintf("%d.%d.%d.%d", first, n>>16&255, n>>8&255, n&255)
}

// Protobuf tags before the address of an endpoint.
const (
	inWorkloadEntry = 0x0a // istio.networking.v1alpha3.WorkloadEntry.address
	inSocketAddress = 0x12 // envoy.config.core.v3.SocketAddress.address
)

// changes finds the numbers of the changes that encoded resources contain, without decoding them.
func changes(data []byte, tag byte, found func(change int)) {
	for {
		i := bytes.Index(data, []byte("11."))
		if i < 0 {
			return
		}
		if i >= 2 && data[i-2] == tag && i+int(data[i-1]) <= len(data) {
			if n := number(data[i : i+int(data[i-1])]); n > 0 {
				found(n)
			}
		}
		data = data[i+3:]
	}
}

// number is the inverse of dotted(changed, n), or 0.
func number(address []byte) int {
	parts := bytes.Split(address, []byte("."))
	if len(parts) != 4 {
		return 0
	}
	n := 0
	for _, p := range parts[1:] {
		part, err := strconv.ParseUint(string(p), 10, 8)
		if err != nil {
			return 0
		}
		n = n<<8 | int(part)
	}
	return n
}
