package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"

	"google.golang.org/grpc"
)

// plainMethod is a stream that has nothing to it.
const plainMethod = "/bench.Plain/Stream"

// Plain is the role of a server of plain gRPC streams: what it takes to send the same bytes and do nothing else. Each
// stream first gets Full, then what Change sends to its shard.
type Plain struct {
	ctx context.Context

	// Guarded by mu.
	mu      sync.Mutex
	full    []byte
	message []byte
	streams map[int][]chan []byte // by shard
}

func newPlain(ctx context.Context) *Plain { return &Plain{ctx: ctx, streams: map[int][]chan []byte{}} }

// PlainBytes are what a plain server sends: so many bytes first, and then the message for each change.
type PlainBytes struct {
	Full    int64
	Message []byte
}

// Set says what is sent from now on.
func (p *Plain) Set(args PlainBytes, _ *Nothing) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full, p.message = make([]byte, args.Full), args.Message
	for i := range p.full {
		p.full[i] = byte(i)
	}
	return nil
}

// Serve listens and returns the address.
func (p *Plain) Serve(_ Nothing, address *string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Plain", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Stream", Handler: p.stream, ServerStreams: true, ClientStreams: true}},
	}, p)
	go server.Serve(listener) //nolint:errcheck // it ends with the process
	*address = listener.Addr().String()
	return nil
}

func (p *Plain) stream(_ any, stream grpc.ServerStream) error {
	var hello []byte
	if err := stream.RecvMsg(&hello); err != nil {
		return err
	}
	shard, err := strconv.Atoi(string(hello))
	if err != nil {
		return fmt.Errorf("the stream names no shard: %w", err)
	}
	messages := make(chan []byte, 1024)
	p.mu.Lock()
	p.streams[shard] = append(p.streams[shard], messages)
	full := p.full
	p.mu.Unlock()
	if err := stream.SendMsg(full); err != nil {
		return err
	}
	for {
		select {
		case m := <-messages:
			if err := stream.SendMsg(m); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

// Change sends the message to the streams of one shard after another, at the pace.
func (p *Plain) Change(pace Pace, reply *Paced) error {
	result, err := pace.run(func(n int) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, messages := range p.streams[n%len(p.streams)] {
			messages <- p.message
		}
		return nil
	})
	*reply = result
	return err
}
