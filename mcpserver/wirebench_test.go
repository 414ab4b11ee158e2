package mcpserver

import (
	"net"
	"testing"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"meshbridge/mcpserver/store"
)

// counting is a client's codec that decodes nothing.
type counting struct{ codec }

type size struct{ bytes int }

func (counting) Unmarshal(data mem.BufferSlice, v any) error {
	v.(*size).bytes = data.Len()
	return nil
}

// plain serves the same bytes as one ready buffer: the limit.
type plain struct {
	discoverypb.UnimplementedAggregatedDiscoveryServiceServer
	data []byte
}

func (p *plain) StreamAggregatedResources(s discoverypb.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	return s.SendMsg(&frame{data: mem.BufferSlice{mem.SliceBuffer(p.data)}})
}

// The whole state of 10,000 services over a new connection, beside the same bytes over plain gRPC.
func BenchmarkFirstStateOverTheWire(b *testing.B) {
	s := filled(b, 10000)
	var ready []byte
	for r := range current(s).All(store.ServiceEntry, View{}.Shard) {
		ready = append(ready, r.Entry()...)
	}
	_, addr := serve(b, quick(), s, Options{})
	b.Run("meshbridge", func(b *testing.B) { fetch(b, addr) })
	b.Run("plain gRPC", func(b *testing.B) {
		server := grpc.NewServer(grpc.ForceServerCodecV2(codec{}))
		discoverypb.RegisterAggregatedDiscoveryServiceServer(server, &plain{data: ready})
		addr := listen(b, server.Serve)
		b.Cleanup(server.Stop)
		fetch(b, addr)
	})
}

func fetch(b *testing.B, addr string) {
	for range b.N {
		conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(1<<20),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30), grpc.ForceCodecV2(counting{})))
		if err != nil {
			b.Fatal(err)
		}
		stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := stream.Send(&discoverypb.DiscoveryRequest{TypeUrl: seURL, Node: &corepb.Node{Id: "n"}}); err != nil {
			b.Fatal(err)
		}
		var got size
		if err := stream.RecvMsg(&got); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(got.bytes))
		conn.Close()
	}
}

// listen serves a free port until the test ends.
func listen(b *testing.B, serve func(net.Listener) error) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- serve(ln) }()
	b.Cleanup(func() {
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return ln.Addr().String()
}
