package mcpserver

import (
	"maps"
	"testing"

	"meshbridge/mcpserver/mcptest"
	"meshbridge/mcpserver/store"
)

// holds is the condition that an istiod holds exactly what a view sees now.
func holds(source Source, view View) func(mcptest.State) bool {
	return func(s mcptest.State) bool {
		for _, kind := range store.Kinds() {
			if !maps.Equal(s.Versions[kind], versions(current(source), kind, view)) {
				return false
			}
		}
		return true
	}
}

func TestAnIstiodHoldsTheStoreAndFollowsIt(t *testing.T) {
	for name, opts := range map[string]mcptest.Options{
		"state of the world": {}, "delta": {Delta: true}, "before 1.24": {Types: mcptest.Types("v1alpha3")},
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, 100)
			_, addr := serve(t, quick(), s, quickly(t))
			istiod := mcptest.Start(t, addr, opts)
			istiod.Wait(t, "the first state", holds(s, View{}))
			s.Apply(store.Change{
				Put:    []*store.Resource{resource(t, store.ServiceEntry, "svc-1.mesh", "1"), resource(t, store.DestinationRule, "svc-1.mesh", "1")},
				Remove: []store.Removal{removal(store.ServiceEntry, "svc-2.mesh")},
			})
			istiod.Wait(t, "the change", holds(s, View{}))
			s.Apply(store.Change{Remove: []store.Removal{removal(store.ServiceEntry, "svc-1.mesh"), removal(store.DestinationRule, "svc-1.mesh")}})
			istiod.Wait(t, "the removal", holds(s, View{}))
		})
	}
}
