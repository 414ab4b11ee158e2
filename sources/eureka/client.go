package eureka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// dialTimeout bounds how long a server may take to accept a connection.
const dialTimeout = 5 * time.Second

// transport is what an http.Transport is to a client.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// newTransport makes connections with limits. It asks for gzip and unpacks it, and it reads the files of TLS anew for
// each connection.
func newTransport(cfg Config) transport {
	dialer := net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		DialContext: dialer.DialContext,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := cfg.TLS.Load()
			if err != nil {
				return nil, err
			}
			if c == nil {
				c = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			return (&tls.Dialer{NetDialer: &dialer, Config: c}).DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost:   1,
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: cfg.Timeout,
		DisableCompression:    false,
	}
}

// client asks servers for their applications.
type client struct {
	http   http.Client
	cfg    Config
	reader reader
}

func newClient(cfg Config, t transport) *client {
	return &client{http: http.Client{Transport: t}, cfg: cfg, reader: reader{region: cfg.Region}}
}

// full reads a server's whole registry.
func (c *client) full(ctx context.Context, base *url.URL) (*registry, error) {
	b := builder{apps: map[string][]member{}}
	_, err := c.read(ctx, base, "/apps", func(app string, m member, _ string) { b.add(app, m) })
	if err != nil {
		return nil, err
	}
	return b.registry(), nil
}

// delta reads what changed at a server in the last minutes, and the hash of its whole registry.
func (c *client) delta(ctx context.Context, base *url.URL) (changes []entry, hash string, err error) {
	a, err := c.read(ctx, base, "/apps/delta", func(app string, m member, action string) {
		changes = append(changes, entry{app: app, member: m, deleted: strings.EqualFold(action, "DELETED")})
	})
	return changes, a.hash, err
}

// read asks for one list and hands over each member of it. After an error what was handed over counts for nothing.
func (c *client) read(ctx context.Context, base *url.URL, path string, each func(app string, m member, action string)) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	a, err := c.request(ctx, base, path, func(app string, w *wireInstance, err error) {
		m := c.reader.listed(w, err)
		if w == nil {
			w = &wireInstance{}
		}
		each(app, m, string(w.Action))
	})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no whole answer within %v", c.cfg.Timeout)
	}
	if err != nil {
		return a, fmt.Errorf("get %s: %w", path, err)
	}
	return a, nil
}

func (c *client) request(ctx context.Context, base *url.URL, path string, each func(string, *wireInstance, error)) (answer, error) {
	at := *base
	at.User, at.RawQuery = nil, c.cfg.query()
	at.Path += path
	if at.RawPath != "" {
		at.RawPath += path
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("X-Eureka-Accept", "full") // compact leaves metadata out
	request.Header.Set("User-Agent", "meshbridge")
	user, password := c.credentials(base)
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if wrapped := new(url.Error); errors.As(err, &wrapped) {
			err = wrapped.Err // the URL is named already
		}
		return answer{}, err
	}
	defer response.Body.Close()
	if err := check(response, user); err != nil {
		_, _ = io.CopyN(io.Discard, response.Body, 1<<16) // so that the connection can be used again
		return answer{}, err
	}
	return decode(response.Body, each)
}

// credentials are those in the URL, else those of the configuration.
func (c *client) credentials(base *url.URL) (user, password string) {
	if base.User != nil {
		password, _ = base.User.Password()
		return base.User.Username(), password
	}
	return c.cfg.Username, c.cfg.Password.Reveal()
}

// refusal is a status that is no answer, with what to do about it.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// withoutDeltas reports whether the server answers, but not with deltas: they are switched off, or it knows none.
func withoutDeltas(err error) bool {
	r := new(refusal)
	return errors.As(err, &r) && (r.status == http.StatusForbidden || r.status == http.StatusNotFound)
}

// check tells why a response is no answer of Eureka's, if it is none. The user is the one that was shown.
func check(response *http.Response, user string) error {
	status := response.StatusCode
	text := fmt.Sprintf("%d %s", status, http.StatusText(status)) // some servers leave the text out
	switch {
	case status == http.StatusOK:
		kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
		if strings.HasSuffix(kind, "html") || strings.HasSuffix(kind, "xml") {
			return fmt.Errorf("the answer is %s rather than JSON: is this the base URL of Eureka, and not a login page before it?", kind)
		}
		return nil
	case status == http.StatusUnauthorized && user == "":
		text += ": the server wants a username and a password"
	case status == http.StatusUnauthorized:
		text += fmt.Sprintf(": the server refuses the password of user %s, or does not know the user", user)
	case status == http.StatusForbidden:
		text += ": the server has only just started and waits for its peers' registries"
		if user != "" {
			text += fmt.Sprintf(", or user %s may not read them", user)
		} else {
			text += ", or its registry may not be read without a username"
		}
	case status == http.StatusNotFound:
		text += ": no Eureka here: a base URL ends in /eureka (Spring Cloud) or /eureka/v2 (Netflix)"
	}
	return &refusal{status: status, text: text}
}
