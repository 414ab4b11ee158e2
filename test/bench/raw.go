package main

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// raw hands bytes to gRPC and takes them from it as they are, so that neither client nor limit spends time on decoding.
type raw struct{}

// Name is that of the codec that the other side expects.
func (raw) Name() string { return "proto" }

// Marshal takes a []byte.
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is no bytes", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

// Unmarshal fills a *[]byte.
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is no pointer to bytes", v)
	}
	*b = data.Materialize()
	return nil
}

// bidi describes a stream in both directions.
var bidi = grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// envelope is a discovery response without its resources. DiscoveryResponse and DeltaDiscoveryResponse number these fields
// alike.
type envelope struct{ version, typeURL, nonce string }

func readEnvelope(message []byte) (envelope, error) {
	var e envelope
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return e, protowire.ParseError(n)
		}
		message = message[n:]
		if kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return e, protowire.ParseError(n)
			}
			message = message[n:]
			switch field {
			case 1:
				e.version = string(value)
			case 4:
				e.typeURL = string(value)
			case 5:
				e.nonce = string(value)
			}
			continue
		}
		if n = protowire.ConsumeFieldValue(field, kind, message); n < 0 {
			return e, protowire.ParseError(n)
		}
		message = message[n:]
	}
	return e, nil
}
