//go:build faults

package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// apps is a Eureka with clients that keep themselves registered.
type apps struct {
	t          *testing.T
	server     *harness.EurekaServer
	wire       *harness.Cable
	clients    *harness.EurekaClients
	registered map[string]map[instance]bool // by service
}

func newApps(t *testing.T) registry {
	a := &apps{t: t, registered: map[string]map[instance]bool{}}
	a.server = harness.StartEureka(t, harness.EurekaConfig{User: "bridge", Password: "secret", Flags: []string{"server.compression.enabled=false"}})
	a.wire = harness.NewCable(t, a.server.Addr)
	a.clients = a.server.Keep(time.Second)
	return a
}

func (a *apps) cable() *harness.Cable { return a.wire }

func (a *apps) source() string {
	return fmt.Sprintf("eureka:\n  servers: [http://%s/eureka]\n  username: bridge\n  password: secret\n  interval: 500ms\n  timeout: 5s\n  resync: 5s\n  settle: 2s", a.wire.Addr)
}

func (a *apps) put(services map[name][]instance) {
	var come, gone []harness.EurekaInstance
	for n, instances := range services {
		wanted, addresses := map[instance]bool{}, map[string]bool{}
		for _, i := range instances {
			wanted[i], addresses[i.address] = true, true
			if !a.registered[n.service][i] {
				come = append(come, eurekaInstance(n.service, i))
			}
		}
		for i := range a.registered[n.service] {
			if !addresses[i.address] {
				gone = append(gone, eurekaInstance(n.service, i))
			}
		}
		a.registered[n.service] = wanted
	}
	a.clients.Add(come...)
	a.clients.Remove(gone...)
	want := map[string]bool{}
	for service, instances := range a.registered {
		for i := range instances {
			want[fmt.Sprint(strings.ToUpper(service), i.address, !i.down)] = true
		}
	}
	harness.Eventually(a.t, 30*time.Second, "Eureka answers with what is registered, which its caches and its clients delay", func() error {
		got, err := a.server.Instances()
		if err != nil {
			return err
		}
		if len(got) != len(want) {
			return fmt.Errorf("it has %d instances, want %d", len(got), len(want))
		}
		for _, i := range got {
			if !want[fmt.Sprint(i.App, i.IP, i.Status == "UP")] {
				return fmt.Errorf("it has %+v", i)
			}
		}
		return nil
	})
}

func eurekaInstance(service string, i instance) harness.EurekaInstance {
	e := harness.EurekaInstance{App: service, IP: i.address, Port: port}
	if i.down {
		e.Status = "DOWN"
	}
	return e
}

func (a *apps) kill()  { a.server.Kill() }
func (a *apps) start() { a.server.Start() }

// wipe ends the clients too: there is nothing else that a Eureka would come back with.
func (a *apps) wipe() {
	a.clients.Silence()
	a.clients = a.server.Keep(time.Second)
	clear(a.registered)
}

func (a *apps) forbid() { a.restart("other") }
func (a *apps) allow()  { a.restart("secret") }

func (a *apps) restart(password string) {
	a.server.Kill()
	a.server.SetPassword(password)
	a.server.Start()
}

func (a *apps) turnBack()  { a.wire.TurnBack(time.Hour) }
func (a *apps) turnRight() { a.wire.Mend() }

func (a *apps) spoil(way int) { spoil(a.wire, way) }
func (a *apps) unspoil()      { a.wire.Mend() }
