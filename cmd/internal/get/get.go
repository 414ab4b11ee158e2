// Package get lists what running bridges tell, as tables, YAML or JSON, once or as it changes. Its invariant: rows come in
// the order of the API, and what does not change is printed once.
package get

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/client"
	"meshbridge/cmd/internal/object"
)

// Things lists what can be listed.
func Things() []string {
	return []string{"sources", "services", "resources", "clients", "rejected", "canaries"}
}

// Formats lists the forms of output.
func Formats() []string { return []string{"table", "wide", "yaml", "json"} }

// Options says what to list and how.
type Options struct {
	Thing   string           // one of Things
	Name    string           // of one item; "" for all
	Query   url.Values       // filters, in the API's own parameters
	Format  string           // one of Formats
	Clients []*client.Client // the bridges, at least one
	Watch   bool             // go on with what changes; of one bridge only

	Out, Err io.Writer
	Now      func() time.Time
	Interval time.Duration // with Watch: between looks at what the bridge sends no events of
}

// ErrNotFound says that nothing has the name.
var ErrNotFound = errors.New("not found")

// Run lists.
func Run(ctx context.Context, o Options) error {
	now := clock(o.Now)
	switch o.Thing {
	case "sources":
		return run(ctx, o, listing[api.Source]{
			list:   (*client.Client).Sources,
			name:   func(s api.Source) []string { return []string{s.Name} },
			key:    func(s api.Source) string { return s.Name },
			rows:   func(list []api.Source) [][]string { return rowsOf(sourceColumns(now), o.wide(), scopeRows(list)) },
			head:   head(sourceColumns(now), o.wide()),
			stable: quietSource,
		})
	case "services":
		return run(ctx, o, listing[api.Service]{
			list:   (*client.Client).Services,
			name:   func(s api.Service) []string { return []string{s.Host} },
			key:    func(s api.Service) string { return s.Host + "\x00" + s.Namespace },
			rows:   func(list []api.Service) [][]string { return rowsOf(serviceColumns(now), o.wide(), list) },
			head:   head(serviceColumns(now), o.wide()),
			of:     serviceOf,
			detail: func(ctx context.Context, c *client.Client, s api.Service) (any, error) { return c.Service(ctx, s.Host) },
		})
	case "resources":
		return run(ctx, o, listing[api.Resource]{
			list: (*client.Client).Resources,
			name: func(r api.Resource) []string { return []string{r.Name, r.Namespace + "/" + r.Name} },
			key:  func(r api.Resource) string { return r.Kind + "\x00" + r.Namespace + "/" + r.Name },
			rows: func(list []api.Resource) [][]string { return rowsOf(resourceColumns(now), o.wide(), list) },
			head: head(resourceColumns(now), o.wide()),
			of: func(_ context.Context, _ *client.Client, e api.Event) (api.Resource, bool, error) {
				return *e.Resource, e.Op != api.Removed, nil
			},
			object: func(r api.Resource) json.RawMessage { return r.Object },
		})
	case "clients":
		return run(ctx, o, listing[api.Client]{
			list: (*client.Client).Clients,
			name: func(c api.Client) []string { return []string{c.Node, ClientName(c.Node), c.Authority} },
			key:  func(c api.Client) string { return c.Node + "\x00" + c.Authority + "\x00" + c.Peer },
			rows: func(list []api.Client) [][]string { return rowsOf(clientColumns(now), o.wide(), list) },
			head: head(clientColumns(now), o.wide()),
		})
	case "rejected":
		return run(ctx, o, listing[api.Rejection]{
			list: (*client.Client).Rejected,
			name: func(r api.Rejection) []string { return []string{r.Service, r.Host, r.Instance} },
			key: func(r api.Rejection) string {
				return strings.Join([]string{r.Source, r.Service, r.Instance, r.Class, r.Reason}, "\x00")
			},
			rows: func(list []api.Rejection) [][]string { return rowsOf(rejectedColumns(), o.wide(), list) },
			head: head(rejectedColumns(), o.wide()),
		})
	case "canaries":
		return run(ctx, o, listing[api.Canary]{
			list:   (*client.Client).Canaries,
			name:   func(c api.Canary) []string { return []string{c.Name} },
			key:    func(c api.Canary) string { return c.Name + "\x00" + c.File },
			rows:   func(list []api.Canary) [][]string { return rowsOf(canaryColumns(now), o.wide(), list) },
			head:   head(canaryColumns(now), o.wide()),
			stable: quietCanary,
		})
	}
	return fmt.Errorf("%q is none of %s", o.Thing, strings.Join(Things(), ", "))
}

func (o Options) wide() bool { return o.Format == "wide" }

