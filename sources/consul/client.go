package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/consul/api"
)

// Paths of the API that answer without an index.
const (
	pathDatacenters = "/v1/catalog/datacenters"
	pathToken       = "/v1/acl/token/self"
)

// Paths of lists.
const (
	pathServices = "/v1/catalog/services"
	pathNodes    = "/v1/catalog/nodes"
	pathChecks   = "/v1/health/state/any"
	pathNode     = "/v1/catalog/node-services/" // and a node
	pathService  = "/v1/health/service/"        // and a service
)

// workers bounds the requests under way besides blocking queries, of all datacenters together.
const workers = 8

// client asks an agent.
type client struct {
	api   *api.Client
	cfg   Config
	slots chan struct{}
}

func newClient(cfg Config, t transport) (*client, error) {
	base, err := cfg.base()
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	a, err := api.NewClient(&api.Config{
		Address: base.String(), Scheme: base.Scheme, HttpClient: &http.Client{Transport: ours{t, cfg}},
		Token: "unused", // so that the client looks for none in the environment; ours replaces it
	})
	if err != nil {
		return nil, err
	}
	return &client{api: a, cfg: cfg, slots: make(chan struct{}, workers)}, nil
}

// read asks the leader of a datacenter ("" is the agent's own) for what is there now.
func (c *client) read(ctx context.Context, dc, path, filter string, out any) (*api.QueryMeta, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	o := (&api.QueryOptions{Datacenter: dc, Filter: filter}).WithContext(bounded)
	meta, err := c.api.Raw().Query(path, out, o)
	return meta, c.fault(bounded, c.cfg.Timeout, path, err)
}

// block asks any server of a datacenter, and if it is asked with an index it answers when there is a later one, or when the
// time of a blocking query is over.
func (c *client) block(ctx context.Context, dc, path string, index uint64, out any) (*api.QueryMeta, error) {
	// The server adds up to a sixteenth of the time.
	limit := c.cfg.Wait + c.cfg.Wait/16 + c.cfg.Timeout
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o := (&api.QueryOptions{Datacenter: dc, AllowStale: true, WaitIndex: index, WaitTime: c.cfg.Wait}).WithContext(bounded)
	meta, err := c.api.Raw().Query(path, out, o)
	return meta, c.fault(bounded, limit, path, err)
}

// datacenters lists those that the agent knows, its own first.
func (c *client) datacenters(ctx context.Context) ([]string, error) {
	var names []string
	if _, err := c.read(ctx, "", pathDatacenters, "", &names); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("get " + pathDatacenters + ": no datacenter, not even the agent's own")
	}
	return names, nil
}

// fault says what a request was about and, where it is known, what to do.
func (c *client) fault(ctx context.Context, limit time.Duration, path string, err error) error {
	if err == nil {
		return nil
	}
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		err = wrapped.Err // the URL is named already
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no whole answer within %v", limit)
	}
	if s := new(api.StatusError); errors.As(err, s) {
		err = c.refused(*s)
	}
	return fmt.Errorf("get %s: %w", path, err)
}
