package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"google.golang.org/protobuf/proto"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/object"
	"meshbridge/convert"
	"meshbridge/mcpserver/store"
)

func (s *Server) services(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	namespace, source := q.Get("namespace"), q.Get("source")
	list := slices.DeleteFunc(s.opts.Services.Services(), func(v convert.ServiceView) bool {
		return namespace != "" && v.Namespace != namespace || source != "" && !slices.Contains(v.Sources, source)
	})
	snap, _ := s.opts.Snapshots.Snapshot()
	writePage(w, r, list, func(v convert.ServiceView) string { return v.Host },
		func(v convert.ServiceView) (api.Service, error) { return serviceOf(v, resourcesOf(snap, v)), nil })
}

// resourcesOf finds what is served of a host. A resource that came or went since the view was made is left out.
func resourcesOf(snap *store.Snapshot, v convert.ServiceView) []*store.Resource {
	var list []*store.Resource
	for _, key := range v.Resources {
		if r := snap.Lookup(key, v.Host); r != nil {
			list = append(list, r)
		}
	}
	return list
}

// serviceOf tells of a service in the API's words.
func serviceOf(v convert.ServiceView, resources []*store.Resource) api.Service {
	out := api.Service{
		Host: v.Host, Namespace: v.Namespace, Services: []api.Ref{}, Sources: append([]string{}, v.Sources...),
		Addresses: []string{}, Ports: []api.Port{}, Endpoints: v.Endpoints, EmptySince: stamp(v.EmptySince),
		Subsets: append([]string{}, v.Subsets...), Slot: v.Slot, Resources: []string{},
	}
	for _, ref := range v.Refs {
		k := ref.Key
		out.Services = append(out.Services, api.Ref{Source: ref.Source, Scope: k.Scope, Namespace: k.Namespace, Group: k.Group, Name: k.Name, Version: k.Version})
	}
	for _, a := range v.Addresses {
		out.Addresses = append(out.Addresses, a.String())
	}
	for _, p := range v.Ports {
		out.Ports = append(out.Ports, api.Port{Number: p.Number, Name: p.Name, Protocol: p.Protocol})
	}
	for _, r := range resources {
		out.Resources = append(out.Resources, r.Kind.Kind+" "+r.Name)
		if out.Revision == "" {
			out.Revision = r.Revision()
		}
		if at := stamp(r.Changed); at != nil && (out.Changed == nil || at.After(*out.Changed)) {
			out.Changed = at
		}
	}
	return out
}

func (s *Server) service(w http.ResponseWriter, r *http.Request) {
	host := r.PathValue("host")
	view, ok := s.opts.Services.Service(host)
	if !ok {
		problem(w, http.StatusNotFound, "no service has the host "+host+"; "+api.ServicesPath+" lists those that there are, "+api.RejectedPath+" what was left out")
		return
	}
	snap, _ := s.opts.Snapshots.Snapshot()
	detail, err := detailOf(view, resourcesOf(snap, view))
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	for _, rej := range s.opts.Services.Rejected() {
		if rej.Host == view.Host {
			detail.Rejected = append(detail.Rejected, rej)
		}
	}
	answer(w, detail)
}

// detailOf adds the endpoints and the objects as they are served.
func detailOf(v convert.ServiceView, resources []*store.Resource) (api.ServiceDetail, error) {
	out := api.ServiceDetail{
		Service: serviceOf(v, resources), Backends: []api.Endpoint{}, Rejected: []api.Rejection{}, Objects: []json.RawMessage{},
	}
	for _, r := range resources {
		obj, err := object.Stored(r)
		if err != nil {
			return api.ServiceDetail{}, err
		}
		out.Objects = append(out.Objects, obj)
		if r.Kind != store.ServiceEntry {
			continue
		}
		se, err := entryOf(r)
		if err != nil {
			return api.ServiceDetail{}, err
		}
		for _, e := range se.GetEndpoints() {
			out.Backends = append(out.Backends, endpointOf(e))
		}
	}
	return out, nil
}

func entryOf(r *store.Resource) (*networkingpb.ServiceEntry, error) {
	msg, err := r.Message()
	if err != nil {
		return nil, err
	}
	se := new(networkingpb.ServiceEntry)
	if err := proto.Unmarshal(msg.GetBody().GetValue(), se); err != nil {
		return nil, fmt.Errorf("decode ServiceEntry %s: %w", r.Name, err)
	}
	return se, nil
}

func endpointOf(e *networkingpb.WorkloadEntry) api.Endpoint {
	ports := e.GetPorts()
	if ports == nil {
		ports = map[string]uint32{}
	}
	return api.Endpoint{
		Address: e.GetAddress(), Ports: ports, Labels: e.GetLabels(), Locality: e.GetLocality(),
		Network: e.GetNetwork(), Weight: e.GetWeight(),
	}
}
