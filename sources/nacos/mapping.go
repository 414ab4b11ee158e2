package nacos

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// mappingGroup is the group of Nacos's configurations in which Dubbo 3 notes the applications of each interface.
const mappingGroup = "mapping"

// mapping is which applications offer an interface, as they say themselves.
type mapping struct {
	apps       map[string][]string // by interface
	interfaces map[string][]string // by application: apps turned round
	needed     bool                // there are applications with endpoints that no interface lists
	asked      bool                // the watcher knows
	known      bool                // it was read, or found unreadable, over this connection
	fault      error               // why it cannot be read
}

// set takes the mapping as read, and reports the interfaces that it changes.
func (m *mapping) set(apps map[string][]string) []string {
	var changed []string
	for name, list := range apps {
		if !slices.Equal(m.apps[name], list) {
			changed = append(changed, name)
		}
	}
	for name := range m.apps {
		if apps[name] == nil {
			changed = append(changed, name)
		}
	}
	m.apps, m.interfaces = apps, map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		for _, app := range apps[name] {
			m.interfaces[app] = append(m.interfaces[app], name)
		}
	}
	return changed
}

// configEntry is a configuration as both APIs list it; that of Nacos 3 leaves the content out.
type configEntry struct {
	DataID  string `json:"dataId"`
	Group   string `json:"groupName"`
	Old     string `json:"group"`
	MD5     string `json:"md5"`
	Content string `json:"content"`
}

type configPage struct {
	Total int           `json:"totalCount"`
	Items []configEntry `json:"pageItems"`
}

// noted is the content of one mapping entry that was read before.
type noted struct{ md5, content string }

// mapping reads which applications offer each interface. Contents that Nacos 3 does not list are asked for one by one,
// and again when they change; seen remembers them between calls.
func (l *lister) mapping(ctx context.Context, id string, seen map[string]noted) (map[string][]string, error) {
	entries, err := l.configs(ctx, id)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, e := range entries {
		content := e.Content
		if content == "" {
			old, found := seen[e.DataID]
			if !found || e.MD5 == "" || old.md5 != e.MD5 {
				if old.content, err = l.config(ctx, id, e.DataID); err != nil {
					return nil, err
				}
				old.md5 = e.MD5
				seen[e.DataID] = old
			}
			content = old.content
		}
		if apps := parseMapping(content); len(apps) > 0 {
			out[e.DataID] = apps
		}
	}
	return out, nil
}

// configs lists the mapping's entries. A page that comes twice is the end: a list that moves is read again soon anyway.
func (l *lister) configs(ctx context.Context, id string) ([]configEntry, error) {
	found := map[string]configEntry{}
	for page := 1; ; page++ {
		got, err := l.configPage(ctx, id, page)
		if err != nil {
			return nil, err
		}
		before := len(found)
		for _, e := range got.Items {
			if e.DataID != "" && (e.Group == mappingGroup || e.Old == mappingGroup) {
				found[e.DataID] = e
			}
		}
		if len(found) >= got.Total || len(found) == before {
			return slices.Collect(maps.Values(found)), nil
		}
	}
}

func (l *lister) configPage(ctx context.Context, id string, page int) (configPage, error) {
	query := url.Values{"dataId": {""}, "search": {"accurate"}, "pageNo": {strconv.Itoa(page)}, "pageSize": {"500"}}
	var answer struct {
		Data configPage `json:"data"`
	}
	query.Set("groupName", mappingGroup)
	query.Set("namespaceId", id)
	err := l.web.get(ctx, "/v3/admin/cs/config/list", query, &answer)
	if !unknownPath(err) {
		return answer.Data, err
	}
	if id == public {
		id = "" // as configurations of Nacos 2 call it
	}
	query.Set("group", mappingGroup)
	query.Set("tenant", id)
	var old configPage
	err = l.web.get(ctx, "/v1/cs/configs", query, &old)
	return old, err
}

// config reads one entry's content.
func (l *lister) config(ctx context.Context, id, name string) (string, error) {
	if id == public {
		id = ""
	}
	var answer struct {
		Content string `json:"content"`
	}
	request := map[string]any{"module": "config", "dataId": name, "group": mappingGroup, "tenant": id}
	err := l.link.call(ctx, "ConfigQueryRequest", request, serviceID{group: mappingGroup, name: name}, &answer)
	return answer.Content, err
}

// parseMapping reads a comma-separated list of applications.
func parseMapping(text string) []string {
	var apps []string
	for app := range strings.SplitSeq(text, ",") {
		if app = strings.TrimSpace(app); app != "" {
			apps = append(apps, app)
		}
	}
	slices.Sort(apps)
	return slices.Compact(apps)
}
