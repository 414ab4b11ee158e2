package eureka

import (
	"encoding/binary"
	"maps"
	"slices"

	"meshbridge/sources"
)

// member is an instance as it is kept: what changes with every heartbeat left out, the rest packed into one string, so that
// members of equal bodies are reported alike.
type member struct {
	id      string
	status  status
	updated int64  // when the server last changed it, in milliseconds since 1970 by the server's clock
	body    string // of pack or packFault
}

// What the first byte of a body says.
const (
	isFault   = 1 << iota // a reason follows
	isHealthy             // an instance follows
	isEnabled             // an instance follows
)

// pack writes an instance in few bytes, without its ID; metadata in order.
func pack(i sources.Instance) string {
	var flags byte
	if i.Healthy {
		flags |= isHealthy
	}
	if i.Enabled {
		flags |= isEnabled
	}
	b := make([]byte, 0, 256)
	b = append(b, flags)
	b = appendText(b, i.Address)
	b = binary.AppendUvarint(b, uint64(len(i.Ports)))
	for _, p := range i.Ports {
		b = binary.AppendUvarint(appendText(b, p.Protocol), uint64(p.Number))
	}
	b = binary.AppendUvarint(b, uint64(i.Weight))
	b = appendText(b, i.Locality)
	b = binary.AppendUvarint(b, uint64(len(i.Metadata)))
	for _, key := range slices.Sorted(maps.Keys(i.Metadata)) {
		b = appendText(appendText(b, key), i.Metadata[key])
	}
	return string(b)
}

// packFault writes why a member is no instance that could be used.
func packFault(reason string) string { return string(rune(isFault)) + reason }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// unpack is the instance, or the reason why it is none. The texts of the instance are parts of the body.
func (m member) unpack() (i sources.Instance, reason string) {
	flags := m.body[0]
	if flags&isFault != 0 {
		return sources.Instance{}, m.body[1:]
	}
	u := unpacker(m.body[1:])
	i = sources.Instance{ID: m.id, Healthy: flags&isHealthy != 0, Enabled: flags&isEnabled != 0, Address: u.text()}
	i.Ports = make([]sources.Port, u.number())
	for at := range i.Ports {
		i.Ports[at].Protocol, i.Ports[at].Number = u.text(), uint32(u.number())
	}
	i.Weight, i.Locality = uint32(u.number()), u.text()
	if n := u.number(); n > 0 {
		i.Metadata = make(map[string]string, n)
		for range n {
			key := u.text()
			i.Metadata[key] = u.text()
		}
	}
	return i, ""
}

// endpoint is the part of the body that says where the instance is, empty for a member that is none.
func (m member) endpoint() string {
	if m.body[0]&isFault != 0 {
		return ""
	}
	u := unpacker(m.body[1:])
	u.text()
	for range u.number() {
		u.text()
		u.number()
	}
	return m.body[1 : len(m.body)-len(u)]
}

// unpacker is what is left of a body that pack wrote.
type unpacker string

func (u *unpacker) number() uint64 {
	var n uint64
	for shift := 0; ; shift += 7 {
		c := (*u)[0]
		*u = (*u)[1:]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
}

func (u *unpacker) text() string {
	n := u.number()
	s := string((*u)[:n])
	*u = (*u)[n:]
	return s
}
