package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// meter stands between the bridge and a registry and counts.
type meter struct {
	address  string // host:port
	open     atomic.Int64
	requests atomic.Int64
	close    func()
}

// httpMeter counts HTTP requests to a server and the connections that they come on.
func httpMeter(b *bench, address, target string) (*meter, error) {
	m := &meter{}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target})
	proxy.FlushInterval = -1
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	proxy.Transport = transport
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m.requests.Add(1)
			proxy.ServeHTTP(w, r)
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				m.open.Add(1)
			case http.StateClosed, http.StateHijacked:
				m.open.Add(-1)
			}
		},
	}
	go server.Serve(listener) //nolint:errcheck // it ends with the row
	m.address = listener.Addr().String()
	b.cleanups = append(b.cleanups, func() {
		server.Close() //nolint:errcheck // it is given up
		transport.CloseIdleConnections()
	})
	return m, nil
}

// frames reads what a client sends until it ends, and calls request for each request in it.
type frames func(client *bufio.Reader, request func()) error

// tcpMeter counts connections to a server, and the requests that frames finds on them.
func tcpMeter(b *bench, address, target string, count frames) (*meter, error) {
	m := &meter{}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	m.address = listener.Addr().String()
	b.cleanups = append(b.cleanups, func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go m.pass(conn, target, count)
		}
	}()
	return m, nil
}

func (m *meter) pass(client net.Conn, target string, count frames) {
	m.open.Add(1)
	defer m.open.Add(-1)
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(client, server) //nolint:errcheck // either end may end it
		client.Close()
	})
	tee := io.TeeReader(client, server)
	if err := count(bufio.NewReader(tee), func() { m.requests.Add(1) }); err != nil && !errors.Is(err, io.EOF) {
		io.Copy(io.Discard, tee) //nolint:errcheck // pass on what is no frame
	}
	server.Close()
	back.Wait()
}

// zookeeperFrames counts ZooKeeper's requests: each is led by its length.
func zookeeperFrames(client *bufio.Reader, request func()) error {
	for {
		var length uint32
		if err := binary.Read(client, binary.BigEndian, &length); err != nil {
			return err
		}
		if _, err := client.Discard(int(length)); err != nil {
			return err
		}
		request()
	}
}

// http2Frames counts the messages of gRPC: HTTP/2 frames of type DATA.
func http2Frames(client *bufio.Reader, request func()) error {
	preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	if _, err := io.ReadFull(client, preface); err != nil {
		return err
	}
	if !strings.HasPrefix(string(preface), "PRI") {
		return errors.New("no HTTP/2")
	}
	for {
		var head [9]byte
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return err
		}
		length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if _, err := client.Discard(length); err != nil {
			return err
		}
		if head[3] == 0 && length > 0 {
			request()
		}
	}
}
