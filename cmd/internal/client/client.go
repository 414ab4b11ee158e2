// Package client asks running bridges over their admin API. Its invariant: an error says which server was asked for what,
// why it failed, and what the user can do about it.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"meshbridge/cmd/internal/api"
	"meshbridge/sources"
)

// requestTimeout bounds one request and its answer.
const requestTimeout = 30 * time.Second

// Client asks one bridge.
type Client struct {
	base    string // scheme://host:port
	address string // host:port to connect to, "": the base's
	token   sources.Secret
	http    *http.Client
}

// New makes a client of the server at an address such as http://127.0.0.1:16011. Without a scheme it is http. roots are the
// CAs to trust; nil are the system's.
func New(server string, token sources.Secret, roots *x509.CertPool) (*Client, error) {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", server, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("server %q is not http://host:port or https://host:port", server)
	}
	return &Client{
		base:  strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/"),
		token: token,
		http: &http.Client{
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
			// A token follows no redirect to where it was not meant to go.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Server is the address of the bridge.
func (c *Client) Server() string { return c.base }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Sources lists the sources. The query holds the API's own parameters.
func (c *Client) Sources(ctx context.Context, q url.Values) ([]api.Source, error) {
	return list[api.Source](ctx, c, api.SourcesPath, q)
}

// Services lists the services.
func (c *Client) Services(ctx context.Context, q url.Values) ([]api.Service, error) {
	return list[api.Service](ctx, c, api.ServicesPath, q)
}

// Resources lists the resources.
func (c *Client) Resources(ctx context.Context, q url.Values) ([]api.Resource, error) {
	return list[api.Resource](ctx, c, api.ResourcesPath, q)
}

// Clients lists the streams.
func (c *Client) Clients(ctx context.Context, q url.Values) ([]api.Client, error) {
	return list[api.Client](ctx, c, api.ClientsPath, q)
}

// Rejected lists what was left out.
func (c *Client) Rejected(ctx context.Context, q url.Values) ([]api.Rejection, error) {
	return list[api.Rejection](ctx, c, api.RejectedPath, q)
}

// Canaries lists the canary documents.
func (c *Client) Canaries(ctx context.Context, q url.Values) ([]api.Canary, error) {
	return list[api.Canary](ctx, c, api.CanariesPath, q)
}

// Preview tells what the documents in a file's text would change. The file is its path, by which its team is known. A *ProblemError may list their faults.
func (c *Client) Preview(ctx context.Context, file string, text []byte) (api.Preview, error) {
	var out api.Preview
	err := c.send(ctx, http.MethodPost, api.PreviewPath, url.Values{"file": {file}}, text, &out)
	return out, err
}

// Forget has the bridge forget a document that it keeps though its file has vanished; team is whose it is, "" if only one has that name.
func (c *Client) Forget(ctx context.Context, team, name string) (api.Forgotten, error) {
	var out api.Forgotten
	q := url.Values{}
	if team != "" {
		q.Set("team", team)
	}
	err := c.send(ctx, http.MethodDelete, api.CanaryPath(name), q, nil, &out)
	return out, err
}

// Service tells all of one service.
func (c *Client) Service(ctx context.Context, host string) (api.ServiceDetail, error) {
	var out api.ServiceDetail
	err := c.get(ctx, api.ServicesPath+"/"+url.PathEscape(host), nil, &out)
	return out, err
}

// Release lets go what the guard holds back in a source.
func (c *Client) Release(ctx context.Context, source string) (api.Release, error) {
	var out api.Release
	err := c.send(ctx, http.MethodPost, api.ReleasePath(source), nil, nil, &out)
	return out, err
}

// Ready reports whether the bridge's gate is open and, if not, what it waits for.
func (c *Client) Ready(ctx context.Context) (ready bool, missing []string, err error) {
	err = c.get(ctx, api.ReadyPath, nil, nil)
	if p := new(ProblemError); errors.As(err, &p) && p.Status == http.StatusServiceUnavailable {
		return false, p.Missing, nil
	}
	return err == nil, nil, err
}

// list reads all pages of a list.
func list[T any](ctx context.Context, c *Client, path string, q url.Values) ([]T, error) {
	query := url.Values{"limit": {"5000"}}
	if q.Get("object") == "true" {
		query.Set("limit", "500") // objects are large, and a page must be written within the server's time
	}
	for k, v := range q {
		query[k] = v
	}
	all := []T{}
	for {
		var page api.List[T]
		if err := c.get(ctx, path, query, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Continue == "" || q.Get("limit") != "" {
			return all, nil
		}
		query.Set("continue", page.Continue)
	}
}

// get reads one JSON answer into out, or, when out is nil, only whether there is one.
func (c *Client) get(ctx context.Context, path string, q url.Values, out any) error {
	return c.send(ctx, http.MethodGet, path, q, nil, out)
}

func (c *Client) send(ctx context.Context, method, path string, q url.Values, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := c.open(ctx, method, path, q, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	} else {
		err = json.NewDecoder(resp.Body).Decode(out)
	}
	if err != nil {
		return fmt.Errorf("read the answer of %s%s: %w", c.base, path, err)
	}
	return nil
}

// open sends a request with a body of YAML, if any. The caller closes the answer's body.
func (c *Client) open(ctx context.Context, method, path string, q url.Values, body []byte) (*http.Response, error) {
	target := c.base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.base, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/yaml")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &UnreachableError{Server: c.base, Err: err}
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	p := &ProblemError{Server: c.base, Path: path}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		err = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p.Problem)
	}
	if err != nil || p.Status == 0 {
		p.Problem = api.Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode), Detail: "is this a meshbridge's admin address?"}
	}
	return nil, p
}

// UnreachableError says that a bridge did not answer.
type UnreachableError struct {
	Server string
	Err    error
}

func (e *UnreachableError) Unwrap() error { return e.Err }

func (e *UnreachableError) Error() string {
	err := e.Err
	if u := new(url.Error); errors.As(err, &u) {
		err = u.Err // without the method and URL, which Server tells shorter
	}
	remedy := "is the bridge running there? Start it with meshbridge run, or name another with --server"
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		remedy = "name the CA that signed its certificate with --ca-file"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		remedy = "ask it by a name of its certificate"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		remedy = "it speaks plain http: use --server http://…"
	case errors.Is(err, context.DeadlineExceeded):
		remedy = "it is overloaded or something in between drops packets; its log may tell"
	case errors.Is(err, syscall.ECONNREFUSED):
		err = errors.New("connection refused")
	}
	return fmt.Sprintf("ask %s: %v; %s", e.Server, err, remedy)
}

// ProblemError is a refusal in the server's own words.
type ProblemError struct {
	Server, Path string
	api.Problem
}

func (e *ProblemError) Error() string {
	detail := e.Detail
	if e.Status == http.StatusUnauthorized {
		detail = "it wants a token: give the one of its admin.token with --token-file FILE or in MESHBRIDGE_TOKEN"
	}
	if e.Status == http.StatusNotFound {
		return detail
	}
	return fmt.Sprintf("ask %s%s: %d %s: %s", e.Server, e.Path, e.Status, e.Title, detail)
}
