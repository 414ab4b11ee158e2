package nacos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
)

const (
	// pageSize is how many services are asked for at once. Servers that cap it send shorter pages, which is no end.
	pageSize = 1000
	// A list whose pages do not agree is read again, this often.
	listTries = 4
)

// listed is a service as a list has it.
type listed struct {
	serviceID
	counted        bool // the list tells how many instances there are
	total, healthy int
}

// listing is what one look at a namespace's list brought.
type listing struct {
	services map[serviceID]listed
	// partial says that services may be missing, because the list changed at every look.
	partial bool
	// total is how many services there are, of all groups followed. Where services is nil, nothing but the total was looked at,
	// and it is what it was.
	total int
}

// lister asks a server for its lists. It remembers which API the server answers.
type lister struct {
	web    *web
	link   *link
	groups []string // nil for all
	api    atomic.Int32
}

// The values of lister.api: which generation's lists the server answers; 0 until one was.
const (
	oldAPI int32 = iota + 1
	newAPI
)

// errNoLists is why groups must be named.
var errNoLists = errors.New("the server does not list the services of all groups")

// list reads the list of a namespace. Of a list of several pages only the first is read where it agrees with what is
// known: total services, of which the last complete look was not long ago.
func (l *lister) list(ctx context.Context, id string, known int) (listing, error) {
	if l.groups != nil {
		return l.byGroup(ctx, id)
	}
	all := listing{services: map[serviceID]listed{}, total: -1, partial: true}
	for range listTries {
		got, stable, err := l.pages(ctx, id, known)
		if err != nil {
			return listing{}, err
		}
		if stable {
			return got, nil
		}
		maps.Copy(all.services, got.services)
	}
	return all, nil
}

// pages reads all pages once, and reports whether they agree: the pages are windows on a set without order, so a service
// that comes or goes meanwhile may hide another one.
func (l *lister) pages(ctx context.Context, id string, known int) (listing, bool, error) {
	got := listing{services: map[serviceID]listed{}}
	for page := 1; ; page++ {
		services, total, err := l.page(ctx, id, page)
		if err != nil {
			return listing{}, false, err
		}
		if page == 1 {
			if got.total = total; total == known && total > len(services) {
				return listing{total: total}, true, nil
			}
		}
		before := len(got.services)
		for _, s := range services {
			got.services[s.serviceID] = s
		}
		switch {
		case total != got.total:
			return got, false, nil
		case len(got.services) >= total:
			return got, len(got.services) == total, nil
		case len(services) == 0 || len(got.services) == before:
			return got, false, nil // the end came early, or a page came twice
		}
	}
}

// catalogEntry is a service as both APIs list it.
type catalogEntry struct {
	Name    string `json:"name"`
	Group   string `json:"groupName"`
	Total   int    `json:"ipCount"`
	Healthy int    `json:"healthyInstanceCount"`
}

// page reads one page of the list of all groups, from whichever API the server has.
func (l *lister) page(ctx context.Context, id string, page int) ([]listed, int, error) {
	query := url.Values{"namespaceId": {id}, "pageNo": {strconv.Itoa(page)}, "pageSize": {strconv.Itoa(pageSize)}}
	var refused error
	if l.api.Load() != oldAPI {
		var answer struct {
			Data *struct {
				Total int            `json:"totalCount"`
				Items []catalogEntry `json:"pageItems"`
			} `json:"data"`
		}
		query.Set("ignoreEmptyService", "false")
		query.Set("withInstances", "false")
		err := l.web.get(ctx, "/v3/admin/ns/service/list", query, &answer)
		if denied(err) && l.api.Load() != newAPI { // by a proxy before a Nacos 2?
			refused = err
		} else if !unknownPath(err) {
			if err != nil {
				return nil, 0, l.explain(err)
			}
			if answer.Data == nil {
				return nil, 0, errors.New("list services: the answer holds no data")
			}
			l.api.Store(newAPI)
			return entries(answer.Data.Items), answer.Data.Total, nil
		}
		if l.api.Load() == newAPI {
			return nil, 0, err
		}
		query.Del("ignoreEmptyService")
	}
	var answer struct {
		Total *int           `json:"count"`
		Items []catalogEntry `json:"serviceList"`
	}
	query.Set("hasIpCount", "false")
	query.Set("withInstances", "false")
	err := l.web.get(ctx, "/v1/ns/catalog/services", query, &answer)
	switch {
	case unknownPath(err) && refused != nil:
		return nil, 0, l.explain(refused)
	case unknownPath(err):
		return nil, 0, fmt.Errorf("%w: name them in groups (%w)", errNoLists, err)
	case err != nil:
		return nil, 0, l.explain(err)
	case answer.Total == nil:
		return nil, 0, errors.New("list services: the answer holds no count")
	}
	l.api.Store(oldAPI)
	return entries(answer.Items), *answer.Total, nil
}

