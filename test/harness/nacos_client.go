package harness

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

// NacosProvider is a client that registers ephemeral instances over gRPC; they live as long as its connection. When the
// server is back it registers them again, once: what the server then refuses, as it does with access control in its first
// seconds, is lost. [NacosProvider.Redo] tries until it is done, as clients in Java do.
type NacosProvider struct {
	t      testing.TB
	server *NacosServer
	client naming_client.INamingClient
	closed bool
	held   map[NacosService][]NacosInstance
}

// Provide connects a provider to a namespace, "" for public. It ends with the test.
func (s *NacosServer) Provide(namespace string) *NacosProvider {
	s.t.Helper()
	return s.ProvideAs(namespace, NacosUser, NacosPassword)
}

// ProvideAs connects a provider as a user.
func (s *NacosServer) ProvideAs(namespace, user, password string) *NacosProvider {
	s.t.Helper()
	dir := Scratch(s.t, "nacos-provider")
	config := constant.ClientConfig{
		NamespaceId: namespace, NotLoadCacheAtStart: true, UpdateCacheWhenEmpty: true, TimeoutMs: 5000,
		CacheDir: dir, LogDir: dir, LogLevel: "error",
	}
	if s.auth {
		config.Username, config.Password = user, password
	}
	client, err := clients.NewNamingClient(vo.NacosClientParam{
		ClientConfig:  &config,
		ServerConfigs: []constant.ServerConfig{{IpAddr: "127.0.0.1", Port: uint64(portOf(s.t, s.Addr)), ContextPath: "/nacos"}},
	})
	if err != nil {
		s.t.Fatalf("make a client of %s: %v", s.Name, err)
	}
	p := &NacosProvider{t: s.t, server: s, client: client, held: map[NacosService][]NacosInstance{}}
	s.t.Cleanup(p.Close)
	return p
}

// Set makes these the provider's instances of the service, instead of those that it had; none takes the service away. The
// service's Namespace is the provider's and left empty.
func (p *NacosProvider) Set(service NacosService, instances ...NacosInstance) {
	p.t.Helper()
	Eventually(p.t, 30*time.Second, p.server.Name+" takes "+service.Name, func() error { return p.set(service, instances) })
	delete(p.held, service)
	if len(instances) > 0 {
		p.held[service] = slices.Clone(instances)
	}
}

// Redo registers again all that the provider holds.
func (p *NacosProvider) Redo() {
	p.t.Helper()
	for service, instances := range maps.Clone(p.held) {
		p.Set(service, instances...)
	}
}

func (p *NacosProvider) set(service NacosService, instances []NacosInstance) error {
	if len(instances) == 0 {
		if len(p.held[service]) == 0 {
			return nil
		}
		held := p.held[service][0] // any of them stands for the batch
		return took(p.client.DeregisterInstance(vo.DeregisterInstanceParam{
			ServiceName: service.Name, GroupName: service.group(), Ip: held.IP, Port: uint64(held.Port), Cluster: held.cluster(), Ephemeral: true,
		}))
	}
	batch := vo.BatchRegisterInstanceParam{ServiceName: service.Name, GroupName: service.group()}
	for _, i := range instances {
		batch.Instances = append(batch.Instances, vo.RegisterInstanceParam{
			Ip: i.IP, Port: uint64(i.Port), Weight: i.weight(), Enable: !i.Disabled, Healthy: !i.Unhealthy,
			Metadata: i.Metadata, ClusterName: i.cluster(), Ephemeral: true,
		})
	}
	return took(p.client.BatchRegisterInstance(batch))
}

func took(ok bool, err error) error {
	if err == nil && !ok {
		return fmt.Errorf("the server refused it")
	}
	return err
}

// Close ends the connection, as a process that is killed does: every instance goes.
func (p *NacosProvider) Close() {
	if p.closed {
		return
	}
	p.closed = true
	p.client.CloseClient()
}
