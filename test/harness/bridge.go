package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meshbridge/sources"
)

// bridgeVariable tells the process inside the namespaces where the bridge's binary is.
const bridgeVariable = "MESHBRIDGE_TEST_BINARY"

// BuildBridge builds cmd/meshbridge for [Bridge]s to run. It is given to [Isolate], since a build may need the network.
func BuildBridge() (cleanup func(), err error) {
	if os.Getenv(bridgeVariable) != "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "meshbridge-test-binary-")
	if err != nil {
		return nil, err
	}
	remove := func() { os.RemoveAll(dir) }
	binary := filepath.Join(dir, "meshbridge")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/meshbridge")
	cmd.Dir = filepath.Dir(testDir())
	if output, err := cmd.CombinedOutput(); err != nil {
		remove()
		return nil, fmt.Errorf("build the bridge: %w\n%s", err, output)
	}
	return remove, os.Setenv(bridgeVariable, binary)
}

// BridgeConfig is how a bridge starts.
type BridgeConfig struct {
	YAML string // the configuration less mcp, admin and log, which the harness writes
	Cert string // file of the MCP listener's certificate, with TLS
	Key  string // file of its key
	MCP  string // further keys of mcp, as in "quiet: 0s, stall: 1m"
}

// Bridge is a running meshbridge. Stop, Kill and Start end and start it; its addresses stay.
type Bridge struct {
	*Process
	MCP    string // host:port of the MCP listener
	Admin  string // http://host:port of the API
	Config string // its configuration file

	t    testing.TB
	head string // what the harness wrote of it
}

// StartBridge starts a bridge and returns when it is ready: when every required source has been read.
func StartBridge(t testing.TB, config BridgeConfig) *Bridge {
	t.Helper()
	b := LaunchBridge(t, config)
	b.WaitReady()
	return b
}

// LaunchBridge starts a bridge and returns when it listens, whether or not it has read its sources.
func LaunchBridge(t testing.TB, config BridgeConfig) *Bridge {
	t.Helper()
	b := &Bridge{Process: newProcess(t, "meshbridge", os.Getenv(bridgeVariable)), MCP: loopback(t), t: t}
	admin := loopback(t)
	b.Admin = "http://" + admin
	mcp := fmt.Sprintf("address: %q", b.MCP)
	if config.Cert != "" {
		mcp += fmt.Sprintf(", tls: {cert: %q, key: %q}", config.Cert, config.Key)
	}
	if config.MCP != "" {
		mcp += ", " + config.MCP
	}
	b.Config = filepath.Join(b.Dir, "meshbridge.yaml")
	b.head = fmt.Sprintf("mcp: {%s}\nadmin: {address: %q}\nlog: {level: debug}\n", mcp, admin)
	b.Rewrite(config.YAML)
	b.args = []string{"run", "--config", b.Config}
	t.Cleanup(b.sane)
	b.launch()
	return b
}

// Rewrite writes the configuration anew; yaml is as in [BridgeConfig].
func (b *Bridge) Rewrite(yaml string) {
	b.t.Helper()
	writeFiles(b.t, map[string][]byte{b.Config: []byte(b.head + yaml)})
}

// sane fails the test when the bridge panicked or, built with -race, raced. It runs when the bridge has been stopped.
func (b *Bridge) sane() {
	for _, sign := range []string{"panic", "DATA RACE"} {
		if log := b.Log(); strings.Contains(log, sign) {
			lines := strings.SplitN(log[strings.Index(log, sign):], "\n", 41)
			b.t.Errorf("%s says: %s", b.Name, strings.Join(lines[:min(40, len(lines))], "\n"))
		}
	}
}

