package watch

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
	mcppb "istio.io/api/mcp/v1alpha1"
)

// The operations of an Event.
const (
	Added   = "added"
	Changed = "changed"
	Removed = "removed"
)

// Event is one resource that a server added, changed or removed.
type Event struct {
	Op       string
	TypeURL  string
	Name     string // namespace/name
	Old, New *mcppb.Resource
	Version  string // as the server numbers it
}

// held is a resource as the server last sent it.
type held struct {
	version string
	raw     []byte // the encoded mcp Resource
}

// state is what the server has told so far, by type URL and name. It outlives streams.
type state map[string]map[string]held

// faults are resources that could not be read; istiod treats them as missing.
type faults []string

// whole applies a response that holds everything of a type, and returns what that changes, sorted by name.
func (s state) whole(url string, resources []*anypb.Any) ([]Event, faults) {
	next := map[string]held{}
	var bad faults
	for i, res := range resources {
		name, h, err := read(res)
		if err != nil {
			bad = append(bad, fmt.Sprintf("resource %d: %v", i, err))
			continue
		}
		if _, twice := next[name]; twice {
			bad = append(bad, fmt.Sprintf("%s is in the response twice; the last one counts", name))
		}
		next[name] = h
	}
	old := s[url]
	s[url] = next
	return difference(url, old, next), bad
}

// part applies a delta response, and returns what that changes, sorted by name.
func (s state) part(url string, resources []*discoverypb.Resource, removed []string) ([]Event, faults) {
	old := s[url]
	next := maps.Clone(old)
	if next == nil {
		next = map[string]held{}
	}
	for _, name := range removed {
		delete(next, name)
	}
	var bad faults
	for i, res := range resources {
		name, h, err := read(res.GetResource())
		if err != nil {
			bad = append(bad, fmt.Sprintf("resource %d, %q: %v", i, res.GetName(), err))
			continue
		}
		if res.GetName() != "" {
			name = res.GetName()
		}
		if res.GetVersion() != "" {
			h.version = res.GetVersion()
		}
		next[name] = h
	}
	s[url] = next
	return difference(url, old, next), bad
}

// read unwraps a resource as istiod does.
func read(res *anypb.Any) (string, held, error) {
	msg := new(mcppb.Resource)
	if err := res.UnmarshalTo(msg); err != nil {
		return "", held{}, err
	}
	name := msg.GetMetadata().GetName()
	switch {
	case strings.Count(name, "/") != 1:
		return "", held{}, fmt.Errorf("the name %q is not namespace/name", name)
	case msg.GetBody() == nil:
		return "", held{}, fmt.Errorf("%s has no body", name)
	}
	return name, held{version: msg.GetMetadata().GetVersion(), raw: res.GetValue()}, nil
}

func (h held) message() *mcppb.Resource {
	msg := new(mcppb.Resource)
	// It was read before, so it can be read again.
	if err := (&anypb.Any{TypeUrl: "type.googleapis.com/istio.mcp.v1alpha1.Resource", Value: h.raw}).UnmarshalTo(msg); err != nil {
		return nil
	}
	return msg
}

// difference lists what turns one map into the other. A resource with another version but the same content counts as
// changed, since a client of the server sees it so; one whose bytes are equal does not.
func difference(url string, old, next map[string]held) []Event {
	var events []Event
	for name, h := range next {
		was, had := old[name]
		switch {
		case !had:
			events = append(events, Event{Op: Added, TypeURL: url, Name: name, New: h.message(), Version: h.version})
		case was.version != h.version || !bytes.Equal(was.raw, h.raw):
			events = append(events, Event{Op: Changed, TypeURL: url, Name: name, Old: was.message(), New: h.message(), Version: h.version})
		}
	}
	for name, h := range old {
		if _, has := next[name]; !has {
			events = append(events, Event{Op: Removed, TypeURL: url, Name: name, Old: h.message(), Version: h.version})
		}
	}
	slices.SortFunc(events, func(a, b Event) int { return strings.Compare(a.Name, b.Name) })
	return events
}

// versions tells a delta server what this client holds already, so that it need not send it again.
func (s state) versions(url string) map[string]string {
	out := map[string]string{}
	for name, h := range s[url] {
		out[name] = h.version
	}
	return out
}
