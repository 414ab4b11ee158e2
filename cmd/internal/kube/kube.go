// Package kube reads the DestinationRules and VirtualServices of a cluster from its Kubernetes API. Its invariant: it only
// asks, and what it does not know of an object it leaves out.
package kube

import (
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
	"time"

	"meshbridge/sources"
)

// Options says where the API is.
type Options struct {
	Server string // such as https://kubernetes.default.svc, or http://127.0.0.1:8001 of a kubectl proxy
	Token  sources.Secret
	Roots  *x509.CertPool // nil: the system's
}

// Objects are those that route requests.
type Objects struct {
	Rules  []Rule
	Routes []Route
}

// requestTimeout bounds one page of a list.
const requestTimeout = 30 * time.Second

// versions are those of the API group that clusters have, the newest first.
func versions() []string { return []string{"v1", "v1beta1"} }

// Read lists the objects of all namespaces.
func Read(ctx context.Context, opts Options) (Objects, error) {
	u, err := url.Parse(opts.Server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Objects{}, fmt.Errorf("%q is not http://host:port or https://host:port", opts.Server)
	}
	c := &client{base: strings.TrimSuffix(opts.Server, "/"), token: opts.Token, http: &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: opts.Roots, MinVersion: tls.VersionTLS12}},
		// A token follows no redirect to where it was not meant to go.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	defer c.http.CloseIdleConnections()
	var objects Objects
	rules, err := c.list(ctx, "destinationrules")
	if err != nil {
		return Objects{}, err
	}
	for _, raw := range rules {
		r, err := ParseRule(raw)
		if err != nil {
			return Objects{}, err
		}
		objects.Rules = append(objects.Rules, r)
	}
	routes, err := c.list(ctx, "virtualservices")
	if err != nil {
		return Objects{}, err
	}
	for _, raw := range routes {
		r, err := ParseRoute(raw)
		if err != nil {
			return Objects{}, err
		}
		objects.Routes = append(objects.Routes, r)
	}
	return objects, nil
}

type client struct {
	base  string
	token sources.Secret
	http  *http.Client
}

// errNotThere says that the cluster does not have a resource in a version.
var errNotThere = errors.New("not there")

// list reads all pages of a resource.
func (c *client) list(ctx context.Context, resource string) ([]json.RawMessage, error) {
	for _, version := range versions() {
		items, err := c.pages(ctx, "/apis/networking.istio.io/"+version+"/"+resource)
		if !errors.Is(err, errNotThere) {
			return items, err
		}
	}
	return nil, fmt.Errorf("ask %s: it has no %s.networking.istio.io: are Istio's CRDs installed there?", c.base, resource)
}

func (c *client) pages(ctx context.Context, path string) ([]json.RawMessage, error) {
	var items []json.RawMessage
	q := url.Values{"limit": {"500"}}
	for {
		var page struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []json.RawMessage `json:"items"`
		}
		if err := c.get(ctx, path+"?"+q.Encode(), &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.Metadata.Continue == "" {
			return items, nil
		}
		q.Set("continue", page.Metadata.Continue)
	}
}

func (c *client) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.base, err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the Kubernetes API: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
			return fmt.Errorf("read the answer of %s: %w", c.base, err)
		}
		return nil
	case http.StatusNotFound:
		return errNotThere
	}
	var status struct {
		Message string `json:"message"`
	}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what cannot be read tells nothing more
	if json.Unmarshal(raw, &status) != nil || status.Message == "" {
		status.Message = "it does not say why"
	}
	return fmt.Errorf("ask %s: %s: %s", c.base, resp.Status, status.Message)
}
