package watch

import (
	"strings"
	"testing"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	mcppb "istio.io/api/mcp/v1alpha1"
	networkingpb "istio.io/api/networking/v1alpha3"
)

const entries = "networking.istio.io/v1/ServiceEntry"

// wrapped is a resource as a server sends it.
func wrapped(t *testing.T, name, version string, addresses ...string) *anypb.Any {
	t.Helper()
	se := &networkingpb.ServiceEntry{Hosts: []string{"a.mesh"}}
	for _, a := range addresses {
		se.Endpoints = append(se.Endpoints, &networkingpb.WorkloadEntry{Address: a})
	}
	body, err := anypb.New(se)
	if err != nil {
		t.Fatal(err)
	}
	out, err := anypb.New(&mcppb.Resource{Metadata: &mcppb.Metadata{Name: name, Version: version}, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// lines are events as Lines prints them.
func lines(t *testing.T, events []Event) []string {
	t.Helper()
	var out strings.Builder
	for _, e := range events {
		if err := (Lines{Out: &out}).Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if out.Len() == 0 {
		return nil
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

func TestAWholeStateTellsWhatDiffersFromTheOneBefore(t *testing.T) {
	s := state{}
	s.whole(entries, []*anypb.Any{wrapped(t, "n/a", "1", "10.0.0.1"), wrapped(t, "n/b", "1"), wrapped(t, "n/c", "1")})
	events, bad := s.whole(entries, []*anypb.Any{wrapped(t, "n/d", "1"), wrapped(t, "n/a", "2", "10.0.0.2", "10.0.0.3"), wrapped(t, "n/b", "1")})
	want := []string{
		"changed  ServiceEntry        n/a  endpoints=2(+2,-1) version=2",
		"removed  ServiceEntry        n/c",
		"added    ServiceEntry        n/d  endpoints=0 version=1",
	}
	if diff := cmp.Diff(want, lines(t, events)); diff != "" || len(bad) > 0 {
		t.Error(diff, bad)
	}
}

func TestADeltaTellsWhatItChangesAndNotWhatItRepeats(t *testing.T) {
	s := state{}
	delta := func(name, version string, addresses ...string) *discoverypb.Resource {
		return &discoverypb.Resource{Name: name, Resource: wrapped(t, name, version, addresses...)}
	}
	s.part(entries, []*discoverypb.Resource{delta("n/a", "1"), delta("n/b", "1"), delta("n/c", "1")}, nil)
	events, bad := s.part(entries, []*discoverypb.Resource{delta("n/a", "1"), delta("n/b", "2")}, []string{"n/c", "n/never"})
	want := []string{"changed  ServiceEntry        n/b  endpoints=0(+0,-0) version=2", "removed  ServiceEntry        n/c"}
	if diff := cmp.Diff(want, lines(t, events)); diff != "" || len(bad) > 0 {
		t.Error(diff, bad)
	}
	if diff := cmp.Diff(map[string]string{"n/a": "1", "n/b": "2"}, s.versions(entries)); diff != "" {
		t.Errorf("what a new stream says that it holds: %s", diff)
	}
}

func TestWhatIstiodWouldDropIsToldAndMissing(t *testing.T) {
	for name, res := range map[string]*anypb.Any{
		"not namespace/name": wrapped(t, "lonely", "1"),
		"has no body":        mustAny(t, &mcppb.Resource{Metadata: &mcppb.Metadata{Name: "n/x"}}),
		"mismatched message": mustAny(t, &networkingpb.ServiceEntry{}),
	} {
		s := state{}
		s.whole(entries, []*anypb.Any{wrapped(t, "n/x", "1")})
		events, bad := s.whole(entries, []*anypb.Any{res, wrapped(t, "n/y", "1")})
		if len(bad) != 1 || !strings.Contains(bad[0], name) {
			t.Errorf("faults %q, want one with %q", bad, name)
		}
		if len(events) != 2 || events[0].Op != Removed || events[1].Name != "n/y" {
			t.Errorf("%s: events %+v", name, events)
		}
	}
}

func mustAny(t *testing.T, msg proto.Message) *anypb.Any {
	t.Helper()
	out, err := anypb.New(msg)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestKindsAreNamedShortOrInFull(t *testing.T) {
	got, err := TypeURLs([]string{"serviceentry", "networking.istio.io/v1alpha3/Gateway"})
	if diff := cmp.Diff([]string{entries, "networking.istio.io/v1alpha3/Gateway"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := TypeURLs([]string{"Service"}); err == nil || !strings.Contains(err.Error(), "VirtualService") {
		t.Errorf("error %v", err)
	}
	if all, err := TypeURLs(nil); err != nil || len(all) != len(KindNames()) {
		t.Errorf("%d kinds of none, %v", len(all), err)
	}
}

func TestJSONShowsTheObjectAsKubectlWould(t *testing.T) {
	var out strings.Builder
	s := state{}
	events, _ := s.whole(entries, []*anypb.Any{wrapped(t, "n/a", "1", "10.0.0.1")})
	if err := (JSON{Out: &out}).Event(events[0]); err != nil {
		t.Fatal(err)
	}
	const want = `{"op":"added","typeUrl":"networking.istio.io/v1/ServiceEntry","name":"n/a","version":"1","object":{"apiVersion":"networking.istio.io/v1","kind":"ServiceEntry","metadata":{"name":"a","namespace":"n"},"spec":{"endpoints":[{"address":"10.0.0.1"}],"hosts":["a.mesh"]}}}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
