//go:build faults

package faults

import (
	"fmt"
	"testing"

	"github.com/hashicorp/consul/api"

	"meshbridge/test/harness"
)

// datacenters are two Consuls, each with access control of its own; the bridge asks the first one for both.
type datacenters struct {
	t          *testing.T
	dc1, dc2   *harness.ConsulServer
	wire       *harness.Cable
	tokens     map[*harness.ConsulServer]harness.ConsulToken
	registered map[name]map[instance]bool
	wiped      bool
}

// secret is the bridge's token in both.
const secret = "22222222-3333-4444-5555-666666666666"

func newDatacenters(t *testing.T) registry {
	d := &datacenters{t: t, tokens: map[*harness.ConsulServer]harness.ConsulToken{}, registered: map[name]map[instance]bool{}}
	d.dc1 = harness.StartConsul(t, harness.ConsulConfig{ACL: true})
	d.dc2 = harness.StartConsul(t, harness.ConsulConfig{Datacenter: "dc2", ACL: true, JoinWAN: d.dc1})
	d.wire = harness.NewCable(t, d.dc1.Addr)
	for _, s := range d.both() {
		d.tokens[s] = s.GrantAs(secret, harness.ReadAll)
	}
	return d
}

func (d *datacenters) both() []*harness.ConsulServer { return []*harness.ConsulServer{d.dc1, d.dc2} }

func (d *datacenters) cable() *harness.Cable { return d.wire }

func (d *datacenters) source() string {
	return fmt.Sprintf("consul:\n  address: http://%s\n  token: %s\n  datacenters: [dc1, dc2]\n  timeout: 5s\n  wait: 2s", d.wire.Addr, secret)
}

func (d *datacenters) put(services map[name][]instance) {
	come, gone := map[string][]harness.ConsulInstance{}, map[string][]harness.ConsulInstance{} // by scope
	for n, instances := range services {
		wanted, addresses := map[instance]bool{}, map[string]bool{}
		for _, i := range instances {
			wanted[i], addresses[i.address] = true, true
			if !d.registered[n][i] {
				come[n.scope] = append(come[n.scope], consulInstance(n.service, i))
			}
		}
		for i := range d.registered[n] {
			if !addresses[i.address] {
				gone[n.scope] = append(gone[n.scope], consulInstance(n.service, i))
			}
		}
		d.registered[n] = wanted
	}
	for scope, server := range map[string]*harness.ConsulServer{mainScope: d.dc1, otherScope: d.dc2} {
		server.Register(come[scope]...)
		server.Deregister(gone[scope]...)
	}
}

// consulInstance is on a node of a few, as schedulers place them.
func consulInstance(service string, i instance) harness.ConsulInstance {
	status := api.HealthPassing
	if i.down {
		status = api.HealthCritical
	}
	return harness.ConsulInstance{
		Service: service, ID: service + "-" + i.address, Node: "node-" + i.address[len(i.address)-1:], NodeAddress: "10.30.0." + i.address[len(i.address)-1:],
		Address: i.address, Port: port, Status: status,
	}
}

// kill ends the datacenter that is asked, and with it every way to the other one.
func (d *datacenters) kill() { d.dc1.Kill() }

func (d *datacenters) start() {
	d.dc1.Start()
	if d.wiped {
		d.wiped = false
		d.dc2.Start()
		for _, s := range d.both() {
			d.tokens[s] = s.GrantAs(secret, harness.ReadAll)
		}
	}
}

func (d *datacenters) wipe() {
	d.dc2.Kill()
	d.dc1.Wipe()
	d.dc2.Wipe()
	d.wiped = true
	clear(d.registered)
}

// nothing are rules that let a token read nothing of the catalog.
const nothing = `key_prefix "" { policy = "read" }`

func (d *datacenters) forbid() {
	for _, s := range d.both() {
		s.Restrict(d.tokens[s], nothing)
	}
}

func (d *datacenters) allow() {
	for _, s := range d.both() {
		s.Restrict(d.tokens[s], harness.ReadAll)
	}
}

func (d *datacenters) expire() {
	for _, s := range d.both() {
		s.Revoke(d.tokens[s])
	}
}

func (d *datacenters) renew() {
	for _, s := range d.both() {
		s.Restore(d.tokens[s])
	}
}

func (d *datacenters) forbidScope() { d.dc2.Revoke(d.tokens[d.dc2]) }
func (d *datacenters) allowScope()  { d.dc2.Restore(d.tokens[d.dc2]) }
func (d *datacenters) loseScope()   { d.dc2.Kill() }
func (d *datacenters) findScope()   { d.dc2.Start() }

func (d *datacenters) spoil(way int) { spoil(d.wire, way) }
func (d *datacenters) unspoil()      { d.wire.Mend() }
