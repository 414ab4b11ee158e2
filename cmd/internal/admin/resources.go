package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/object"
	"meshbridge/mcpserver/store"
)

// filter picks resources. Its zero value picks all.
type filter struct {
	kind, namespace, source, name string
	objects                       bool // show the Istio object as well
}

func readFilter(q url.Values) (filter, error) {
	f := filter{namespace: q.Get("namespace"), source: q.Get("source"), name: q.Get("name")}
	if kind := q.Get("kind"); kind != "" {
		known := make([]string, 0, len(store.Kinds()))
		for _, k := range store.Kinds() {
			known = append(known, k.Kind)
			if strings.EqualFold(k.Kind, kind) {
				f.kind = k.Kind
			}
		}
		if f.kind == "" {
			return filter{}, fmt.Errorf("kind: %q is none of %s", kind, strings.Join(known, ", "))
		}
	}
	switch v := q.Get("object"); v {
	case "", "false":
	case "true":
		f.objects = true
	default:
		return filter{}, fmt.Errorf("object: %q is neither true nor false", v)
	}
	return f, nil
}

// has reports whether the filter picks a resource.
func (f filter) has(r *store.Resource) bool {
	if r == nil || f.kind != "" && r.Kind.Kind != f.kind {
		return false
	}
	namespace, name, _ := strings.Cut(r.Name, "/")
	switch {
	case f.namespace != "" && namespace != f.namespace,
		f.source != "" && !slices.Contains(r.Sources, f.source),
		f.name != "" && f.name != name && f.name != r.Name:
		return false
	}
	return true
}

func (s *Server) resources(w http.ResponseWriter, r *http.Request) {
	f, err := readFilter(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	snap, _ := s.opts.Snapshots.Snapshot()
	var list []*store.Resource
	for _, kind := range store.Kinds() {
		for res := range snap.All(kind, store.Shard{}) {
			if f.has(res) {
				list = append(list, res)
			}
		}
	}
	slices.SortFunc(list, func(a, b *store.Resource) int {
		if c := strings.Compare(a.Kind.Kind, b.Kind.Kind); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	writePage(w, r, list, func(r *store.Resource) string { return r.Kind.Kind + "\x00" + r.Name }, f.show)
}

// show tells of a resource in the API's words.
func (f filter) show(r *store.Resource) (api.Resource, error) {
	namespace, name, _ := strings.Cut(r.Name, "/")
	out := api.Resource{
		Kind: r.Kind.Kind, Namespace: namespace, Name: name, Version: r.Version, Host: r.Host, Revision: r.Revision(),
		Sources: append([]string{}, r.Sources...), Slot: store.Slot(r.Host), Changed: stamp(r.Changed),
		Created: stamp(r.Created),
	}
	seen, err := visibilityOf(r)
	if err != nil {
		return api.Resource{}, err
	}
	out.ExportTo, out.Policy = seen.exportTo, seen.policy
	if f.objects {
		obj, err := object.Stored(r)
		if err != nil {
			return api.Resource{}, err
		}
		out.Object = json.RawMessage(obj)
	}
	return out, nil
}
