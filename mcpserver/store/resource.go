package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	mcppb "istio.io/api/mcp/v1alpha1"
)

// RevisionLabel binds a resource to the istiods of one revision.
const RevisionLabel = "istio.io/rev"

// ResourceType is the type URL of the message that wraps each configuration in a response.
const ResourceType = "type.googleapis.com/istio.mcp.v1alpha1.Resource"

// Key names a resource.
type Key struct {
	Kind Kind
	Name string // namespace/name
}

// Meta is what is known of a resource beside its spec.
type Meta struct {
	Key
	Host        string            // the host whose slot, and so whose shard, it lives in
	Labels      map[string]string // RevisionLabel among them decides who receives it
	Annotations map[string]string
	Created     time.Time // in whole seconds; stable, and equal on every replica
	Sources     []string  // the names of the sources that it comes from, sorted; for views
	Gate        Gate      // when a client may receive this; not part of the Version
	Successor   string    // the host with which another resource of this Key lives that takes its place; not part of the Version
	Changed     time.Time // when the registry event was seen that led to this version; not part of the Version
}

// Gate says which states a client must have acknowledged before it may receive a resource; it has nothing to do with the gate of
// readiness. A VirtualService waits until the
// client has acknowledged, settle ago, states of ServiceEntry and DestinationRule that are no older; a ServiceEntry waits until
// the client has acknowledged such a state of DestinationRule. The zero Gate is open.
type Gate struct {
	Generation uint64    // of the first state of the store that has all that the resource refers to, as all later ones have
	Since      time.Time // when the store came to have it
}

// Resource is one configuration object, immutable and encoded once.
type Resource struct {
	Meta
	Version string // hash of spec, labels, annotations and Created

	revision string // of Labels; asked for every resource of every walk
	entry    []byte // field 2 of a DiscoveryResponse: tag, length, Any{ResourceType, mcp Resource}
}

// New encodes a resource. Version and bytes depend on the spec, the name, labels, annotations and Created alone.
func New(meta Meta, spec proto.Message) (*Resource, error) {
	body, err := marshalAny(spec)
	if err != nil {
		return nil, fmt.Errorf("encode the spec of %s %s: %w", meta.Kind, meta.Name, err)
	}
	msg := &mcppb.Resource{
		Metadata: &mcppb.Metadata{
			Name:        meta.Name,
			Labels:      meta.Labels,
			Annotations: meta.Annotations,
			CreateTime:  timestamppb.New(meta.Created),
		},
		Body: body,
	}
	raw, err := deterministic.Marshal(msg)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", meta.Kind, meta.Name, err)
	}
	sum := sha256.Sum256(raw)
	version := hex.EncodeToString(sum[:8])
	msg.Metadata.Version = version
	if raw, err = deterministic.Marshal(msg); err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", meta.Kind, meta.Name, err)
	}
	return &Resource{Meta: meta, Version: version, revision: meta.Labels[RevisionLabel], entry: entry(raw)}, nil
}

var deterministic = proto.MarshalOptions{Deterministic: true}

func marshalAny(spec proto.Message) (*anypb.Any, error) {
	raw, err := deterministic.Marshal(spec)
	if err != nil {
		return nil, err
	}
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(spec.ProtoReflect().Descriptor().FullName()), Value: raw}, nil
}

// entry wraps an encoded mcp Resource as field 2 of a DiscoveryResponse. Field 2 of a delta discovery Resource is the same
// bytes, so both protocols share them.
func entry(raw []byte) []byte {
	anySize := protowire.SizeTag(1) + protowire.SizeBytes(len(ResourceType)) + protowire.SizeTag(2) + protowire.SizeBytes(len(raw))
	b := make([]byte, 0, protowire.SizeTag(2)+protowire.SizeBytes(anySize))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(anySize))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendString(b, ResourceType)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendBytes(b, raw)
}

// Entry is the resource as field 2, `resources`, of an encoded DiscoveryResponse, with its tag. The same bytes are field 2,
// `resource`, of an encoded delta discovery Resource. The caller must not change them.
func (r *Resource) Entry() []byte { return r.entry }

// Succeeded is the resource with a Successor; the bytes are shared.
func (r *Resource) Succeeded(by string) *Resource {
	if r.Successor == by {
		return r
	}
	next := *r
	next.Successor = by
	return &next
}

// Revision is the Istio revision that the resource is bound to, or "".
func (r *Resource) Revision() string { return r.revision }

// Message decodes the resource as it goes on the wire, for those who show or judge it.
func (r *Resource) Message() (*mcppb.Resource, error) {
	var wrapped anypb.Any
	_, _, n := protowire.ConsumeTag(r.entry)
	raw, m := protowire.ConsumeBytes(r.entry[n:])
	if m < 0 {
		return nil, fmt.Errorf("decode %s %s: %w", r.Kind, r.Name, protowire.ParseError(m))
	}
	if err := proto.Unmarshal(raw, &wrapped); err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", r.Kind, r.Name, err)
	}
	msg := new(mcppb.Resource)
	if err := wrapped.UnmarshalTo(msg); err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", r.Kind, r.Name, err)
	}
	return msg, nil
}

// Spec decodes what the resource says, as a message of its kind.
func (r *Resource) Spec() (proto.Message, error) {
	msg, err := r.Message()
	if err != nil {
		return nil, err
	}
	spec, err := msg.Body.UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("decode the spec of %s %s: %w", r.Kind, r.Name, err)
	}
	return spec, nil
}

// Slots is the number of parts into which hosts are divided, for shards and for VIPs.
const Slots = 4096

// Hash is the 64-bit hash of a host that decides its slot and its VIP: the first eight bytes, big-endian, of the SHA-256 of
// its lower-case name. It never changes; docs/vips.md has test vectors.
func Hash(host string) uint64 {
	sum := sha256.Sum256([]byte(host))
	return binary.BigEndian.Uint64(sum[:8])
}

// Slot is the part of the hosts, 0 to Slots-1, that a host belongs to: its Hash modulo Slots.
func Slot(host string) int { return int(Hash(host) % Slots) }
