package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// The type URLs that clients ask for.
const (
	serviceEntries   = "networking.istio.io/v1/ServiceEntry"
	destinationRules = "networking.istio.io/v1/DestinationRule"
	virtualServices  = "networking.istio.io/v1/VirtualService"
	loadAssignments  = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
)

// stream is one client's stream for one shard. It acknowledges whatever comes.
type stream struct {
	clients       *Clients
	args          Connect
	client, shard int
	pending       map[string]bool // types that have not been answered; owned by run
}

// types are what the client asks for.
func (s *stream) types() []string {
	switch {
	case s.args.Speaks == plain:
		return []string{plain}
	case s.args.Speaks == eds:
		return []string{loadAssignments}
	case s.args.NodeShard: // a LinearCache holds one type
		return []string{linearType}
	}
	return []string{serviceEntries, destinationRules, virtualServices}
}

func (s *stream) method() string {
	switch s.args.Speaks {
	case sotw:
		return discoverypb.AggregatedDiscoveryService_StreamAggregatedResources_FullMethodName
	case plain:
		return plainMethod
	}
	return discoverypb.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName
}

// start opens the stream and asks for everything.
func (s *stream) start(ctx context.Context, conn *grpc.ClientConn) (grpc.ClientStream, error) {
	raw, err := conn.NewStream(ctx, &bidi, s.method())
	if err != nil {
		return nil, err
	}
	if s.args.Speaks == plain {
		return raw, raw.SendMsg([]byte(strconv.Itoa(s.shard)))
	}
	for _, t := range s.types() {
		if err := s.ask(raw, envelope{typeURL: t}); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

// ask sends a request: the first of a type, or the ACK of a response.
func (s *stream) ask(raw grpc.ClientStream, e envelope) error {
	var request proto.Message
	if s.args.Speaks == sotw {
		request = &discoverypb.DiscoveryRequest{Node: s.node(), TypeUrl: e.typeURL, VersionInfo: e.version, ResponseNonce: e.nonce}
	} else {
		r := &discoverypb.DeltaDiscoveryRequest{Node: s.node(), TypeUrl: e.typeURL, ResponseNonce: e.nonce}
		if s.args.Speaks == eds && e.nonce == "" {
			r.ResourceNamesSubscribe = s.args.Clusters
		}
		request = r
	}
	b, err := proto.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode a request: %w", err)
	}
	return raw.SendMsg(b)
}

func (s *stream) node() *corepb.Node {
	switch {
	case s.args.NodeShard:
		return &corepb.Node{Id: strconv.Itoa(s.shard)}
	case s.args.Speaks != eds:
		return &corepb.Node{Id: fmt.Sprintf("sidecar~10.0.0.%d~client-%d.bench~bench.svc.cluster.local", s.client+1, s.client)}
	}
	metadata, err := structpb.NewStruct(map[string]any{
		"NAME": "probe", "NAMESPACE": "default", "CLUSTER_ID": "e2e", "MESH_ID": "cluster.local", "INSTANCE_IPS": "10.9.0.1", "ISTIO_VERSION": "1.24.0",
	})
	if err != nil {
		panic(fmt.Sprintf("node metadata: %v", err)) // a constant
	}
	return &corepb.Node{Id: "sidecar~10.9.0.1~probe.default~default.svc.cluster.local", Metadata: metadata}
}

// run receives until the stream ends.
func (s *stream) run(ctx context.Context, conn *grpc.ClientConn) error {
	raw, err := s.start(ctx, conn)
	if err != nil {
		return err
	}
	for {
		var message []byte
		if err := raw.RecvMsg(&message); err != nil {
			return err
		}
		at := time.Now().UnixNano()
		e := envelope{typeURL: plain}
		if s.args.Speaks != plain {
			if e, err = readEnvelope(message); err != nil {
				return fmt.Errorf("decode a response: %w", err)
			}
			if err := s.ask(raw, e); err != nil {
				return err
			}
		}
		s.take(message, e, at)
	}
}

// take notes a message and the changes in it that are new to the client.
func (s *stream) take(message []byte, e envelope, at int64) {
	var news []int
	tag := byte(inWorkloadEntry)
	if s.args.Speaks == eds {
		tag = inSocketAddress
	}
	if s.args.Speaks != plain {
		changes(message, tag, func(change int) { news = append(news, change) })
	}
	c := s.clients
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.tellLocked()
	first := s.pending[e.typeURL]
	for _, change := range news {
		id := [2]int{s.client, change}
		if !c.seen[id] {
			c.seen[id] = true
			if !first {
				c.got.Got = append(c.got.Got, Got{Change: change, Client: s.client, At: at})
			}
		}
	}
	if first {
		delete(s.pending, e.typeURL)
		c.waiting--
		c.first.Bytes += int64(len(message))
		return
	}
	c.got.Messages++
	c.got.Payload += int64(len(message))
	c.got.Sample = message
}
