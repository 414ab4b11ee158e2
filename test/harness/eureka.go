package harness

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// EurekaConfig is how a server starts; the zero value is one without peers that anybody may read.
type EurekaConfig struct {
	User, Password string   // by HTTP Basic, when User is set
	Flags          []string // further properties, e.g. "eureka.server.disable-delta=true"
}

// EurekaServer is one running server. It holds everything in memory: started again it is empty, until clients register again
// (those of [EurekaServer.Keep] do) or a peer has filled it.
type EurekaServer struct {
	*Process
	Addr string // host:port
	URL  string // the base of the API, e.g. http://127.0.0.1:20001/eureka, without credentials
	rest *rest
}

// StartEureka starts one server and returns when it answers.
func StartEureka(t testing.TB, config EurekaConfig) *EurekaServer {
	t.Helper()
	s := newEureka(t, "eureka", config)
	s.args = append(s.args, "--eureka.instance.hostname=localhost", "--eureka.client.service-url.defaultZone=http://localhost:"+s.port()+"/eureka/")
	s.Start()
	return s
}

// StartEurekaPeers starts two servers that replicate to each other; each fills itself from the other when it starts.
func StartEurekaPeers(t testing.TB, config EurekaConfig) (first, second *EurekaServer) {
	t.Helper()
	first, second = newEureka(t, "eureka-1", config), newEureka(t, "eureka-2", config)
	credentials := ""
	if config.User != "" {
		credentials = config.User + ":" + config.Password + "@"
	}
	join := func(s *EurekaServer, host, peer string) {
		s.args = append(s.args, "--eureka.instance.hostname="+host, "--eureka.client.service-url.defaultZone=http://"+credentials+peer+"/eureka/",
			"--eureka.client.register-with-eureka=true", "--eureka.client.fetch-registry=true", "--eureka.instance.ip-address=127.0.0.1",
			"--eureka.server.registry-sync-retries=3", "--eureka.server.registry-sync-retry-wait-ms=500",
			"--eureka.client.registry-fetch-interval-seconds=1", "--eureka.instance.lease-renewal-interval-in-seconds=2")
	}
	join(first, "localhost", "127.0.0.1:"+second.port()) // a server knows itself among its peers by the host name
	join(second, "127.0.0.1", "localhost:"+first.port())
	first.start()
	second.start()
	first.ready(60*time.Second, first.serves)
	second.ready(60*time.Second, second.serves)
	return first, second
}

func newEureka(t testing.TB, name string, config EurekaConfig) *EurekaServer {
	t.Helper()
	addr := loopback(t)
	s := &EurekaServer{Process: newJava(t, name, "256m"), Addr: addr, URL: "http://" + addr + "/eureka", rest: newREST(addr)}
	s.rest.user = config.User
	s.rest.setPassword(config.Password)
	s.args = append(s.args, "-jar", filepath.Join(toolDir(t, Eureka), "target", "eureka.jar"), "--server.port="+s.port(),
		// An answer that is made while something registers is cached though it lacks that: for 180 s unless told otherwise.
		"--eureka.server.response-cache-auto-expiration-in-seconds=1")
	if config.User != "" {
		s.args = append(s.args, "--meshbridge.auth=true", "--spring.security.user.name="+config.User, "--spring.security.user.password="+config.Password)
	}
	for _, f := range config.Flags {
		s.args = append(s.args, "--"+f)
	}
	return s
}

func (s *EurekaServer) port() string { return fmt.Sprint(portOf(s.t, s.Addr)) }

// Start starts the server, again after Kill or Stop, and returns when it serves.
func (s *EurekaServer) Start() {
	s.t.Helper()
	s.start()
	s.ready(60*time.Second, s.serves)
}

// SetPassword changes the password of a server that has ended, for its next Start and for what registers through the harness.
func (s *EurekaServer) SetPassword(password string) {
	const flag = "--spring.security.user.password="
	for i, arg := range s.args {
		if strings.HasPrefix(arg, flag) {
			s.args[i] = flag + password
		}
	}
	s.rest.setPassword(password)
}

func (s *EurekaServer) serves() error {
	_, err := s.rest.do("GET", "/eureka/apps", nil, "", nil)
	return err
}
