package watch

import (
	"context"
	"fmt"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverygrpc "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// answer is one response of either protocol.
type answer struct {
	url     string
	version string
	nonce   string

	all     []*anypb.Any              // state of the world
	some    []*discoverygrpc.Resource // delta
	removed []string                  // delta
}

// stream speaks one of the two protocols.
type stream interface {
	subscribe(url string) error
	receive() (answer, error)
	ack(answer) error
}

// open starts a stream of the protocol that the options ask for.
func (w *watcher) open(ctx context.Context, conn grpc.ClientConnInterface) (stream, error) {
	client := discoverygrpc.NewAggregatedDiscoveryServiceClient(conn)
	if w.opts.Delta {
		s, err := client.DeltaAggregatedResources(ctx)
		if err != nil {
			return nil, err
		}
		return &delta{stream: s, node: w.node(), known: w.state.versions}, nil
	}
	s, err := client.StreamAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	return &sotw{stream: s, node: w.node()}, nil
}

// Workload is what this client calls itself in its node ID.
const Workload = "meshbridge-watch.default"

// node names this client in the form that istiod itself uses and, as a server, insists on.
func (w *watcher) node() *corepb.Node {
	fields := map[string]*structpb.Value{"GENERATOR": structpb.NewStringValue("api")}
	if w.opts.Revision != "" {
		fields["ISTIO_REVISION"] = structpb.NewStringValue(w.opts.Revision)
	}
	return &corepb.Node{
		Id:       "sidecar~127.0.0.1~" + Workload + "~default.svc.cluster.local",
		Metadata: &structpb.Struct{Fields: fields},
	}
}

// sotw is the state-of-the-world protocol.
type sotw struct {
	stream discoverygrpc.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	node   *corepb.Node
}

func (s *sotw) subscribe(url string) error {
	return s.stream.Send(&discoverygrpc.DiscoveryRequest{Node: s.node, TypeUrl: url})
}

func (s *sotw) receive() (answer, error) {
	resp, err := s.stream.Recv()
	if err != nil {
		return answer{}, err
	}
	return answer{url: resp.GetTypeUrl(), version: resp.GetVersionInfo(), nonce: resp.GetNonce(), all: resp.GetResources()}, nil
}

func (s *sotw) ack(a answer) error {
	return s.stream.Send(&discoverygrpc.DiscoveryRequest{Node: s.node, TypeUrl: a.url, VersionInfo: a.version, ResponseNonce: a.nonce})
}

// delta is the incremental protocol.
type delta struct {
	stream discoverygrpc.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	node   *corepb.Node
	known  func(url string) map[string]string
}

func (s *delta) subscribe(url string) error {
	return s.stream.Send(&discoverygrpc.DeltaDiscoveryRequest{
		Node: s.node, TypeUrl: url, ResourceNamesSubscribe: []string{"*"}, InitialResourceVersions: s.known(url),
	})
}

func (s *delta) receive() (answer, error) {
	resp, err := s.stream.Recv()
	if err != nil {
		return answer{}, err
	}
	return answer{url: resp.GetTypeUrl(), nonce: resp.GetNonce(), some: resp.GetResources(), removed: resp.GetRemovedResources()}, nil
}

func (s *delta) ack(a answer) error {
	return s.stream.Send(&discoverygrpc.DeltaDiscoveryRequest{Node: s.node, TypeUrl: a.url, ResponseNonce: a.nonce})
}

// apply brings an answer into the state.
func (w *watcher) apply(a answer) ([]Event, faults, error) {
	if !w.asked[a.url] {
		return nil, nil, fmt.Errorf("the server sent %q, which nobody asked for", a.url)
	}
	if w.opts.Delta {
		events, bad := w.state.part(a.url, a.some, a.removed)
		return events, bad, nil
	}
	events, bad := w.state.whole(a.url, a.all)
	return events, bad, nil
}
