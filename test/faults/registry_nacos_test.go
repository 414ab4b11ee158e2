//go:build faults

package faults

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"meshbridge/test/harness"
)

// namespaces are those of a Nacos: the main scope is public, the other one a namespace of its own.
type namespaces struct {
	t         *testing.T
	server    *harness.NacosServer
	wire      *harness.Cable
	providers map[string]*harness.NacosProvider // by scope
	wiped     bool
}

const (
	nacosUser     = "bridge"
	nacosPassword = "secret"
)

func newNamespaces(t *testing.T) registry {
	n := &namespaces{t: t}
	n.server = harness.StartNacos(t, harness.NacosConfig{Major: 3, Auth: true, Flags: []string{"-Dnacos.core.auth.plugin.nacos.token.expire.seconds=10"}})
	n.wire = harness.NewNacosCable(t, n.server)
	n.prepare()
	return n
}

// prepare makes the namespace, the user and the providers of an empty server.
func (n *namespaces) prepare() {
	n.server.CreateNamespace(otherScope)
	n.server.CreateUser(nacosUser, nacosPassword)
	n.server.Grant(nacosUser, n.resource(mainScope), "r")
	n.server.Grant(nacosUser, n.resource(otherScope), "r")
	n.permitted(mainScope, true)
	n.permitted(otherScope, true)
	n.providers = map[string]*harness.NacosProvider{mainScope: n.server.Provide(""), otherScope: n.server.Provide(otherScope)}
}

// namespace is the ID of a scope.
func (n *namespaces) namespace(scope string) string {
	if scope == mainScope {
		return "public"
	}
	return scope
}

func (n *namespaces) resource(scope string) string { return n.namespace(scope) + ":*:*" }

// permitted waits until the server, which reads its permissions every so often, lets the bridge's user read a scope, or no more.
func (n *namespaces) permitted(scope string, may bool) {
	n.t.Helper()
	harness.Eventually(n.t, time.Minute, fmt.Sprintf("the permission for %s is %t", scope, may), func() error {
		token, err := n.server.LoginToken(nacosUser, nacosPassword)
		if err != nil {
			return err
		}
		_, err = n.server.CallAs(token, "GET", "/v3/admin/ns/service/list", url.Values{"pageNo": {"1"}, "pageSize": {"1"}, "namespaceId": {n.namespace(scope)}})
		if (err == nil) != may {
			return fmt.Errorf("the answer is %v", err)
		}
		return nil
	})
}

func (n *namespaces) cable() *harness.Cable { return n.wire }

func (n *namespaces) source() string {
	return fmt.Sprintf("nacos:\n  servers: [http://%s]\n  namespaces: [public, %s]\n  username: %s\n  password: %s\n  interval: 1s\n  reread: 10s",
		n.wire.Addr, otherScope, nacosUser, nacosPassword)
}

func (n *namespaces) put(services map[name][]instance) {
	for s, instances := range services {
		var all []harness.NacosInstance
		for _, i := range instances {
			all = append(all, harness.NacosInstance{IP: i.address, Port: port, Unhealthy: i.down})
		}
		n.providers[s.scope].Set(harness.NacosService{Name: s.service}, all...)
	}
	for s, instances := range services {
		n.has(s, instances)
	}
}

// has waits until the server answers with these instances: for half a second after a change its answers are those from before.
func (n *namespaces) has(s name, instances []instance) {
	n.t.Helper()
	var want []string
	for _, i := range instances {
		want = append(want, fmt.Sprint(i.address, !i.down))
	}
	slices.Sort(want)
	harness.Eventually(n.t, 20*time.Second, "Nacos answers with the instances of "+s.service, func() error {
		content, err := n.server.Call("GET", "/v1/ns/instance/list", url.Values{"serviceName": {"DEFAULT_GROUP@@" + s.service}, "namespaceId": {n.namespace(s.scope)}})
		if err != nil {
			return err
		}
		var answer struct {
			Hosts []struct {
				IP      string
				Healthy bool
			}
		}
		if err := json.Unmarshal(content, &answer); err != nil {
			return err
		}
		var got []string
		for _, h := range answer.Hosts {
			got = append(got, fmt.Sprint(h.IP, h.Healthy))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
}

func (n *namespaces) kill() { n.server.Kill() }

func (n *namespaces) start() {
	n.server.Start()
	if n.wiped {
		n.wiped = false
		n.prepare()
		return
	}
	for _, p := range n.providers {
		p.Redo()
	}
}

func (n *namespaces) wipe() {
	for _, p := range n.providers {
		p.Close()
	}
	n.server.Wipe()
	n.wiped = true
}

func (n *namespaces) revoke(scope string) {
	n.server.Revoke(nacosUser, n.resource(scope), "r")
	n.permitted(scope, false)
}

func (n *namespaces) grant(scope string) {
	n.server.Grant(nacosUser, n.resource(scope), "r")
	n.permitted(scope, true)
}

func (n *namespaces) forbid()      { n.revoke(mainScope); n.revoke(otherScope) }
func (n *namespaces) allow()       { n.grant(mainScope); n.grant(otherScope) }
func (n *namespaces) forbidScope() { n.revoke(otherScope) }
func (n *namespaces) allowScope()  { n.grant(otherScope) }

// loseScope drops the namespace and ends its providers: a Nacos lists what is registered also in a namespace that it does not have.
func (n *namespaces) loseScope() {
	n.server.DropNamespace(otherScope)
	n.providers[otherScope].Close()
}

func (n *namespaces) findScope() {
	n.server.CreateNamespace(otherScope)
	n.providers[otherScope] = n.server.Provide(otherScope)
}

// expire changes the password: the token that the bridge has ends within its 10 s, and it gets no other.
func (n *namespaces) expire() {
	n.server.SetPassword(nacosUser, "other")
	n.login(false)
}

func (n *namespaces) renew() {
	n.server.SetPassword(nacosUser, nacosPassword)
	n.login(true)
}

func (n *namespaces) login(may bool) {
	n.t.Helper()
	harness.Eventually(n.t, time.Minute, fmt.Sprintf("the login is accepted: %t", may), func() error {
		if err := n.server.Login(nacosUser, nacosPassword); (err == nil) != may {
			return fmt.Errorf("the answer is %v", err)
		}
		return nil
	})
}

func (n *namespaces) turnBack()  { n.wire.TurnBack(time.Hour) }
func (n *namespaces) turnRight() { n.wire.Mend() }

func (n *namespaces) spoil(way int) { spoil(n.wire, way) }
func (n *namespaces) unspoil()      { n.wire.Mend() }
