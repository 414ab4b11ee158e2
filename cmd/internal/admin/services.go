package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/object"
	"meshbridge/mcpserver/store"
)

// service is what is served of one host in one namespace.
type service struct {
	host, namespace string
	parts           []*store.Resource // sorted by kind and name
}

func (s service) key() string { return s.host + "\x00" + s.namespace }

func (s *Server) services(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := filter{namespace: q.Get("namespace"), source: q.Get("source")}
	snap, _ := s.opts.Snapshots.Snapshot()
	writePage(w, r, servicesOf(snap, f), service.key, service.show)
}

// servicesOf groups the resources that the filter picks by host and namespace, sorted.
func servicesOf(snap *store.Snapshot, f filter) []service {
	type id struct{ host, namespace string }
	index := map[id]int{}
	var list []service
	for _, kind := range store.Kinds() {
		for res := range snap.All(kind, store.Shard{}) {
			if !f.has(res) {
				continue
			}
			namespace, _, _ := strings.Cut(res.Name, "/")
			k := id{res.Host, namespace}
			i, ok := index[k]
			if !ok {
				i = len(list)
				index[k] = i
				list = append(list, service{host: res.Host, namespace: namespace})
			}
			list[i].parts = append(list[i].parts, res)
		}
	}
	slices.SortFunc(list, func(a, b service) int { return strings.Compare(a.key(), b.key()) })
	for _, svc := range list {
		slices.SortFunc(svc.parts, func(a, b *store.Resource) int {
			return strings.Compare(a.Kind.Kind+a.Name, b.Kind.Kind+b.Name)
		})
	}
	return list
}

// entries decodes the service's ServiceEntries.
func (s service) entries() ([]*networkingpb.ServiceEntry, error) {
	var list []*networkingpb.ServiceEntry
	for _, part := range s.parts {
		if part.Kind != store.ServiceEntry {
			continue
		}
		msg, err := part.Message()
		if err != nil {
			return nil, err
		}
		se := new(networkingpb.ServiceEntry)
		if err := proto.Unmarshal(msg.GetBody().GetValue(), se); err != nil {
			return nil, fmt.Errorf("decode ServiceEntry %s: %w", part.Name, err)
		}
		list = append(list, se)
	}
	return list, nil
}

// show tells of a service in the API's words.
func (s service) show() (api.Service, error) {
	out := api.Service{
		Host: s.host, Namespace: s.namespace, Slot: store.Slot(s.host),
		Addresses: []string{}, Ports: []api.Port{}, Sources: []string{}, Resources: []string{},
	}
	for _, part := range s.parts {
		out.Resources = append(out.Resources, part.Kind.Kind+" "+part.Name)
		out.Sources = append(out.Sources, part.Sources...)
		if out.Revision == "" {
			out.Revision = part.Revision()
		}
		if at := stamp(part.Changed); at != nil && (out.Changed == nil || at.After(*out.Changed)) {
			out.Changed = at
		}
	}
	entries, err := s.entries()
	if err != nil {
		return api.Service{}, err
	}
	for _, se := range entries {
		out.Addresses = append(out.Addresses, se.GetAddresses()...)
		out.Endpoints += len(se.GetEndpoints())
		for _, p := range se.GetPorts() {
			out.Ports = append(out.Ports, api.Port{Number: p.GetNumber(), Name: p.GetName(), Protocol: p.GetProtocol()})
		}
	}
	out.Sources = unique(out.Sources)
	out.Addresses = unique(out.Addresses)
	slices.SortFunc(out.Ports, func(a, b api.Port) int { return int(a.Number) - int(b.Number) })
	return out, nil
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

func (s *Server) service(w http.ResponseWriter, r *http.Request) {
	host := strings.ToLower(r.PathValue("host"))
	snap, _ := s.opts.Snapshots.Snapshot()
	parts := partsOf(snap, host)
	rejected := s.rejections()
	rejected = slices.DeleteFunc(rejected, func(rej api.Rejection) bool { return rej.Host != host })
	if len(parts) == 0 && len(rejected) == 0 {
		problem(w, http.StatusNotFound, "no service "+host+" is served; "+api.ServicesPath+" lists those that are, "+api.RejectedPath+" what was left out")
		return
	}
	svc := service{host: host, parts: parts}
	if len(parts) > 0 {
		svc.namespace, _, _ = strings.Cut(parts[0].Name, "/")
	}
	detail, err := svc.detail()
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	detail.Rejected = append(detail.Rejected, rejected...)
	answer(w, detail)
}

// partsOf finds a host's resources. They all live in the host's slot.
func partsOf(snap *store.Snapshot, host string) []*store.Resource {
	var parts []*store.Resource
	shard := store.Shard{Index: store.Slot(host), Of: store.Slots}
	for _, kind := range store.Kinds() {
		for res := range snap.All(kind, shard) {
			if res.Host == host {
				parts = append(parts, res)
			}
		}
	}
	return parts
}

func (s service) detail() (api.ServiceDetail, error) {
	base, err := s.show()
	if err != nil {
		return api.ServiceDetail{}, err
	}
	out := api.ServiceDetail{Service: base, Backends: []api.Endpoint{}, Rejected: []api.Rejection{}, Objects: []json.RawMessage{}}
	entries, err := s.entries()
	if err != nil {
		return api.ServiceDetail{}, err
	}
	for _, se := range entries {
		for _, e := range se.GetEndpoints() {
			ports := e.GetPorts()
			if ports == nil {
				ports = map[string]uint32{}
			}
			out.Backends = append(out.Backends, api.Endpoint{
				Address: e.GetAddress(), Ports: ports, Labels: e.GetLabels(), Locality: e.GetLocality(),
				Network: e.GetNetwork(), Weight: e.GetWeight(),
			})
		}
	}
	for _, part := range s.parts {
		obj, err := object.Stored(part)
		if err != nil {
			return api.ServiceDetail{}, err
		}
		out.Objects = append(out.Objects, obj)
	}
	return out, nil
}
