package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
)

// Each makes a client of every address that the server's name resolves to, sorted: behind one name there may be several
// replicas. Each asks by the same name as c does.
func (c *Client) Each(ctx context.Context) ([]*Client, error) {
	u, err := url.Parse(c.base)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", c.base, err)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	hosts, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if err != nil {
		return nil, &UnreachableError{Server: c.base, Err: err}
	}
	slices.Sort(hosts)
	var each []*Client
	for _, host := range slices.Compact(hosts) {
		each = append(each, c.to(net.JoinHostPort(host, port)))
	}
	return each, nil
}

// to is the same client, connected to one address.
func (c *Client) to(address string) *Client {
	transport := c.http.Transport.(*http.Transport).Clone()
	dialer := &net.Dialer{}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	one := *c
	one.address = address
	one.http = &http.Client{Transport: transport, CheckRedirect: c.http.CheckRedirect}
	return &one
}

// Address is the host:port that the client connects to, "" if it has its name resolved anew each time.
func (c *Client) Address() string { return c.address }
