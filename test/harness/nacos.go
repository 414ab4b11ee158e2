package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// NacosConfig is how a server starts.
type NacosConfig struct {
	Major  int      // 2 or 3, default 3
	Auth   bool     // users and passwords; [NacosUser] may do all
	Compat bool     // of 3: the v1 catalog and v2 APIs too, which answer 410 otherwise
	Flags  []string // further flags of the JVM, e.g. "-Dnacos.core.auth.plugin.nacos.token.expire.seconds=20"
}

// The user that may do everything where [NacosConfig.Auth] is set.
const (
	NacosUser     = "nacos"
	NacosPassword = "meshbridge-admin"
)

// NacosServer is one running server. Kill and Start end and start it: persistent instances, namespaces and users stay,
// ephemeral ones return with their clients. [NacosServer.Wipe] takes the rest away too.
type NacosServer struct {
	*Process
	Major    int
	Addr     string // host:port of the HTTP API below /nacos
	GRPCAddr string // the port 1000 above

	auth   bool
	starts int // how many times it was started
	rest   *rest

	// Guarded by mu.
	mu    sync.Mutex
	token string
}

// lastNacos counts the servers and proxies: each has a port of its own, with those 1000 below, 1000 and 1001 above.
var lastNacos atomic.Int32

// nacosPort is a port that is free with those around it that Nacos takes.
func nacosPort() int { return 10000 + 10*int(lastNacos.Add(1)) }

// StartNacos starts a server on its own and returns when it serves both HTTP and gRPC.
func StartNacos(t testing.TB, config NacosConfig) *NacosServer {
	t.Helper()
	tool, port, flag := Nacos3, nacosPort(), "nacos.server.main.port"
	if config.Major == 2 {
		tool, flag = Nacos2, "server.port"
	}
	classes := filepath.Join(toolDir(t, tool), "target")
	s := &NacosServer{
		Process: newJava(t, "nacos-"+tool.Version, "512m"), Major: 3, auth: config.Auth,
		Addr: fmt.Sprintf("127.0.0.1:%d", port), GRPCAddr: fmt.Sprintf("127.0.0.1:%d", port+1000),
	}
	if config.Major == 2 {
		s.Major = 2
	}
	s.rest = newREST(s.Addr)
	s.args = append(s.args, "-Dnacos.standalone=true", "-Dnacos.home="+s.home(), "-Dlogging.config=classpath:logback-test-server.xml",
		fmt.Sprintf("-D%s=%d", flag, port), fmt.Sprintf("-Dnacos.core.auth.enabled=%t", config.Auth), fmt.Sprintf("-Dnacos.core.auth.admin.enabled=%t", config.Auth))
	if config.Compat {
		for _, api := range []string{"client", "admin", "console"} {
			s.args = append(s.args, "-Dnacos.core.api.compatibility."+api+".enabled=true")
		}
	}
	// Two hessians define the same classes; with the other one first no push leaves the server, in silence.
	s.args = append(append(s.args, config.Flags...), "-cp", strings.Join([]string{classes + "/classes", classes + "/lib/hessian-4.0.63.jar", classes + "/lib/*"}, ":"),
		"meshbridge.nacos.Main")
	s.Start()
	return s
}

func (s *NacosServer) home() string { return filepath.Join(s.Dir, "home") }

// Start starts the server, again after Kill or Stop, and returns when it serves.
func (s *NacosServer) Start() {
	s.t.Helper()
	s.forgetToken()
	s.starts++
	for try := 1; ; try++ {
		s.start()
		if s.survives() {
			break
		}
		if try == nacosTries {
			s.t.Fatalf("%s has ended %d times before it was ready:\n%s", s.Name, try, tail(s.Log(), 60))
		}
		if s.starts == 1 {
			s.Wipe() // it may have left half a database
		}
	}
	s.ready(90*time.Second, s.serves)
	if s.auth {
		s.admin()
	}
}

// nacosTries is how often a server is started: its database gives itself three seconds, which a busy disk may exceed.
const nacosTries = 3

