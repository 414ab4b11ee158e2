package mcptest

import (
	"context"
	"fmt"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcpb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	mcppb "istio.io/api/mcp/v1alpha1"

	"meshbridge/mcpserver/store"
)

// Types are the type URLs that istiod asks for, in its order. version is that of the networking kinds: v1 since Istio 1.24,
// v1alpha3 before.
func Types(version string) []string {
	return []string{
		"core/v1alpha1/MeshConfig",
		"security.istio.io/v1/AuthorizationPolicy",
		"networking.istio.io/" + version + "/DestinationRule",
		"networking.istio.io/v1alpha3/EnvoyFilter",
		"networking.istio.io/" + version + "/Gateway",
		"security.istio.io/v1/PeerAuthentication",
		"networking.istio.io/v1beta1/ProxyConfig",
		"security.istio.io/v1/RequestAuthentication",
		"networking.istio.io/" + version + "/ServiceEntry",
		"networking.istio.io/" + version + "/Sidecar",
		"telemetry.istio.io/v1/Telemetry",
		"extensions.istio.io/v1alpha1/TrafficExtension",
		"networking.istio.io/" + version + "/VirtualService",
		"extensions.istio.io/v1alpha1/WasmPlugin",
		"networking.istio.io/" + version + "/WorkloadEntry",
		"networking.istio.io/" + version + "/WorkloadGroup",
	}
}

// wire is one stream of either protocol.
type wire interface {
	subscribe(url string, first bool, held map[string]string) error
	receive() (Response, error)
	answer(resp Response, refusal string) error
	reason() error // why the stream ended, after a send failed
}

func node(opts Options) *corepb.Node {
	fields := map[string]*structpb.Value{
		"GENERATOR":     structpb.NewStringValue("api"),
		"ISTIO_VERSION": structpb.NewStringValue("65536.65536.65536"),
	}
	if opts.Revision != "" {
		fields["ISTIO_REVISION"] = structpb.NewStringValue(opts.Revision)
	}
	return &corepb.Node{Id: opts.Node, Metadata: &structpb.Struct{Fields: fields}}
}

// junk is what an istiod that has run for a day sends as the nonce of its first requests.
func junk() string { return time.Now().Round(0).String() + " m=+86400.000000001" }

func refusalOf(message string) *rpcpb.Status {
	if message == "" {
		return nil
	}
	return &rpcpb.Status{Code: int32(codes.InvalidArgument), Message: message}
}

type sotw struct {
	stream discoverypb.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	node   *corepb.Node
}

func openSotW(ctx context.Context, conn *grpc.ClientConn, opts Options) (wire, error) {
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	return &sotw{stream: stream, node: node(opts)}, nil
}

func (w *sotw) subscribe(url string, first bool, _ map[string]string) error {
	req := &discoverypb.DiscoveryRequest{TypeUrl: url, ResponseNonce: junk()}
	if first {
		req.Node = w.node
	}
	return w.stream.Send(req)
}

func (w *sotw) receive() (Response, error) {
	msg, err := w.stream.Recv()
	if err != nil {
		return Response{}, err
	}
	resp := Response{TypeURL: msg.GetTypeUrl(), Version: msg.GetVersionInfo(), Nonce: msg.GetNonce(), Full: true}
	resp.Kind, _ = store.KindOf(resp.TypeURL)
	for _, a := range msg.GetResources() {
		if err := resp.add(a); err != nil {
			return Response{}, err
		}
	}
	return resp, nil
}

func (w *sotw) answer(resp Response, refusal string) error {
	return w.stream.Send(&discoverypb.DiscoveryRequest{
		Node: w.node, TypeUrl: resp.TypeURL, VersionInfo: resp.Version, ResponseNonce: resp.Nonce, ErrorDetail: refusalOf(refusal),
	})
}

func (w *sotw) reason() (err error) {
	for err == nil {
		_, err = w.stream.Recv()
	}
	return err
}

type delta struct {
	stream discoverypb.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	node   *corepb.Node
}

func openDelta(ctx context.Context, conn *grpc.ClientConn, opts Options) (wire, error) {
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return nil, fmt.Errorf("open a delta stream: %w", err)
	}
	return &delta{stream: stream, node: node(opts)}, nil
}

func (w *delta) subscribe(url string, first bool, held map[string]string) error {
	req := &discoverypb.DeltaDiscoveryRequest{TypeUrl: url, InitialResourceVersions: held}
	if first {
		req.Node = w.node
	}
	return w.stream.Send(req)
}

func (w *delta) receive() (Response, error) {
	msg, err := w.stream.Recv()
	if err != nil {
		return Response{}, err
	}
	resp := Response{TypeURL: msg.GetTypeUrl(), Version: msg.GetSystemVersionInfo(), Nonce: msg.GetNonce(), Removed: msg.GetRemovedResources()}
	resp.Kind, _ = store.KindOf(resp.TypeURL)
	for _, r := range msg.GetResources() {
		if err := resp.add(r.GetResource()); err != nil {
			return Response{}, err
		}
		got := resp.Resources[len(resp.Resources)-1].GetMetadata()
		if got.GetName() != r.GetName() || got.GetVersion() != r.GetVersion() {
			return Response{}, fmt.Errorf("%s %s at %s is wrapped as %s at %s", resp.TypeURL, got.GetName(), got.GetVersion(), r.GetName(), r.GetVersion())
		}
	}
	return resp, nil
}

func (w *delta) answer(resp Response, refusal string) error {
	return w.stream.Send(&discoverypb.DeltaDiscoveryRequest{TypeUrl: resp.TypeURL, ResponseNonce: resp.Nonce, ErrorDetail: refusalOf(refusal)})
}

func (w *delta) reason() (err error) {
	for err == nil {
		_, err = w.stream.Recv()
	}
	return err
}

// add decodes one resource.
func (r *Response) add(a *anypb.Any) error {
	if a.GetTypeUrl() != store.ResourceType {
		return fmt.Errorf("%s: a resource of type %q", r.TypeURL, a.GetTypeUrl())
	}
	msg := new(mcppb.Resource)
	if err := a.UnmarshalTo(msg); err != nil {
		return fmt.Errorf("%s: decode a resource: %w", r.TypeURL, err)
	}
	r.Resources = append(r.Resources, msg)
	r.Bytes += len(a.GetValue())
	return nil
}
