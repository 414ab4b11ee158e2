package get

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/client"
)

// follower prints what is new, changed or gone since it last looked.
type follower[T any] struct {
	listing[T]
	o       Options
	client  *client.Client
	printer printer
	known   map[string]known[T] // what was printed, by key
}

// known is an item that was printed, and its encoding, by which a change is told.
type known[T any] struct {
	item    T
	encoded string
}

// follow prints the list, and then a row for each item that comes, changes or goes, until ctx ends. A lost bridge is asked
// again, and only what differs is printed.
func follow[T any](ctx context.Context, o Options, l listing[T]) error {
	f := &follower[T]{listing: l, o: o, client: o.Clients[0], printer: printer{out: o.Out, widths: []int{len(api.Removed)}}, known: map[string]known[T]{}}
	// The first look must succeed: what is wrong from the start does not mend itself.
	if err := f.look(ctx); err != nil {
		return err
	}
	ticker := time.NewTicker(o.Interval)
	defer ticker.Stop()
	healthy := true
	for {
		var err error
		if f.of != nil {
			err = f.listen(ctx)
		} else {
			err = f.look(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && healthy {
			fmt.Fprintf(o.Err, "%v; asking again every %v\n", err, o.Interval)
		}
		healthy = err == nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// listen follows the bridge's events until they end.
func (f *follower[T]) listen(ctx context.Context) error {
	q := map[string][]string{}
	for _, name := range []string{"kind", "namespace", "source", "object"} {
		if v, ok := f.o.Query[name]; ok {
			q[name] = v
		}
	}
	return f.client.Events(ctx, q, func(e api.Event) error {
		if e.Op == "" {
			return f.look(ctx)
		}
		item, there, err := f.of(ctx, f.client, e)
		if err != nil || !f.named(item, f.o.Name) {
			return err
		}
		return f.print(f.note(item, there))
	})
}

// change is an item and what happened to it.
type change[T any] struct {
	Op   string `json:"op"`
	Item T      `json:"item"`
}

// look lists everything, and prints what differs from what was printed.
func (f *follower[T]) look(ctx context.Context) error {
	items, err := f.items(ctx, f.client, f.o)
	if err != nil {
		return err
	}
	var changes []change[T]
	seen := map[string]bool{}
	for _, item := range items {
		seen[f.key(item)] = true
		changes = append(changes, f.note(item, true)...)
	}
	var gone []string
	for key := range f.known {
		if !seen[key] {
			gone = append(gone, key)
		}
	}
	slices.Sort(gone)
	for _, key := range gone {
		changes = append(changes, f.note(f.known[key].item, false)...)
	}
	return f.print(changes)
}

// note remembers an item, and returns what there is to say about it: nothing, if it is as it was.
func (f *follower[T]) note(item T, there bool) []change[T] {
	key := f.key(item)
	before, had := f.known[key]
	if !there {
		if !had {
			return nil
		}
		delete(f.known, key)
		return []change[T]{{api.Removed, before.item}}
	}
	// The items are made of JSON, so they go back to JSON.
	encoded, _ := json.Marshal(f.essence(item))
	if had && before.encoded == string(encoded) {
		return nil
	}
	f.known[key] = known[T]{item, string(encoded)}
	if had {
		return []change[T]{{api.Changed, item}}
	}
	return []change[T]{{api.Added, item}}
}

// essence is what of an item is worth a row when it changes.
func (f *follower[T]) essence(item T) T {
	if f.stable != nil {
		return f.stable(item)
	}
	return item
}

func (f *follower[T]) print(changes []change[T]) error {
	if !f.o.table() {
		for _, c := range changes {
			if err := f.document(c); err != nil {
				return err
			}
		}
		return nil
	}
	var rows [][]string
	if len(f.printer.widths) == 1 {
		rows = append(rows, append([]string{"EVENT"}, f.head...))
	}
	for _, c := range changes {
		for _, row := range f.rows([]T{c.Item}) {
			rows = append(rows, append([]string{c.Op}, row...))
		}
	}
	return f.printer.print(rows)
}

// document prints a change as one line of JSON or one document of YAML.
func (f *follower[T]) document(c change[T]) error {
	if f.o.Format == "json" {
		return json.NewEncoder(f.o.Out).Encode(c)
	}
	doc, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f.o.Out, "---\n%s", doc)
	return err
}
