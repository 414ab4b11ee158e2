package harness

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// Registry writes into ZooKeeper what providers write, through one session.
type Registry struct {
	*zk.Conn
	t testing.TB
}

// Dial opens a session of 10 s, closed with the test; what it creates as ephemeral goes with it.
func (s *ZooKeeperServer) Dial(t testing.TB) *Registry {
	t.Helper()
	return Dial(t, s.Addr)
}

// Dial opens a session of 10 s with the servers, closed with the test.
func Dial(t testing.TB, servers ...string) *Registry {
	t.Helper()
	conn, events, err := zk.Connect(servers, 10*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatalf("dial ZooKeeper: %v", err)
	}
	go func() {
		for range events { // the channel must not fill up
		}
	}()
	r := &Registry{Conn: conn, t: t}
	t.Cleanup(conn.Close)
	r.WaitSession()
	return r
}

// WaitSession waits until the session is usable, at first or again after an outage.
func (r *Registry) WaitSession() {
	r.t.Helper()
	Eventually(r.t, 20*time.Second, "a session with ZooKeeper", func() error {
		if state := r.State(); state != zk.StateHasSession {
			return errors.New(state.String())
		}
		return nil
	})
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Ensure makes the node and those above it, persistent, and sets its data.
func (r *Registry) Ensure(node string, data string) {
	r.t.Helper()
	r.parents(node)
	_, err := r.Create(node, []byte(data), 0, zk.WorldACL(zk.PermAll))
	if errors.Is(err, zk.ErrNodeExists) {
		_, err = r.Set(node, []byte(data), -1)
	}
	if err != nil {
		r.t.Fatalf("write %s: %v", node, err)
	}
}

// Ephemeral makes a node that goes with the session, and those above it.
func (r *Registry) Ephemeral(node string, data string) {
	r.t.Helper()
	r.parents(node)
	if _, err := r.Create(node, []byte(data), zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		r.t.Fatalf("create %s: %v", node, err)
	}
}

// Remove deletes the node, which has no children.
func (r *Registry) Remove(node string) {
	r.t.Helper()
	if err := r.Delete(node, -1); err != nil {
		r.t.Fatalf("delete %s: %v", node, err)
	}
}

// parents makes the nodes above.
func (r *Registry) parents(node string) {
	r.t.Helper()
	above := path.Dir(node)
	if above == "/" {
		return
	}
	if exists, _, err := r.Exists(above); err == nil && exists {
		return
	}
	r.parents(above)
	if _, err := r.Create(above, nil, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
		r.t.Fatalf("create %s: %v", above, err)
	}
}

// DubboProvider is one address of an interface, as a Dubbo 2 provider registers it.
type DubboProvider struct {
	Interface  string
	Scheme     string // default dubbo
	Address    string // ip:port
	Parameters map[string]string
}

// Node is the provider's path: the whole of it is in the name.
func (p DubboProvider) Node() string {
	query := url.Values{
		"application": {"scripted"}, "dubbo": {"2.0.2"}, "dynamic": {"true"}, "generic": {"false"}, "interface": {p.Interface},
		"methods": {"greet"}, "release": {"3.3.5"}, "side": {"provider"}, "timestamp": {"1700000000000"},
	}
	for k, v := range p.Parameters {
		query.Set(k, v)
	}
	scheme := p.Scheme
	if scheme == "" {
		scheme = "dubbo"
	}
	u := fmt.Sprintf("%s://%s/%s?%s", scheme, p.Address, p.Interface, query.Encode())
	return "/dubbo/" + p.Interface + "/providers/" + url.QueryEscape(u)
}

// Register registers the provider; it goes with the session.
func (r *Registry) Register(p DubboProvider) {
	r.t.Helper()
	r.Ephemeral(p.Node(), "")
}

// Unregister takes the provider away.
func (r *Registry) Unregister(p DubboProvider) {
	r.t.Helper()
	r.Remove(p.Node())
}