func (b *Bridge) launch() {
	b.t.Helper()
	b.start()
	b.ready(20*time.Second, func() error {
		conn, err := dialTCP(b.MCP)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Start starts a bridge that has ended, and returns when it is ready.
func (b *Bridge) Start() {
	b.t.Helper()
	b.launch()
	b.WaitReady()
}

// WaitReady waits until /readyz is 200.
func (b *Bridge) WaitReady() {
	b.t.Helper()
	b.ready(60*time.Second, b.Ready)
}

// Ready is nil when /readyz is 200.
func (b *Bridge) Ready() error {
	_, err := b.page("/readyz")
	return err
}

// Command runs a command of the bridge's binary and returns what it prints; it fails the test unless it ends with 0.
func (b *Bridge) Command(args ...string) string {
	b.t.Helper()
	cmd := exec.Command(os.Getenv(bridgeVariable), args...)
	output, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		b.t.Fatalf("meshbridge %v: %v\n%s%s", args, err, output, exit.Stderr)
	}
	if err != nil {
		b.t.Fatalf("meshbridge %v: %v", args, err)
	}
	return string(output)
}

// Client is a stream as the bridge sees it.
type Client struct {
	Node      string `json:"node"`
	Authority string `json:"authority"`
	Shard     string `json:"shard"` // "3-of-16", "" for the whole
	Kinds     []struct {
		Kind      string `json:"kind"`
		Sent      string `json:"sent"`  // version of the newest response
		Acked     string `json:"acked"` // version of the newest acknowledged one
		Resources int    `json:"resources"`
	} `json:"kinds"`
}

// Clients are the streams that are open.
func (b *Bridge) Clients() ([]Client, error) { return list[Client](b, "/api/v1/clients") }

// Rejection is something that the bridge left out, and why.
type Rejection struct {
	Source, Service, Host, Where, Code, Reason string
}

// Rejected are the things that the bridge leaves out.
func (b *Bridge) Rejected() ([]Rejection, error) { return list[Rejection](b, "/api/v1/rejected") }

// Served is an object that the bridge serves.
type Served struct {
	Kind, Namespace, Name, Version, Host, Revision string
}

// Resources is what the bridge serves, by "kind namespace/name".
func (b *Bridge) Resources() (map[string]Served, error) {
	items, err := list[Served](b, "/api/v1/resources")
	served := make(map[string]Served, len(items))
	for _, i := range items {
		served[i.Kind+" "+i.Namespace+"/"+i.Name] = i
	}
	return served, err
}

// Sources are the bridge's sources with their scopes.
func (b *Bridge) Sources() ([]sources.SourceStatus, error) {
	return list[sources.SourceStatus](b, "/api/v1/sources")
}

// list reads all pages of a list.
func list[T any](b *Bridge, path string) ([]T, error) {
	var all []T
	for token := ""; ; {
		content, err := b.page(path + "?limit=500&continue=" + token)
		if err != nil {
			return nil, err
		}
		var page struct {
			Items    []T    `json:"items"`
			Continue string `json:"continue"`
		}
		if err := json.Unmarshal(content, &page); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		all = append(all, page.Items...)
		if token = page.Continue; token == "" {
			return all, nil
		}
	}
}

func (b *Bridge) page(path string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, b.Admin+path, nil)
	if err != nil {
		return nil, err
	}
	return answer(http.DefaultClient, request)
}

// WaitAcknowledged waits until n streams are open, each has been sent every kind it follows, and has acknowledged the newest
// of each: until every istiod has what the bridge has.
func (b *Bridge) WaitAcknowledged(n int) {
	b.t.Helper()
	b.ready(90*time.Second, func() error {
		clients, err := b.Clients()
		if err != nil {
			return err
		}
		if len(clients) != n {
			return fmt.Errorf("%d streams are open, want %d", len(clients), n)
		}
		for _, c := range clients {
			if len(c.Kinds) == 0 {
				return fmt.Errorf("%s %s has been sent nothing", c.Node, c.Authority)
			}
			for _, k := range c.Kinds {
				if k.Sent == "" || k.Sent != k.Acked {
					return fmt.Errorf("%s %s: of %s was sent %q and acknowledged %q", c.Node, c.Authority, k.Kind, k.Sent, k.Acked)
				}
			}
		}
		return nil
	})
}
