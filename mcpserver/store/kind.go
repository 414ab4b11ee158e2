package store

import "strings"

// Kind is a group and kind of configuration, without a version: istiod asks for networking.istio.io/v1alpha3/ServiceEntry
// before 1.24 and for networking.istio.io/v1/ServiceEntry since, and means the same.
type Kind struct{ Group, Kind string }

// The kinds that the bridge serves.
var (
	ServiceEntry    = Kind{"networking.istio.io", "ServiceEntry"}
	DestinationRule = Kind{"networking.istio.io", "DestinationRule"}
	VirtualService  = Kind{"networking.istio.io", "VirtualService"}
)

// Kinds lists the kinds that the bridge serves in the order in which a client must come to hold them: what a resource
// refers to comes before it. Removals go the other way round.
func Kinds() []Kind { return []Kind{ServiceEntry, DestinationRule, VirtualService} }

// KindOf reads an MCP type URL, group/version/kind, and reports false if it is none.
func KindOf(typeURL string) (Kind, bool) {
	group, rest, ok := strings.Cut(typeURL, "/")
	if !ok {
		return Kind{}, false
	}
	version, kind, ok := strings.Cut(rest, "/")
	if !ok || group == "" || version == "" || kind == "" || strings.Contains(kind, "/") {
		return Kind{}, false
	}
	return Kind{Group: group, Kind: kind}, true
}

func (k Kind) String() string { return k.Group + "/" + k.Kind }
