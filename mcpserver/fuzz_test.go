package mcpserver

import (
	"testing"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcpb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"meshbridge/mcpserver/store"
)

// What a client may send is split into messages by a length byte, so that one input is a whole conversation. Whatever it
// is, the session answers or errs, keeps one response of a kind in flight, and bounds what it remembers.
func FuzzSotWRequests(f *testing.F) {
	f.Add(messages(
		&discoverypb.DiscoveryRequest{Node: &corepb.Node{Id: "n"}, TypeUrl: "networking.istio.io/v1/ServiceEntry", ResponseNonce: "x"},
		&discoverypb.DiscoveryRequest{TypeUrl: "networking.istio.io/v1/ServiceEntry", ResponseNonce: "1"},
		&discoverypb.DiscoveryRequest{TypeUrl: "a/b/c"},
	))
	f.Add(messages(&discoverypb.DiscoveryRequest{Node: &corepb.Node{Id: "n", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		"ISTIO_REVISION": structpb.NewStringValue("canary")}}}, TypeUrl: "core/v1alpha1/MeshConfig"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzSession(t, data, false, func(raw []byte) (Request, error) {
			req := new(discoverypb.DiscoveryRequest)
			err := codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, req)
			return SotWRequest(req), err
		})
	})
}

func FuzzDeltaRequests(f *testing.F) {
	f.Add(messages(
		&discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: "n"}, TypeUrl: "networking.istio.io/v1/ServiceEntry",
			InitialResourceVersions: map[string]string{"ns/a": "1"}, ResourceNamesSubscribe: []string{"*"}},
		&discoverypb.DeltaDiscoveryRequest{TypeUrl: "networking.istio.io/v1/ServiceEntry", ResponseNonce: "1", ErrorDetail: &rpcpb.Status{Message: "no"}},
	))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzSession(t, data, true, func(raw []byte) (Request, error) {
			req := new(discoverypb.DeltaDiscoveryRequest)
			err := codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, req)
			return DeltaRequest(req), err
		})
	})
}

func messages(ms ...proto.Message) []byte {
	var out []byte
	for _, m := range ms {
		raw, err := proto.Marshal(m)
		if err != nil || len(raw) > 255 {
			panic("a seed is too long")
		}
		out = append(append(out, byte(len(raw))), raw...)
	}
	return out
}

func fuzzSession(t *testing.T, data []byte, delta bool, decode func([]byte) (Request, error)) {
	st := opened(t, 2)
	now := created
	s := NewSession(SessionConfig{Delta: delta, Settle: time.Second, Retain: time.Minute, Since: created}, current(st), now)
	cache := newBodies(func() time.Time { return now })
	for i := 0; len(data) > 0; i++ {
		n := min(int(data[0]), len(data)-1)
		raw := data[1 : 1+n]
		data = data[1+n:]
		req, err := decode(raw)
		if err != nil {
			return // gRPC ends the stream
		}
		res, err := s.Request(req, now)
		if err != nil {
			return
		}
		st.Apply(store.Change{Put: []*store.Resource{resource(t, store.ServiceEntry, "svc-1.mesh", string(rune('a'+i%26)))}})
		now = now.Add(time.Second)
		more := s.Update(current(st), now)
		for _, resp := range append(res.Responses, more.Responses...) {
			if f := encode(resp, cache); f.data.Len() != f.bytes {
				t.Errorf("a frame of %d bytes says it has %d", f.data.Len(), f.bytes)
			}
		}
		if len(res.Responses)+len(more.Responses) > len(store.Kinds())+1 {
			t.Errorf("%d responses to one request", len(res.Responses)+len(more.Responses))
		}
		if len(s.foreign) > maxTypes {
			t.Errorf("%d types are remembered", len(s.foreign))
		}
	}
}
