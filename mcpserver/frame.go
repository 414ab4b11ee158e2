package mcpserver

import (
	"strconv"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"meshbridge/mcpserver/store"
)

// Field numbers of envoy.service.discovery.v3.
const (
	versionField = 1 // DiscoveryResponse.version_info, DeltaDiscoveryResponse.system_version_info, Resource.version
	entryField   = 2 // DiscoveryResponse.resources, DeltaDiscoveryResponse.resources
	nameField    = 3 // Resource.name
	typeField    = 4 // type_url of both responses
	nonceField   = 5 // nonce of both responses
	removedField = 6 // DeltaDiscoveryResponse.removed_resources
)

// frame is an encoded response. Its buffers are shared with other streams and with the store; nobody may write to them.
type frame struct {
	data      mem.BufferSlice
	bytes     int
	resources int // in it
	version   string
}

// encode makes the wire form of a response from the bytes that the resources hold already.
func encode(resp *Response, cache *bodies) *frame {
	switch {
	case resp.Foreign:
		return &frame{data: mem.BufferSlice{tail(resp, "")}, bytes: len(tail(resp, ""))}
	case resp.Delta:
		return encodeDelta(resp)
	}
	var b *body
	if resp.Shared() {
		b = cache.get(resp)
	} else {
		b = assemble(resp.Resources())
	}
	end := tail(resp, b.version)
	data := make(mem.BufferSlice, 0, len(b.entries)+1)
	data = append(append(data, b.entries...), end)
	return &frame{data: data, bytes: b.bytes + len(end), resources: b.resources, version: b.version}
}

// tail is all of a response but its resources.
func tail(resp *Response, version string) mem.SliceBuffer {
	b := make([]byte, 0, len(resp.TypeURL)+len(resp.Nonce)+len(version)+12)
	if version != "" {
		b = appendString(b, versionField, version)
	}
	b = appendString(b, typeField, resp.TypeURL)
	return appendString(b, nonceField, resp.Nonce)
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendString(b, s)
}

// encodeDelta wraps each entry with its name and version. What is added to the entries lies in one allocation.
func encodeDelta(resp *Response) *frame {
	f := &frame{version: strconv.FormatUint(resp.Snapshot.Generation, 10), resources: len(resp.Upserts)}
	size := 0
	for _, r := range resp.Upserts {
		size += 2*protowire.SizeVarint(1<<31) + protowire.SizeBytes(len(r.Version)) + protowire.SizeBytes(len(r.Name)) + 4
	}
	for _, name := range resp.Removed {
		size += 1 + protowire.SizeBytes(len(name))
	}
	arena := make([]byte, 0, size)
	f.data = make(mem.BufferSlice, 0, 3*len(resp.Upserts)+2)
	add := func(from int) { f.data = append(f.data, mem.SliceBuffer(arena[from:len(arena):len(arena)])) }
	for _, r := range resp.Upserts {
		from := len(arena)
		arena = appendResourceHead(arena, r)
		add(from)
		f.data = append(f.data, mem.SliceBuffer(r.Entry()))
		from = len(arena)
		arena = appendString(arena, nameField, r.Name)
		add(from)
	}
	from := len(arena)
	for _, name := range resp.Removed {
		arena = appendString(arena, removedField, name)
	}
	if len(arena) > from {
		add(from)
	}
	f.data = append(f.data, tail(resp, f.version))
	f.bytes = f.data.Len()
	return f
}

// appendResourceHead appends the tag and length of a delta Resource, and the version that comes before the entry in it.
func appendResourceHead(b []byte, r *store.Resource) []byte {
	size := protowire.SizeTag(versionField) + protowire.SizeBytes(len(r.Version)) + len(r.Entry()) +
		protowire.SizeTag(nameField) + protowire.SizeBytes(len(r.Name))
	b = protowire.AppendTag(b, entryField, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	return appendString(b, versionField, r.Version)
}
