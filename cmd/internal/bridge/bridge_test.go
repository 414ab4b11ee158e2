package bridge_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meshbridge/cmd/internal/bridge"
	"meshbridge/config"
	"meshbridge/mcpserver/mcptest"
	"meshbridge/mcpserver/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer is a log that a test may read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// world is a bridge that follows a configuration file, and an istiod that it serves.
type world struct {
	t      *testing.T
	dir    string
	log    *buffer
	addr   string // of MCP
	istiod *mcptest.Istiod
}

func (w *world) write(path, content string) {
	w.t.Helper()
	path = filepath.Join(w.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func list(name string, n int) string {
	text := fmt.Sprintf("services:\n- name: %s\n  instances:\n", name)
	for i := range n {
		text += fmt.Sprintf("  - {address: 10.0.0.%d, port: 8080}\n", i+1)
	}
	return text
}

// configure writes the file with a file source for each name, over the folder of that name.
func (w *world) configure(extra string, names ...string) {
	text := "mcp: {address: '127.0.0.1:0'}\nadmin: {address: '127.0.0.1:0'}\n" + extra + "sources:\n"
	for _, n := range names {
		text += fmt.Sprintf("- {name: %s, file: {path: %s}}\n", n, n)
	}
	w.write("meshbridge.yaml", text)
}

func (w *world) waitLog(what string) {
	w.t.Helper()
	end := time.After(30 * time.Second)
	for !strings.Contains(w.log.String(), what) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-end:
			w.t.Fatalf("the log never said %q:\n%s", what, w.log)
		}
	}
}

// wait waits until the istiod holds just these hosts.
func (w *world) wait(hosts ...string) {
	w.t.Helper()
	w.istiod.Wait(w.t, fmt.Sprint("hosts ", hosts), func(mcptest.State) bool {
		held := w.istiod.Versions(store.ServiceEntry)
		for _, h := range hosts {
			if held["registries/"+h] == "" {
				return false
			}
		}
		return len(held) == len(hosts)
	})
}

func start(t *testing.T, prepare func(w *world)) *world {
	w := &world{t: t, dir: t.TempDir(), log: new(buffer)}
	prepare(w)
	path := filepath.Join(w.dir, "meshbridge.yaml")
	cfg, files, err := config.Load(path, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	watcher := &config.Watcher{Path: path, Env: os.LookupEnv, Log: log, Settle: 20 * time.Millisecond, Poll: 50 * time.Millisecond}
	b, err := bridge.New(t.Context(), bridge.Options{
		Config: cfg, Log: log, Level: new(slog.LevelVar),
		Reloads: func(ctx context.Context, apply func(*config.Config)) error {
			return watcher.Run(ctx, cfg, files, apply)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w.addr = b.Addr().String()
	w.istiod = mcptest.Start(t, w.addr, mcptest.Options{})
	return w
}

func TestAReloadStartsAndStopsSourcesAndTheOthersKeepRunning(t *testing.T) {
	w := start(t, func(w *world) {
		w.write("a/a.yaml", list("a", 1))
		w.write("b/b.yaml", list("b", 1))
		w.write("c/c.yaml", list("c", 1))
		w.configure("", "a", "b")
	})
	w.wait("a.mesh", "b.mesh")
	w.configure("", "a", "c")
	w.wait("a.mesh", "c.mesh")
	if n := strings.Count(w.log.String(), `msg="scope read" source=a`); n != 1 {
		t.Errorf("source a was read %d times", n)
	}
	w.waitLog("started=[c] stopped=[b] restarted=[] adjusted=[]")
}

func TestABadReloadLeavesTheLastGoodInForce(t *testing.T) {
	w := start(t, func(w *world) {
		w.write("a/a.yaml", list("a", 1))
		w.configure("", "a")
	})
	w.wait("a.mesh")
	w.configure("mash: {}\n", "a")
	w.waitLog("configuration refused")
	w.write("a/more.yaml", list("more", 1))
	w.wait("a.mesh", "more.mesh")
	w.configure("mesh: {domain: corp}\n", "a")
	w.wait("a.corp", "more.corp")
}

func TestASourceThatIsNotReadKeepsTheGateShut(t *testing.T) {
	w := start(t, func(w *world) {
		w.write("a/a.yaml", list("a", 1))
		w.configure("", "a", "late")
	})
	w.waitLog("no such file or directory")
	if held := w.istiod.Versions(store.ServiceEntry); len(held) != 0 {
		t.Errorf("served before the gate opened: %v", held)
	}
	w.write("late/late.yaml", list("late", 1))
	w.wait("a.mesh", "late.mesh")
}

func TestAPortInUseIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := config.Default()
	cfg.MCP.Address = l.Addr().String()
	cfg.Admin.Address = "127.0.0.1:0"
	_, err = bridge.New(t.Context(), bridge.Options{Config: &cfg, Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar)})
	if err == nil || !strings.Contains(err.Error(), "mcp.address") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error %v", err)
	}
}
