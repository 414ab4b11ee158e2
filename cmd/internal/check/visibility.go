package check

import (
	"fmt"
	"slices"

	"meshbridge/cmd/internal/api"
	"meshbridge/mcpserver/store"
)

// maxVisible is how many hosts every proxy may have to know before that is worth a thought (docs/sizing.md).
const maxVisible = 2000

// visibility counts the hosts that every proxy of the mesh is told of, unless a Sidecar object says otherwise.
func visibility(resources []api.Resource) Section {
	hosts := map[string]bool{}
	for _, r := range resources {
		if r.Kind == store.ServiceEntry.Kind && (len(r.ExportTo) == 0 || slices.Contains(r.ExportTo, "*")) {
			hosts[r.Host] = true
		}
	}
	s := Section{Name: "visibility", Fine: fmt.Sprintf("%s visible to all namespaces", count(len(hosts), "host"))}
	if len(hosts) > maxVisible {
		s.add(true, fmt.Sprintf("%d hosts are visible to all namespaces: without a Sidecar object every proxy holds them all", len(hosts)),
			"name in a Sidecar object the hosts that a namespace calls, or narrow exportTo (mesh.exportTo, overrides[].exportTo); docs/sizing.md has the numbers")
	}
	return s
}
