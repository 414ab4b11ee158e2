package harness

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// DubboConfig is how a provider of meshbridge.dubbo.GreetService registers.
type DubboConfig struct {
	Registry   string // host:port of ZooKeeper, or a URL such as nacos://127.0.0.1:8848?username=u&password=p
	App        string
	Address    string // what it registers; default 10.0.0.5
	Mode       string // interface, instance or all; default all
	Group      string
	Version    string
	Parameters map[string]string // of the service, e.g. zone
	NoTriple   bool              // dubbo only
}

// DubboInterface is what every [DubboProcess] offers.
const DubboInterface = "meshbridge.dubbo.GreetService"

// DubboProcess is a running provider.
type DubboProcess struct {
	*Process
	Address    string
	DubboPort  int
	TriplePort int // 0 without Triple
}

// StartDubbo starts a real Dubbo 3.3 provider and returns when it has registered.
func StartDubbo(t testing.TB, config DubboConfig) *DubboProcess {
	t.Helper()
	classes := filepath.Join(toolDir(t, Dubbo), "target")
	p := &DubboProcess{Process: newJava(t, "dubbo-"+config.App, "192m"), Address: config.Address, DubboPort: FreePort(t)}
	if p.Address == "" {
		p.Address = "10.0.0.5"
	}
	registry := config.Registry
	if !strings.Contains(registry, "://") {
		registry = "zookeeper://" + registry
	}
	p.env = []string{"DUBBO_IP_TO_REGISTRY=" + p.Address}
	p.args = append(p.args, "-Ddubbo.meta.cache.filePath="+p.Dir, "-cp", classes+"/classes:"+classes+"/lib/*", "meshbridge.dubbo.Provider",
		"registry="+registry, "app="+config.App, fmt.Sprintf("dubbo=%d", p.DubboPort))
	if !config.NoTriple {
		p.TriplePort = FreePort(t)
		p.args = append(p.args, fmt.Sprintf("tri=%d", p.TriplePort))
	}
	for key, value := range map[string]string{"mode": config.Mode, "group": config.Group, "version": config.Version} {
		if value != "" {
			p.args = append(p.args, key+"="+value)
		}
	}
	for key, value := range config.Parameters {
		p.args = append(p.args, "param."+key+"="+value)
	}
	p.start()
	p.ready(60*time.Second, p.printed("provider ready"))
	return p
}

// SpringConfig is how a Spring Cloud application registers.
type SpringConfig struct {
	Registry string // host:port of ZooKeeper, or Eureka's URL
	App      string
	Address  string            // what it registers; default 10.0.0.5
	Metadata map[string]string // of the instance, e.g. version
}

// SpringProcess is a running application.
type SpringProcess struct {
	*Process
	Address string
	Port    int
}

// StartSpringZooKeeper starts a real Spring Cloud application and returns when it has registered.
func StartSpringZooKeeper(t testing.TB, config SpringConfig) *SpringProcess {
	t.Helper()
	p := newSpring(t, SpringZooKeeper, config)
	const zk = "--spring.cloud.zookeeper."
	p.args = append(p.args, zk+"connect-string="+config.Registry, zk+"discovery.instance-host="+p.Address)
	p.metadata(zk+"discovery.metadata.", config.Metadata)
	p.start()
	p.ready(60*time.Second, p.printed("client ready"))
	return p
}

// StartSpringEureka starts a real Spring Cloud application and returns when it has registered. It sends a heartbeat every
// 2 s; killed, it goes after 6 s.
func StartSpringEureka(t testing.TB, config SpringConfig) *SpringProcess {
	t.Helper()
	p := newSpring(t, SpringEureka, config)
	p.args = append(p.args, "--eureka.client.service-url.defaultZone="+strings.TrimSuffix(config.Registry, "/")+"/",
		"--eureka.client.initial-instance-info-replication-interval-seconds=0", "--eureka.instance.ip-address="+p.Address,
		"--eureka.instance.prefer-ip-address=true", "--eureka.instance.lease-renewal-interval-in-seconds=2",
		"--eureka.instance.lease-expiration-duration-in-seconds=6")
	p.metadata("--eureka.instance.metadata-map.", config.Metadata)
	p.start()
	p.ready(60*time.Second, p.printed("client ready"))
	return p
}

// newSpring prepares an application of a tool whose jar has its name.
func newSpring(t testing.TB, tool Tool, config SpringConfig) *SpringProcess {
	t.Helper()
	p := &SpringProcess{Process: newJava(t, "spring-"+config.App, "192m"), Address: config.Address, Port: FreePort(t)}
	if p.Address == "" {
		p.Address = "10.0.0.5"
	}
	p.args = append(p.args, "-jar", filepath.Join(toolDir(t, tool), "target", tool.Name+".jar"),
		"--spring.application.name="+config.App, "--server.address=127.0.0.1", fmt.Sprintf("--server.port=%d", p.Port))
	return p
}

// metadata adds one argument for each key, in order.
func (p *SpringProcess) metadata(prefix string, metadata map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		p.args = append(p.args, prefix+key+"="+metadata[key])
	}
}
