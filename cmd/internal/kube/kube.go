// Package kube reads the DestinationRules, VirtualServices, ServiceEntries and Services of a cluster from its Kubernetes API. Its invariant: it only
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

// Objects are those that route requests, and what has hosts.
type Objects struct {
	Rules    []Rule
	Routes   []Route
	Entries  []Entry
	Services []Service
}

// requestTimeout bounds one page of a list.
const requestTimeout = 30 * time.Second

// versions are those of the API group that clusters have, the newest first.
func versions() []string { return []string{"v1", "v1beta1"} }

// Read lists the objects of all namespaces. Where only ServiceEntries or Services cannot be listed it returns the others, and the
// error that says why.
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
	var o Objects
	if o.Rules, err = read(ctx, c.istio("destinationrules"), ParseRule); err != nil {
		return Objects{}, err
	}
	if o.Routes, err = read(ctx, c.istio("virtualservices"), ParseRoute); err != nil {
		return Objects{}, err
	}
	var unread, unknown error
	o.Entries, unread = read(ctx, c.istio("serviceentries"), ParseEntry)
	o.Services, unknown = read(ctx, func(ctx context.Context) ([]json.RawMessage, error) { return c.pages(ctx, "/api/v1/services") }, ParseService)
	return o, errors.Join(unread, unknown)
}

// read lists objects and reads each.
func read[T any](ctx context.Context, list func(context.Context) ([]json.RawMessage, error), parse func(json.RawMessage) (T, error)) ([]T, error) {
	items, err := list(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]T, 0, len(items))
	for _, raw := range items {
		one, err := parse(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

type client struct {
	base  string
	token sources.Secret
	http  *http.Client
}

// errNotThere says that the cluster does not have a resource in a version.
var errNotThere = errors.New("not there")

// istio lists all of a resource of Istio, in the version that the cluster has.
func (c *client) istio(resource string) func(context.Context) ([]json.RawMessage, error) {
	return func(ctx context.Context) ([]json.RawMessage, error) {
		for _, version := range versions() {
			items, err := c.pages(ctx, "/apis/networking.istio.io/"+version+"/"+resource)
			if !errors.Is(err, errNotThere) {
				return items, err
			}
		}
		return nil, fmt.Errorf("ask %s: it has no %s.networking.istio.io: are Istio's CRDs installed there?", c.base, resource)
	}
}

// pages reads all pages of a list.
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
		return fmt.Errorf("ask %s for %s: %w", c.base, req.URL.Path, errNotThere)
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
