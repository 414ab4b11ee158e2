package watch

import (
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	mcppb "istio.io/api/mcp/v1alpha1"
)

// FuzzAnswer feeds what a server may send as a resource: whatever it is, it is either told or counted as a fault.
func FuzzAnswer(f *testing.F) {
	for _, msg := range []*mcppb.Resource{
		{}, {Metadata: &mcppb.Metadata{Name: "n/a", Version: "1"}}, {Metadata: &mcppb.Metadata{Name: "n/a"}, Body: &anypb.Any{TypeUrl: "type.googleapis.com/istio.networking.v1alpha3.ServiceEntry", Value: []byte{0x0a, 0x01, 'a'}}},
		{Metadata: &mcppb.Metadata{Name: "n/a/b"}, Body: &anypb.Any{TypeUrl: "x"}},
	} {
		raw, err := proto.Marshal(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := state{}
		events, bad := s.whole(entries, []*anypb.Any{{TypeUrl: "type.googleapis.com/istio.mcp.v1alpha1.Resource", Value: raw}})
		if len(events)+len(bad) != 1 {
			t.Fatalf("%d events and %d faults of one resource", len(events), len(bad))
		}
		var out strings.Builder
		for _, e := range events {
			if strings.Count(e.Name, "/") != 1 {
				t.Errorf("name %q", e.Name)
			}
			if err := (Lines{Out: &out}).Event(e); err != nil || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("%v, printed %q", err, out.String())
			}
			if err := (JSON{Out: io.Discard}).Event(e); err != nil {
				t.Error(err)
			}
		}
	})
}
