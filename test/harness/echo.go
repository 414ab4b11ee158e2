package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// EchoConfig is one instance of a service that says who it is.
type EchoConfig struct {
	Service string
	Version string
	Address string // ip:port; every address of 10.0.0.0/8 can be had

	// Next is where the instance calls on, through its own sidecar, before it answers: the host is what it calls, the address
	// is where the sidecar listens for that.
	Next        string
	NextAddress string
	Forward     []string // headers that it hands on, as an application or its tracing library does
}

// Echo is a running instance.
type Echo struct {
	EchoConfig

	t      testing.TB
	client *http.Client

	// Guarded by mu.
	mu     sync.Mutex
	server *http.Server
}

// Hop is one instance that a request came to. The answer to a request is the list of its hops.
type Hop struct {
	Service string              `json:"service"`
	Version string              `json:"version"`
	Address string              `json:"address"`
	Path    string              `json:"path"`
	Header  map[string][]string `json:"header"`
}

// StartEcho starts an instance; it ends with the test.
func StartEcho(t testing.TB, config EchoConfig) *Echo {
	t.Helper()
	e := &Echo{EchoConfig: config, t: t, client: keepAlive()}
	t.Cleanup(func() {
		e.Kill()
		e.client.CloseIdleConnections()
	})
	e.Start()
	return e
}

// Start starts an instance that was killed, on the same address.
func (e *Echo) Start() {
	e.t.Helper()
	listener, err := net.Listen("tcp", e.Address)
	if err != nil {
		e.t.Fatalf("start %s %s: %v", e.Service, e.Version, err)
	}
	server := &http.Server{Handler: http.HandlerFunc(e.answer), ReadHeaderTimeout: time.Minute}
	e.mu.Lock()
	e.server = server
	e.mu.Unlock()
	go server.Serve(listener)
}

// Kill ends the instance as a killed process ends: its connections break and its port refuses.
func (e *Echo) Kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		e.server.Close()
		e.server = nil
	}
}

func (e *Echo) answer(w http.ResponseWriter, r *http.Request) {
	hops := []Hop{{Service: e.Service, Version: e.Version, Address: e.Address, Path: r.URL.Path, Header: r.Header}}
	if e.Next != "" {
		header := http.Header{}
		for _, name := range e.Forward {
			if values := r.Header.Values(name); len(values) > 0 {
				header[http.CanonicalHeaderKey(name)] = values
			}
		}
		further, err := Call(e.client, Request{Address: e.NextAddress, Host: e.Next, Path: r.URL.Path, Header: header})
		if err != nil {
			http.Error(w, fmt.Sprintf("%s %s: call %s: %v", e.Service, e.Version, e.Next, err), http.StatusBadGateway)
			return
		}
		hops = append(hops, further...)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(hops)
}

// Request is one call to an [Echo] through a proxy.
type Request struct {
	Address string // ip:port where the proxy listens
	Host    string // what is called
	Path    string // "/" when empty
	Header  http.Header
	TCP     bool   // only a connection, to what [StartTCPEcho] started
	Class   string // under which a [Load] counts it
}

// Call makes a request and returns its hops. The error is a [StatusError] when there was an answer.
func Call(client *http.Client, call Request) ([]Hop, error) {
	if call.TCP {
		return connect(call)
	}
	request, err := http.NewRequest(http.MethodGet, "http://"+call.Address, nil)
	if err != nil {
		return nil, err
	}
	request.Host, request.URL.Path = call.Host, call.Path
	if call.Header != nil {
		request.Header = call.Header.Clone()
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, StatusError{Status: response.StatusCode, What: call.Host + call.Path, Body: string(body)}
	}
	var hops []Hop
	if err := json.Unmarshal(body, &hops); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return hops, nil
}

// connect makes a connection and reads who it leads to.
func connect(call Request) ([]Hop, error) {
	conn, err := dialTCP(call.Address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	version, err := io.ReadAll(conn)
	if err != nil {
		return nil, err
	}
	if len(version) == 0 {
		return nil, fmt.Errorf("connect to %s: nobody answered", call.Address)
	}
	return []Hop{{Version: string(version)}}, nil
}

// keepAlive is a client that keeps its connections, as those of applications do.
func keepAlive() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 64}}
}

// StartTCPEcho starts an instance that writes its version to whoever connects, and closes; it ends with the test.
func StartTCPEcho(t testing.TB, address, version string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				io.WriteString(conn, version)
				conn.Close()
			}
		}
	}()
}
