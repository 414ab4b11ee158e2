package harness

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ZooKeeperConfig is how a server or an ensemble starts; the zero value is a standalone server.
type ZooKeeperConfig struct {
	Lines []string   // further lines of zoo.cfg, e.g. "authProvider.1=…"
	Flags []string   // further flags of the JVM
	TLS   *Authority // when set, serve TLS on SecureAddr too, for 127.0.0.1 and localhost
}

// ZooKeeperServer is one running server. Kill and Start end and start it; its data and its addresses stay.
type ZooKeeperServer struct {
	*Process
	Addr       string // host:port for clients
	SecureAddr string // host:port for clients with TLS, or ""
}

// StartZooKeeper starts a standalone server with a tick of 500 ms, so that sessions of 1 s are possible.
func StartZooKeeper(t testing.TB, config ZooKeeperConfig) *ZooKeeperServer {
	t.Helper()
	s := newZooKeeper(t, "zookeeper", config, nil)
	s.Start()
	return s
}

// StartEnsemble starts n servers that elect a leader, and returns when every one serves.
func StartEnsemble(t testing.TB, n int, config ZooKeeperConfig) []*ZooKeeperServer {
	t.Helper()
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf("server.%d=127.0.0.1:%d:%d", i+1, FreePort(t), FreePort(t)))
	}
	var servers []*ZooKeeperServer
	for i := range n {
		s := newZooKeeper(t, fmt.Sprintf("zookeeper-%d", i+1), config, members)
		if err := os.WriteFile(filepath.Join(s.Dir, "data", "myid"), fmt.Appendf(nil, "%d", i+1), 0o644); err != nil {
			t.Fatalf("write the id of %s: %v", s.Name, err)
		}
		s.start()
		servers = append(servers, s)
	}
	for _, s := range servers {
		s.ready(60*time.Second, s.serves)
	}
	return servers
}

func newZooKeeper(t testing.TB, name string, config ZooKeeperConfig, members []string) *ZooKeeperServer {
	t.Helper()
	classes := filepath.Join(toolDir(t, ZooKeeper), "target", "lib", "*")
	port := FreePort(t)
	s := &ZooKeeperServer{Process: newJava(t, name, "128m"), Addr: fmt.Sprintf("127.0.0.1:%d", port)}
	flags := append([]string{
		"-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory", // the only one with TLS
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
	}, config.Flags...)
	data := filepath.Join(s.Dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatalf("make the data folder of %s: %v", name, err)
	}
	lines := append([]string{
		"tickTime=500", "initLimit=20", "syncLimit=10", "dataDir=" + data, fmt.Sprintf("clientPort=%d", port), "clientPortAddress=127.0.0.1",
		"admin.enableServer=false", "4lw.commands.whitelist=*", "maxClientCnxns=0", "quorumListenOnAllIPs=false",
	}, config.Lines...)
	if config.TLS != nil {
		secure := FreePort(t)
		s.SecureAddr = fmt.Sprintf("127.0.0.1:%d", secure)
		lines = append(lines, fmt.Sprintf("secureClientPort=%d", secure), "secureClientPortAddress=127.0.0.1")
		flags = append(flags, zooKeeperTLS(config.TLS, name)...)
	}
	path := filepath.Join(s.Dir, "zoo.cfg")
	if err := os.WriteFile(path, []byte(strings.Join(append(lines, members...), "\n")+"\n"), 0o644); err != nil {
		t.Fatalf("write zoo.cfg of %s: %v", name, err)
	}
	s.args = append(append(s.args, flags...), "-cp", classes, "org.apache.zookeeper.server.quorum.QuorumPeerMain", path)
	return s
}

// Start starts the server, again after Kill or Stop, and returns when it serves.
func (s *ZooKeeperServer) Start() {
	s.t.Helper()
	s.start()
	s.ready(60*time.Second, s.serves)
}

// serves is nil when the server answers and has a mode (leader, follower or standalone), and its port of TLS, which opens after the other, accepts.
func (s *ZooKeeperServer) serves() error {
	if s.SecureAddr != "" {
		conn, err := net.DialTimeout("tcp", s.SecureAddr, time.Second)
		if err != nil {
			return err
		}
		conn.Close()
	}
	if answer, err := s.command("ruok"); err != nil || answer != "imok" {
		return fmt.Errorf("ruok: %q, %v", answer, err)
	}
	answer, err := s.command("srvr")
	if err != nil {
		return err
	}
	if !strings.Contains(answer, "Mode:") {
		return fmt.Errorf("srvr: %q", answer)
	}
	return nil
}

// Mode is leader, follower or standalone.
func (s *ZooKeeperServer) Mode() string {
	answer, _ := s.command("srvr")
	_, mode, _ := strings.Cut(answer, "Mode: ")
	mode, _, _ = strings.Cut(mode, "\n")
	return mode
}

// command sends one of ZooKeeper's four-letter words.
func (s *ZooKeeperServer) command(word string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// Wipe takes the data of a server that has ended; a member of an ensemble keeps its number.
func (s *ZooKeeperServer) Wipe() {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.Dir, "data", "version-2")); err != nil {
		s.t.Fatalf("remove the data of %s: %v", s.Name, err)
	}
}
