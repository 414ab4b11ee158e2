package admintest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/mcpserver"
	"meshbridge/mcpserver/store"
)

// Canaries is what SetCanaries said last.
func (b *Bridge) Canaries() []convert.CanaryView {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.canaries)
}

// SetCanaries says which documents there are.
func (b *Bridge) SetCanaries(list ...convert.CanaryView) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.canaries = list
}

// Preview is what SetPreview said last, for every document, or what SetPreviewBy's function says.
func (b *Bridge) Preview(_ context.Context, entries []canary.Entry) (convert.CanaryPreview, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.previewBy != nil {
		return b.previewBy(entries), nil
	}
	return convert.CanaryPreview{Changes: slices.Clone(b.changes), Faults: b.refused}, nil
}

// ForgetCanary forgets a document of those that SetCanaries said, unless what it serves is what its file says.
func (b *Bridge) ForgetCanary(team, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.canaries, func(v convert.CanaryView) bool { return v.Name == name && v.Team == team })
	if i < 0 || b.canaries[i].State != convert.CanaryLastGood {
		return errors.New("its file has it: delete it there")
	}
	b.canaries = slices.Delete(slices.Clone(b.canaries), i, i+1)
	return nil
}

// SetRefused says why a document would not become active.
func (b *Bridge) SetRefused(document string, faults ...canary.Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = map[string][]canary.Fault{document: faults}
}

// SetPreview says what documents would change.
func (b *Bridge) SetPreview(changes ...convert.CanaryChange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changes = changes
}

// SetPreviewBy has a function say what documents would change.
func (b *Bridge) SetPreviewBy(f func([]canary.Entry) convert.CanaryPreview) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.previewBy = f
}

// parse takes a text for a document of that name; one with a colon has a fault.
func parse(file string, data []byte) []canary.Entry {
	name := strings.TrimSpace(string(data))
	e := canary.Entry{Name: name, File: file, Document: &canary.Document{Name: name}}
	if strings.Contains(name, ":") {
		e.Faults = []canary.Fault{{Path: "name", Text: file + ":1: " + name + " is no name"}}
	}
	return []canary.Entry{e}
}

// VirtualService is that of a host with one route, to a subset.
func VirtualService(t testing.TB, host, subset string) *store.Resource {
	t.Helper()
	return Resource(t, store.VirtualService, host, &networkingpb.VirtualService{
		Hosts: []string{host}, Http: []*networkingpb.HTTPRoute{{Name: "primary", Route: []*networkingpb.HTTPRouteDestination{
			{Destination: &networkingpb.Destination{Host: host, Subset: subset}},
		}}},
	})
}

// Canary is a document that is served at a host: with the header stage=canary requests go to v2, of the others weight percent.
func Canary(name, team, host string, weight int) convert.CanaryView {
	since := Now().Add(-time.Hour)
	return convert.CanaryView{
		Name: name, Team: team, File: "/etc/meshbridge/canaries/" + name + ".yaml", State: convert.CanaryServing, Served: "0f1e2d3c", Since: &since,
		Services: []convert.CanaryService{{
			Host: host, Namespace: "registries",
			Subsets: []convert.CanarySubset{
				{Name: "v1", Labels: map[string]string{"version": "v1"}, Endpoints: 2},
				{Name: "v2", Labels: map[string]string{"version": "v2"}, Endpoints: 1, Canary: true},
			},
			Routes: []convert.CanaryRoute{
				{Name: name + ".v2.header", Match: "stage=canary", Destinations: []convert.CanaryShare{{Subset: "v2", Weight: 100}}},
				{Name: name + ".primary", Destinations: shares(weight)},
			},
		}},
		Resources: []store.Key{{Kind: store.DestinationRule, Name: "registries/mb-" + host}, {Kind: store.VirtualService, Name: "registries/mb-" + host}},
	}
}

func shares(weight int) []convert.CanaryShare {
	all := []convert.CanaryShare{{Subset: "v1", Weight: 100 - weight}, {Subset: "v2", Weight: weight}}
	return slices.DeleteFunc(all, func(s convert.CanaryShare) bool { return s.Weight == 0 })
}

// WaitingFor is a client that is held back the VirtualService of a host.
func WaitingFor(host string) mcpserver.Client {
	c := Client("istiod-0.istio-system", "mesh.local:16010", "", 2)
	c.Kinds = append(c.Kinds, mcpserver.ClientKind{
		Kind: "VirtualService", TypeURL: "networking.istio.io/v1/VirtualService", HeldCount: 1,
		Held: []mcpserver.Held{{Name: "registries/mb-" + host, Reason: "what it needs has to settle: DestinationRule registries/mb-" + host}},
	})
	return c
}