func entries(items []catalogEntry) []listed {
	out := make([]listed, len(items))
	for i, e := range items {
		out[i] = listed{serviceID: serviceID{e.Group, e.Name}, counted: true, total: e.Total, healthy: e.Healthy}
	}
	return out
}

// explain adds to a refusal what to do about it.
func (l *lister) explain(err error) error {
	switch anonymous := l.web.auth.user == "" && l.web.auth.accessKey == ""; {
	case !denied(err):
		return err
	case anonymous && l.groups == nil: // a Nacos 3 guards this list even where it guards nothing else
		return fmt.Errorf("%w: the server wants to know who asks for the services of all groups: set username and password, or name the groups", err)
	case anonymous:
		return fmt.Errorf("%w: the server wants to know who asks: set username and password", err)
	}
	return fmt.Errorf("%w: the identity may not list the namespace: give it the right to read, or take the namespace out", err)
}

// byGroup reads the lists of the named groups over gRPC, which asks for no more than the right to read a group.
func (l *lister) byGroup(ctx context.Context, id string) (listing, error) {
	got := listing{services: map[serviceID]listed{}}
	for _, group := range l.groups {
		names, err := l.group(ctx, id, group)
		if err != nil {
			return listing{}, fmt.Errorf("group %s: %w", group, l.explain(err))
		}
		for _, name := range names {
			got.services[serviceID{group, name}] = listed{serviceID: serviceID{group, name}}
		}
	}
	got.total = len(got.services)
	return got, nil
}

func (l *lister) group(ctx context.Context, id, group string) ([]string, error) {
	for range listTries {
		seen, total := map[string]bool{}, 0
		for page := 1; ; page++ {
			var answer struct {
				Total *int     `json:"count"`
				Names []string `json:"serviceNames"`
			}
			request := map[string]any{"module": "naming", "namespace": id, "groupName": group, "serviceName": "", "pageNo": page, "pageSize": pageSize, "selector": ""}
			if err := l.link.call(ctx, "ServiceListRequest", request, serviceID{group: group}, &answer); err != nil {
				return nil, err
			}
			if answer.Total == nil {
				return nil, errors.New("list services: the answer holds no count")
			}
			if page == 1 {
				total = *answer.Total
			}
			before := len(seen)
			for _, name := range answer.Names {
				seen[name] = true
			}
			if *answer.Total != total || len(seen) >= total || len(seen) == before {
				break
			}
		}
		if len(seen) == total {
			names := make([]string, 0, total)
			for name := range seen {
				names = append(names, name)
			}
			slices.Sort(names)
			return names, nil
		}
	}
	return nil, errors.New("list services: the list changed at every look")
}

// namespaces lists the IDs of all namespaces of the server.
func (l *lister) namespaces(ctx context.Context) ([]string, error) {
	var answer struct {
		Data []struct {
			ID string `json:"namespace"`
		} `json:"data"`
	}
	var err error
	for _, path := range []string{"/v3/admin/core/namespace/list", "/v1/console/namespaces", "/v2/console/namespace/list"} {
		if err = l.web.get(ctx, path, nil, &answer); !unknownPath(err) {
			break
		}
	}
	switch {
	case denied(err):
		return nil, fmt.Errorf("list namespaces: %w: a Nacos 3 tells them to administrators only: name them in namespaces", err)
	case err != nil:
		return nil, fmt.Errorf("list namespaces: %w", err)
	case len(answer.Data) == 0:
		return nil, errors.New("list namespaces: the server named none, not even public")
	}
	var ids []string
	for _, n := range answer.Data {
		if n.ID == "" {
			n.ID = public
		}
		ids = append(ids, n.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
