//go:build faults

package faults

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"meshbridge/test/harness"
)

// ensemble is a ZooKeeper: the main scope is Dubbo's interfaces, the other one Spring Cloud's applications.
type ensemble struct {
	t         *testing.T
	server    *harness.ZooKeeperServer
	wire      *harness.Cable
	providers *harness.Registry
	nodes     map[string]bool // that the providers hold
}

// reader is the bridge's identity, which may read.
const reader = "bridge:secret"

func newEnsemble(t *testing.T) registry {
	e := &ensemble{t: t, server: harness.StartZooKeeper(t, harness.ZooKeeperConfig{}), nodes: map[string]bool{}}
	e.wire = harness.NewCable(t, e.server.Addr)
	e.dial()
	return e
}

// dial opens the providers' session. It outlives restarts of the server.
func (e *ensemble) dial() {
	e.providers = e.server.Dial(e.t)
	for _, root := range []string{"/dubbo", "/services"} {
		e.providers.Ensure(root, "")
	}
}

func (e *ensemble) cable() *harness.Cable { return e.wire }

func (e *ensemble) source() string {
	return fmt.Sprintf("zookeeper:\n  servers: [%q]\n  auth: {scheme: digest, credentials: %q}\n  sessionTimeout: 4s", e.wire.Addr, reader)
}

func (e *ensemble) put(services map[name][]instance) {
	for n, instances := range services {
		e.putService(n.scope, n.service, instances)
	}
}

func (e *ensemble) putService(scope, service string, instances []instance) {
	root, list := "/dubbo/"+service, "/dubbo/"+service+"/providers"
	if scope == otherScope {
		root, list = "/services/"+service, "/services/"+service
	}
	wanted := map[string]string{}
	for _, i := range instances {
		node, data := e.node(scope, service, i)
		wanted[node] = data
	}
	for node, data := range wanted {
		if !e.nodes[node] {
			e.providers.Ephemeral(node, data)
			e.nodes[node] = true
		}
	}
	for node := range e.nodes {
		if _, ok := wanted[node]; !ok && path.Dir(node) == list {
			e.providers.Remove(node)
			delete(e.nodes, node)
		}
	}
	if len(instances) == 0 {
		e.remove(root)
	}
}

// node is an instance's node. A Dubbo provider has no health; it can be disabled.
func (e *ensemble) node(scope, service string, i instance) (node, data string) {
	if scope == mainScope {
		p := harness.DubboProvider{Interface: service, Address: fmt.Sprintf("%s:%d", i.address, port), Parameters: map[string]string{"enabled": fmt.Sprint(!i.down)}}
		return p.Node(), ""
	}
	status := "UP"
	if i.down {
		status = "DOWN"
	}
	id := fmt.Sprintf("%s-%s", i.address, status)
	return "/services/" + service + "/" + id, fmt.Sprintf(`{"name":%q,"id":%q,"address":%q,"port":%d,"payload":{"@class":`+
		`"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","id":%q,"name":%q,"metadata":{"instance_status":%q}},"serviceType":"DYNAMIC"}`,
		service, id, i.address, port, id, service, status)
}

// remove deletes a node with all below it.
func (e *ensemble) remove(node string) {
	e.t.Helper()
	children, _, err := e.providers.Children(node)
	if errors.Is(err, zk.ErrNoNode) {
		return
	}
	e.check(err)
	for _, c := range children {
		e.remove(path.Join(node, c))
	}
	if err := e.providers.Delete(node, -1); !errors.Is(err, zk.ErrNoNode) {
		e.check(err)
	}
	delete(e.nodes, node)
}

func (e *ensemble) check(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatalf("ZooKeeper: %v", err)
	}
}

func (e *ensemble) kill() { e.server.Kill() }

func (e *ensemble) start() {
	e.server.Start()
	if e.providers == nil {
		e.dial()
	}
	e.providers.WaitSession()
}

func (e *ensemble) wipe() {
	e.providers.Close()
	e.providers = nil
	clear(e.nodes)
	e.server.Wipe()
}

// permit sets who may read the node and all below it: the bridge, or only the providers, who are nobody in particular.
func (e *ensemble) permit(node string, read bool) {
	e.t.Helper()
	acl := zk.WorldACL(zk.PermAll)
	if !read {
		acl = append(zk.WorldACL(zk.PermAll&^zk.PermRead), zk.DigestACL(zk.PermRead, "providers", "secret")...)
	}
	children, _, err := e.providers.Children(node)
	e.check(err)
	for _, c := range children {
		e.permit(path.Join(node, c), read)
	}
	_, err = e.providers.SetACL(node, acl, -1)
	e.check(err)
}

// reconnect ends the bridge's connection, so that it reads everything again: ZooKeeper tells nobody of a permission that has
// changed, nor of anything that happens where it is missing.
func (e *ensemble) reconnect() {
	e.wire.Cut()
	e.wire.Mend()
}

func (e *ensemble) authorize() { e.check(e.providers.AddAuth("digest", []byte("providers:secret"))) }

func (e *ensemble) forbid() {
	e.authorize()
	e.permit("/dubbo", false)
	e.permit("/services", false)
	e.reconnect()
}

func (e *ensemble) allow() {
	e.permit("/dubbo", true)
	e.permit("/services", true)
}

func (e *ensemble) forbidScope() {
	e.authorize()
	e.permit("/services", false)
	e.reconnect()
}

func (e *ensemble) allowScope() { e.permit("/services", true) }
func (e *ensemble) loseScope()  { e.remove("/services") }
func (e *ensemble) findScope()  { e.providers.Ensure("/services", "") }

func (e *ensemble) spoil(way int) { spoil(e.wire, way) }
func (e *ensemble) unspoil()      { e.wire.Mend() }

// spoil replaces what comes through the cable, on connections that are open too.
func spoil(c *harness.Cable, way int) {
	c.Mend()
	c.Garble([]string{
		"", harness.HTTPAnswer("text/html", "<html>"+strings.Repeat("sign in ", 20)+"</html>"), harness.HTTPAnswer("application/json", "{}"),
	}[way])
}