// listing is how one kind of thing is listed.
type listing[T any] struct {
	list func(*client.Client, context.Context, url.Values) ([]T, error)
	name func(T) []string // what an item may be called by
	key  func(T) string   // tells items apart
	rows func([]T) [][]string
	head []string
	// of turns an event into the item it is about, and reports false if the item has gone; nil where a bridge sends no events.
	of func(context.Context, *client.Client, api.Event) (T, bool, error)
	// detail asks for all that is known of the one item that was named, for YAML and JSON; nil: the item is all.
	detail func(context.Context, *client.Client, T) (any, error)
	stable func(T) T               // an item without what changes all the time; nil: nothing does
	object func(T) json.RawMessage // what YAML and JSON show instead of the item; nil: the item
}

func rowsOf[T any](columns []column[T], wide bool, list []T) [][]string {
	var rows [][]string
	for _, item := range list {
		rows = append(rows, cells(columns, wide, item))
	}
	return rows
}

func run[T any](ctx context.Context, o Options, l listing[T]) error {
	if o.Query == nil {
		o.Query = url.Values{}
	}
	if l.object != nil && !o.table() {
		o.Query.Set("object", "true")
	}
	if l.object != nil && o.Name != "" {
		o.Query.Set("name", o.Name) // so that the bridge need not tell all
	}
	if o.Watch {
		return follow(ctx, o, l)
	}
	var servers []string // of each item, where there are several
	items := []T{}
	for _, c := range o.Clients {
		list, err := l.items(ctx, c, o)
		if err != nil {
			return err
		}
		items = append(items, list...)
		if len(o.Clients) > 1 {
			servers = append(servers, slices.Repeat([]string{c.Server()}, len(l.rows(list)))...)
		}
	}
	if o.Name != "" && len(items) == 0 {
		return fmt.Errorf("%s %q: %w; meshbridge get %s lists what there is", o.Thing, o.Name, ErrNotFound, o.Thing)
	}
	if !o.table() {
		return l.encode(ctx, o, items)
	}
	rows := l.rows(items)
	if len(rows) == 0 {
		_, err := fmt.Fprintln(o.Err, nothing(o.Thing))
		return err
	}
	rows = append([][]string{l.head}, rows...)
	if len(o.Clients) > 1 {
		for i, server := range append([]string{"SERVER"}, servers...) {
			rows[i] = append([]string{server}, rows[i]...)
		}
	}
	return (&printer{out: o.Out}).print(rows)
}

func (o Options) table() bool { return o.Format == "table" || o.Format == "wide" || o.Format == "" }

// items lists what one bridge has of the name.
func (l listing[T]) items(ctx context.Context, c *client.Client, o Options) ([]T, error) {
	list, err := l.list(c, ctx, o.Query)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(item T) bool { return !l.named(item, o.Name) }), nil
}

func (l listing[T]) named(item T, name string) bool {
	return name == "" || slices.Contains(l.name(item), name)
}

// encode prints items as YAML or JSON: the objects themselves where there are any, so that kubectl can apply them.
func (l listing[T]) encode(ctx context.Context, o Options, items []T) error {
	var value any = items
	if l.object != nil {
		objects := make([]json.RawMessage, 0, len(items))
		for _, item := range items {
			objects = append(objects, l.object(item))
		}
		if o.Format == "yaml" {
			return write(o.Out)(object.YAML(objects))
		}
		value = map[string]any{"apiVersion": "v1", "kind": "List", "items": objects}
	} else if o.Name != "" && len(items) == 1 {
		value = items[0]
		if l.detail != nil && len(o.Clients) == 1 {
			var err error
			if value, err = l.detail(ctx, o.Clients[0], items[0]); err != nil {
				return err
			}
		}
	}
	if o.Format == "yaml" {
		return write(o.Out)(yaml.Marshal(value))
	}
	e := json.NewEncoder(o.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

func write(out io.Writer) func([]byte, error) error {
	return func(b []byte, err error) error {
		if err == nil {
			_, err = out.Write(b)
		}
		return err
	}
}

// quietSource is a source without what each report of a registry changes, whether anything is new in it or not.
func quietSource(s api.Source) api.Source {
	s.Scopes = slices.Clone(s.Scopes)
	for i := range s.Scopes {
		s.Scopes[i].LastReport, s.Scopes[i].Events = nil, 0
	}
	return s
}

// nothing says that a list is empty.
func nothing(thing string) string {
	switch thing {
	case "clients":
		return "no client is connected"
	case "rejected":
		return "nothing was left out"
	case "canaries":
		return "no canary documents"
	}
	return "no " + thing
}

// serviceOf asks for the service whose resource changed.
func serviceOf(ctx context.Context, c *client.Client, e api.Event) (api.Service, bool, error) {
	detail, err := c.Service(ctx, e.Resource.Host)
	if p := new(client.ProblemError); errors.As(err, &p) && p.Status == 404 {
		gone := api.Service{Host: e.Resource.Host, Namespace: e.Resource.Namespace, Sources: e.Resource.Sources, Slot: e.Resource.Slot}
		return gone, false, nil
	}
	return detail.Service, err == nil, err
}
