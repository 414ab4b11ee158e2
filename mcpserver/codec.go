package mcpserver

import (
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// codec hands assembled frames to gRPC as they are; it is protobuf for everything else.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *frame:
		return m.data, nil
	case proto.Message:
		raw, err := proto.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("encode %T: %w", v, err)
		}
		return mem.BufferSlice{mem.SliceBuffer(raw)}, nil
	}
	return nil, fmt.Errorf("encode %T: no message", v)
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("decode into %T: no message", v)
	}
	if err := proto.Unmarshal(data.Materialize(), m); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
