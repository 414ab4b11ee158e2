package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// EurekaInstance is one instance as a client registers it.
type EurekaInstance struct {
	App        string            // becomes upper case
	ID         string            // default IP:app:port
	Host       string            // default the IP
	IP         string            //
	Port       int               // 0 switches it off
	SecurePort int               // 0 switches it off
	Status     string            // default UP
	VIP        string            // default the app in lower case
	Metadata   map[string]string //
	Lease      int               // seconds without a heartbeat until it goes, default 90

	Change func(instance map[string]any) // when set, changes what is sent
}

func (i EurekaInstance) app() string { return strings.ToUpper(i.App) }

func (i EurekaInstance) id() string {
	if i.ID != "" {
		return i.ID
	}
	return fmt.Sprintf("%s:%s:%d", i.IP, strings.ToLower(i.App), max(i.Port, i.SecurePort))
}

func (i EurekaInstance) path() string {
	return "/eureka/apps/" + url.PathEscape(i.app()) + "/" + url.PathEscape(i.id())
}

// body is the registration as a client sends it.
func (i EurekaInstance) body() ([]byte, error) {
	or := func(value, other string) string {
		if value == "" {
			return other
		}
		return value
	}
	port := func(number, otherwise int) map[string]any {
		if number == 0 {
			return map[string]any{"$": otherwise, "@enabled": "false"}
		}
		return map[string]any{"$": number, "@enabled": "true"}
	}
	lease := i.Lease
	if lease == 0 {
		lease = 90
	}
	metadata := i.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	now := fmt.Sprint(time.Now().UnixMilli())
	instance := map[string]any{
		"instanceId": i.id(), "hostName": or(i.Host, i.IP), "app": i.app(), "ipAddr": i.IP, "status": or(i.Status, "UP"),
		"overriddenStatus": "UNKNOWN", "port": port(i.Port, 80), "securePort": port(i.SecurePort, 443), "countryId": 1,
		"dataCenterInfo": map[string]any{"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
		"leaseInfo":      map[string]any{"renewalIntervalInSecs": max(lease/3, 1), "durationInSecs": lease},
		"metadata":       metadata, "vipAddress": or(i.VIP, strings.ToLower(i.App)), "secureVipAddress": or(i.VIP, strings.ToLower(i.App)),
		"isCoordinatingDiscoveryServer": "false", "lastUpdatedTimestamp": now, "lastDirtyTimestamp": now,
	}
	if i.Change != nil {
		i.Change(instance)
	}
	return json.Marshal(map[string]any{"instance": instance})
}

func (s *EurekaServer) register(i EurekaInstance) error {
	body, err := i.body()
	if err != nil {
		return err
	}
	_, err = s.rest.do("POST", "/eureka/apps/"+url.PathEscape(i.app()), nil, "application/json", body)
	return err
}

// Register registers the instances once; without heartbeats they go after their lease. See [EurekaServer.Keep].
func (s *EurekaServer) Register(instances ...EurekaInstance) {
	s.t.Helper()
	each(s.t, "register in "+s.Name, instances, s.register)
}

// Heartbeat renews the instances' leases once.
func (s *EurekaServer) Heartbeat(instances ...EurekaInstance) {
	s.t.Helper()
	each(s.t, "renew in "+s.Name, instances, func(i EurekaInstance) error {
		_, err := s.rest.do("PUT", i.path(), nil, "", nil)
		return err
	})
}

// Deregister takes the instances away, as a client does that shuts down.
func (s *EurekaServer) Deregister(instances ...EurekaInstance) {
	s.t.Helper()
	each(s.t, "deregister in "+s.Name, instances, func(i EurekaInstance) error {
		_, err := s.rest.do("DELETE", i.path(), nil, "", nil)
		if status := (StatusError{}); errors.As(err, &status) && status.Status == http.StatusNotFound {
			return nil // a server that was started anew did not know it yet
		}
		return err
	})
}

// SetStatus overrides the instances' status, as an operator does.
func (s *EurekaServer) SetStatus(status string, instances ...EurekaInstance) {
	s.t.Helper()
	each(s.t, "set a status in "+s.Name, instances, func(i EurekaInstance) error {
		_, err := s.rest.do("PUT", i.path()+"/status", url.Values{"value": {status}}, "", nil)
		return err
	})
}

// ClearStatus ends the override and leaves the instances UP.
func (s *EurekaServer) ClearStatus(instances ...EurekaInstance) {
	s.t.Helper()
	each(s.t, "clear a status in "+s.Name, instances, func(i EurekaInstance) error {
		_, err := s.rest.do("DELETE", i.path()+"/status", url.Values{"value": {"UP"}}, "", nil)
		return err
	})
}

// Instances are what the server answers to its readers, with no more than App, IP and Status.
func (s *EurekaServer) Instances() ([]EurekaInstance, error) {
	content, err := s.rest.do("GET", "/eureka/apps", nil, "", nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Applications struct {
			Application []struct {
				Instance []struct{ App, IPAddr, Status string }
			}
		}
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return nil, fmt.Errorf("decode the answer of %s: %w", s.Name, err)
	}
	var all []EurekaInstance
	for _, app := range answer.Applications.Application {
		for _, i := range app.Instance {
			all = append(all, EurekaInstance{App: i.App, IP: i.IPAddr, Status: i.Status})
		}
	}
	return all, nil
}

// EurekaClients keep their instances registered as real clients do: a heartbeat each interval, and a new registration when
// the server says that it does not know the instance.
type EurekaClients struct {
	server *EurekaServer
	cancel context.CancelFunc
	done   chan struct{}

	// Guarded by mu.
	mu        sync.Mutex
	instances []EurekaInstance
}

// Keep registers the instances and renews them every interval until the test ends, over outages of the server too.
func (s *EurekaServer) Keep(interval time.Duration, instances ...EurekaInstance) *EurekaClients {
	s.t.Helper()
	s.Register(instances...)
	ctx, cancel := context.WithCancel(context.Background())
	c := &EurekaClients{server: s, cancel: cancel, done: make(chan struct{}), instances: slices.Clone(instances)}
	go c.run(ctx, interval)
	s.t.Cleanup(c.Silence)
	return c
}

func (c *EurekaClients) run(ctx context.Context, interval time.Duration) {
	defer close(c.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		instances := slices.Clone(c.instances)
		c.mu.Unlock()
		// An outage of the server is what these clients live through: the next tick tries again.
		_ = eachErr(instances, c.renew)
	}
}

// renew renews one lease unless the instance has gone meanwhile.
func (c *EurekaClients) renew(i EurekaInstance) error {
	_, err := c.server.rest.do("PUT", i.path(), nil, "", nil)
	if status := (StatusError{}); !errors.As(err, &status) || status.Status != http.StatusNotFound {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock() // so that a client that shuts down does not come back
	if !slices.ContainsFunc(c.instances, i.same) {
		return nil
	}
	return c.server.register(i)
}

func (i EurekaInstance) same(other EurekaInstance) bool { return i.path() == other.path() }

// Add registers and keeps further instances; one that is kept already is replaced.
func (c *EurekaClients) Add(instances ...EurekaInstance) {
	c.server.t.Helper()
	c.forget(instances)
	c.server.Register(instances...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instances = append(c.instances, instances...)
}

// Remove shuts the instances' clients down: they deregister.
func (c *EurekaClients) Remove(instances ...EurekaInstance) {
	c.server.t.Helper()
	c.forget(instances)
	c.server.Deregister(instances...)
}

// Lose ends the instances' clients without a word: they go after their lease.
func (c *EurekaClients) Lose(instances ...EurekaInstance) { c.forget(instances) }

func (c *EurekaClients) forget(instances []EurekaInstance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instances = slices.DeleteFunc(c.instances, func(i EurekaInstance) bool { return slices.ContainsFunc(instances, i.same) })
}

// Silence ends every client without a word.
func (c *EurekaClients) Silence() {
	c.cancel()
	<-c.done
}
