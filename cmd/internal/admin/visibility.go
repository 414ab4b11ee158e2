package admin

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/mcpserver/store"
)

// visibility is what of an object decides who sees it, and what it hides.
type visibility struct {
	exportTo []string
	policy   bool // a DestinationRule has a trafficPolicy
}

// visibilityOf reads it without decoding the rest: a ServiceEntry may have thousands of endpoints, and a list thousands of
// ServiceEntries.
func visibilityOf(r *store.Resource) (visibility, error) {
	var v visibility
	spec := specOf(r.Kind)
	if spec == nil {
		return v, nil
	}
	msg, err := r.Message()
	if err != nil {
		return v, err
	}
	fields := spec.ProtoReflect().Descriptor().Fields()
	exportTo, policy := fields.ByName("export_to"), fields.ByName("traffic_policy")
	for raw := msg.GetBody().GetValue(); len(raw) > 0; {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return v, fmt.Errorf("decode %s: %w", r.Name, protowire.ParseError(n))
		}
		raw = raw[n:]
		size := protowire.ConsumeFieldValue(number, kind, raw)
		if size < 0 {
			return v, fmt.Errorf("decode %s: %w", r.Name, protowire.ParseError(size))
		}
		switch {
		case is(exportTo, number):
			text, _ := protowire.ConsumeString(raw)
			v.exportTo = append(v.exportTo, text)
		case is(policy, number):
			v.policy = true
		}
		raw = raw[size:]
	}
	return v, nil
}

func is(field protoreflect.FieldDescriptor, number protowire.Number) bool {
	return field != nil && field.Number() == number
}

// specOf is an empty message of a kind, nil of others than those that are served.
func specOf(k store.Kind) proto.Message {
	switch k {
	case store.ServiceEntry:
		return new(networkingpb.ServiceEntry)
	case store.DestinationRule:
		return new(networkingpb.DestinationRule)
	case store.VirtualService:
		return new(networkingpb.VirtualService)
	}
	return nil
}
