package mcpserver

import (
	"slices"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"meshbridge/mcpserver/store"
)

// Bounds of what one request may make a stream remember.
const (
	maxTypes   = 256  // type URLs of one stream
	maxTypeURL = 512  // bytes
	maxNode    = 1024 // bytes of a node ID, and of a revision
)

// Request is what a client said, in either protocol.
type Request struct {
	TypeURL     string
	Nonce       string
	Names       []string // asked for; empty or "*" is all
	Unsubscribe []string
	Initial     map[string]string // delta: versions that the client holds already, by name
	Error       string            // why the client refused the response of Nonce; "" if it did not
	Rejected    bool              // the client refused it
	Node        *Node             // who asks; nil when the request does not say
}

// Node is what a client says of itself.
type Node struct {
	ID       string
	Revision string // node metadata ISTIO_REVISION
	Version  string // node metadata ISTIO_VERSION
}

// SotWRequest reads a state-of-the-world request.
func SotWRequest(r *discoverypb.DiscoveryRequest) Request {
	req := Request{TypeURL: r.GetTypeUrl(), Nonce: r.GetResponseNonce(), Names: r.GetResourceNames()}
	if n := r.GetNode(); n != nil {
		fields := n.GetMetadata().GetFields()
		req.Node = &Node{ID: n.GetId(), Revision: fields["ISTIO_REVISION"].GetStringValue(), Version: fields["ISTIO_VERSION"].GetStringValue()}
	}
	if e := r.GetErrorDetail(); e != nil {
		req.Rejected, req.Error = true, e.GetMessage()
	}
	return req
}

// DeltaRequest reads an incremental request.
func DeltaRequest(r *discoverypb.DeltaDiscoveryRequest) Request {
	req := SotWRequest(&discoverypb.DiscoveryRequest{
		Node: r.GetNode(), TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetResponseNonce(),
		ResourceNames: r.GetResourceNamesSubscribe(), ErrorDetail: r.GetErrorDetail(),
	})
	req.Unsubscribe, req.Initial = r.GetResourceNamesUnsubscribe(), r.GetInitialResourceVersions()
	return req
}

// check returns an INVALID_ARGUMENT error for a request that no session can serve.
func (r Request) check() error {
	switch {
	case r.TypeURL == "":
		return status.Error(codes.InvalidArgument, "the request names no type_url")
	case len(r.TypeURL) > maxTypeURL:
		return status.Errorf(codes.InvalidArgument, "the type_url has %d bytes; at most %d are accepted", len(r.TypeURL), maxTypeURL)
	case len(r.Unsubscribe) > 0:
		return status.Errorf(codes.InvalidArgument, "%s: only the wildcard is served; resources cannot be unsubscribed by name", r.TypeURL)
	}
	for _, name := range r.Names {
		if name != "*" {
			return status.Errorf(codes.InvalidArgument, "%s: only the wildcard is served, %.100q was asked for; ask for no names or for \"*\"", r.TypeURL, name)
		}
	}
	return nil
}

// check returns an INVALID_ARGUMENT error for a node that cannot be served.
func (n *Node) check() error {
	switch {
	case n == nil || n.ID == "":
		return status.Error(codes.InvalidArgument, "the first request of the stream names no node.id")
	case len(n.ID) > maxNode || len(n.Revision) > maxNode || len(n.Version) > maxNode:
		return status.Errorf(codes.InvalidArgument, "node.id, ISTIO_REVISION and ISTIO_VERSION may have %d bytes each", maxNode)
	}
	return nil
}

// ours reports whether the bridge serves a kind.
func ours(kind store.Kind) bool { return slices.Contains(store.Kinds(), kind) }