// survives waits until the server serves, or has ended by itself.
func (s *NacosServer) survives() bool {
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end) && !closed(s.done); time.Sleep(50 * time.Millisecond) {
		if s.serves() == nil {
			return true
		}
	}
	return !closed(s.done)
}

// Wipe takes everything of a server that has ended: the next Start begins with nothing.
func (s *NacosServer) Wipe() {
	s.t.Helper()
	if err := os.RemoveAll(s.home()); err != nil {
		s.t.Fatalf("remove the data of %s: %v", s.Name, err)
	}
}

func (s *NacosServer) serves() error {
	if strings.Count(s.Log(), "nacos ready") < s.starts {
		return errNotPrinted("nacos ready")
	}
	conn, err := dialTCP(s.GRPCAddr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// admin makes the administrator unless there is one, and waits until it may log in: the server reads its users every few seconds.
func (s *NacosServer) admin() {
	s.t.Helper()
	path := "/nacos/v1/auth/users/admin"
	if s.Major == 3 {
		path = "/nacos/v3/auth/user/admin"
	}
	form := url.Values{"username": {NacosUser}, "password": {NacosPassword}}
	if _, err := s.rest.do("POST", path, form, "", nil); err != nil {
		if status := (StatusError{}); !errors.As(err, &status) || status.Status != 409 {
			s.t.Fatalf("make the administrator of %s: %v", s.Name, err)
		}
	}
	Eventually(s.t, 30*time.Second, "the administrator logs in", func() error { return s.Login(NacosUser, NacosPassword) })
}

// Login is nil when the server accepts the password, which takes some seconds for a new user.
func (s *NacosServer) Login(user, password string) error {
	_, err := s.login(user, password)
	return err
}

// LoginToken is the access token that a login gives.
func (s *NacosServer) LoginToken(user, password string) (string, error) {
	return s.login(user, password)
}

func (s *NacosServer) login(user, password string) (string, error) {
	content, err := s.rest.do("POST", "/nacos/v1/auth/users/login", url.Values{"username": {user}, "password": {password}}, "", nil)
	if err != nil {
		return "", err
	}
	var answer struct{ AccessToken string }
	if err := json.Unmarshal(content, &answer); err != nil || answer.AccessToken == "" {
		return "", fmt.Errorf("log in as %s: %q, %v", user, content, err)
	}
	return answer.AccessToken, nil
}

func (s *NacosServer) forgetToken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = ""
}

// adminToken is the administrator's token, "" without access control.
func (s *NacosServer) adminToken() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.auth || s.token != "" {
		return s.token, nil
	}
	token, err := s.login(NacosUser, NacosPassword)
	s.token = token
	return token, err
}

// Call sends one request as the administrator, the path below /nacos, and returns the body of the answer.
func (s *NacosServer) Call(method, path string, form url.Values) ([]byte, error) {
	content, err := s.try(method, path, form)
	if status := (StatusError{}); s.auth && errors.As(err, &status) && (status.Status == 403 || status.Status == 401) {
		s.forgetToken() // it has ended
		return s.try(method, path, form)
	}
	return content, err
}

func (s *NacosServer) try(method, path string, form url.Values) ([]byte, error) {
	token, err := s.adminToken()
	if err != nil {
		return nil, err
	}
	return s.CallAs(token, method, path, form)
}

// CallAs sends one request with an access token, "" for none.
func (s *NacosServer) CallAs(token, method, path string, form url.Values) ([]byte, error) {
	query := url.Values{}
	for key, values := range form {
		query[key] = values
	}
	if token != "" {
		query.Set("accessToken", token)
	}
	return s.rest.do(method, "/nacos"+path, query, "", nil)
}

// call sends one request as the administrator, to the path of the server's generation, and fails the test unless it succeeds.
func (s *NacosServer) call(method, path2, path3 string, form url.Values) {
	s.t.Helper()
	path := path3
	if s.Major == 2 {
		path = path2
	}
	if _, err := s.Call(method, path, form); err != nil {
		s.t.Fatalf("%s: %v", s.Name, err)
	}
}
