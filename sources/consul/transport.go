package consul

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// dialTimeout bounds how long an agent may take to accept a connection.
	dialTimeout = 5 * time.Second
	// maxBody bounds one answer, in bytes; checks of 20,000 instances are 10 MB.
	maxBody = 512 << 20
)

// transport makes the connections of one Run, and closes them when it is over.
type transport interface {
	http.RoundTripper
	close()
}

// pool is a transport that knows its connections: one over HTTP/2 is not idle at once when its last request has been
// given up, and would stay open.
type pool struct {
	*http.Transport
	dialer net.Dialer

	mu     sync.Mutex
	open   map[*pooled]bool
	closed bool // a connection that was asked for before is closed as it comes
}

// pooled is one connection of a pool.
type pooled struct {
	net.Conn
	pool *pool
}

func (c *pooled) Close() error {
	c.pool.mu.Lock()
	delete(c.pool.open, c)
	c.pool.mu.Unlock()
	return c.Conn.Close()
}

func (p *pool) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := p.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close() // it was never used
		return nil, net.ErrClosed
	}
	one := &pooled{Conn: c, pool: p}
	p.open[one] = true
	return one, nil
}

// close is called when no request is under way.
func (p *pool) close() {
	p.CloseIdleConnections()
	p.mu.Lock()
	p.closed = true
	left := slices.Collect(maps.Keys(p.open))
	p.mu.Unlock()
	for _, c := range left {
		_ = c.Close() // nothing waits for it any more
	}
}

// newTransport makes connections with limits, HTTP/2 where the agent speaks TLS. It reads the files of TLS anew for each
// connection.
func newTransport(cfg Config) transport {
	p := &pool{dialer: net.Dialer{Timeout: dialTimeout}, open: map[*pooled]bool{}}
	p.Transport = &http.Transport{
		DialContext: p.dial,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := cfg.TLS.Load()
			if err != nil {
				return nil, err
			}
			if c == nil {
				c = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			c.NextProtos = []string{"h2", "http/1.1"}
			return p.dialTLS(ctx, network, address, c)
		},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: cfg.Watches + workers,
		IdleConnTimeout:     90 * time.Second,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
	return p
}

func (p *pool) dialTLS(ctx context.Context, network, address string, c *tls.Config) (net.Conn, error) {
	if c.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		c.ServerName = host
	}
	plain, err := p.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := tls.Client(plain, c)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = plain.Close() // the handshake's error says it
		return nil, err
	}
	return secure, nil
}

// ours is a transport that sends what the configuration says and nothing that the API's client may have found in the
// environment (CONSUL_HTTP_TOKEN, CONSUL_NAMESPACE and the like), and that takes no answer for Consul's which cannot be.
type ours struct {
	transport
	cfg Config
}

var (
	errNoIndex = errors.New("the answer has no X-Consul-Index: is this Consul, and nothing before it that leaves headers out?")
	errTooLong = errors.New("the answer is longer than 512 MiB")
)

func (o ours) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("User-Agent", "meshbridge")
	request.Header.Del("X-Consul-Token")
	if o.cfg.Token != "" {
		request.Header.Set("X-Consul-Token", o.cfg.Token.Reveal())
	}
	query := request.URL.Query()
	for key, value := range map[string]string{"ns": o.cfg.Namespace, "partition": o.cfg.Partition} {
		query.Del(key)
		if value != "" {
			query.Set(key, value)
		}
	}
	request.URL.RawQuery = query.Encode()
	response, err := o.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK && response.Header.Get("X-Consul-Index") == "" && indexed(request.URL.Path) {
		_ = response.Body.Close()
		return nil, errNoIndex
	}
	response.Body = &bounded{ReadCloser: response.Body, left: maxBody}
	return response, nil
}

// indexed reports whether Consul's answers at the path have an index.
func indexed(path string) bool {
	return !strings.HasSuffix(path, pathDatacenters) && !strings.HasSuffix(path, pathToken)
}

// bounded is a body that ends in an error when it is too long.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
