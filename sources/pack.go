package sources

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// packed is a Service as the Mirror keeps it: a fifth of its size as Go values, and comparable. Its form: a format byte, the
// numbers of instances and of usable ones, the table of distinct strings, then the fields, strings as table indexes.
type packed []byte

const packFormat = 1

// pack encodes a service. Equal services have equal bytes; instances are brought into the order of their IDs.
func pack(s *Service) packed {
	byID := func(a, b Instance) int { return strings.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(s.Instances, byID) {
		slices.SortStableFunc(s.Instances, byID)
	}
	p := packer{index: map[string]uint64{}}
	p.key(s.Key)
	p.string(s.Datacenter)
	p.bool(s.Interface)
	p.ports(s.Ports)
	p.metadata(s.Metadata)
	usable := 0
	p.number(uint64(len(s.Instances)))
	for i := range s.Instances {
		p.instance(&s.Instances[i])
		if s.Instances[i].Usable() {
			usable++
		}
	}
	p.number(uint64(len(s.Skipped)))
	for _, f := range s.Skipped {
		p.string(f.Where)
		p.string(f.Reason)
	}
	head := []byte{packFormat}
	head = binary.AppendUvarint(head, uint64(len(s.Instances)))
	head = binary.AppendUvarint(head, uint64(usable))
	head = binary.AppendUvarint(head, uint64(len(p.table)))
	size := len(head) + len(p.fields)
	for _, t := range p.table {
		size += len(t) + binary.MaxVarintLen16
	}
	out := append(make([]byte, 0, size), head...)
	for _, t := range p.table {
		out = binary.AppendUvarint(out, uint64(len(t)))
		out = append(out, t...)
	}
	return slices.Clip(append(out, p.fields...))
}

// counts reads the numbers of instances and of usable ones without decoding the rest.
func (b packed) counts() (instances, usable int) {
	if len(b) == 0 {
		return 0, 0
	}
	n, width := binary.Uvarint(b[1:])
	u, _ := binary.Uvarint(b[1+width:])
	return int(n), int(u)
}

type packer struct {
	table  []string
	index  map[string]uint64
	fields []byte
}

func (p *packer) number(n uint64) { p.fields = binary.AppendUvarint(p.fields, n) }

func (p *packer) bool(b bool) {
	if b {
		p.number(1)
	} else {
		p.number(0)
	}
}

func (p *packer) string(s string) {
	i, ok := p.index[s]
	if !ok {
		i = uint64(len(p.table))
		p.index[s], p.table = i, append(p.table, s)
	}
	p.number(i)
}

func (p *packer) key(k Key) {
	for _, s := range []string{k.Scope, k.Namespace, k.Group, k.Name, k.Version} {
		p.string(s)
	}
}

func (p *packer) ports(ports []Port) {
	p.number(uint64(len(ports)))
	for _, port := range ports {
		p.string(port.Name)
		p.string(port.Protocol)
		p.number(uint64(port.Number))
	}
}

func (p *packer) metadata(m map[string]string) {
	p.number(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		p.string(k)
		p.string(m[k])
	}
}

func (p *packer) instance(i *Instance) {
	p.string(i.ID)
	p.string(i.Address)
	p.ports(i.Ports)
	p.metadata(i.Metadata)
	p.number(uint64(i.Weight))
	p.bool(i.Healthy)
	p.bool(i.Enabled)
	p.string(i.Locality)
}

var errPacked = errors.New("not a packed service")

// unpack decodes a service. All its strings share one copy of the bytes.
func unpack(b packed) (*Service, error) {
	if len(b) == 0 || b[0] != packFormat {
		return nil, fmt.Errorf("%w: unknown format", errPacked)
	}
	u := unpacker{rest: string(b[1:])}
	u.number()
	u.number()
	u.table = make([]string, u.length())
	for i := range u.table {
		u.table[i] = u.bytes()
	}
	s := &Service{Key: u.key(), Datacenter: u.string(), Interface: u.number() == 1, Ports: u.ports(), Metadata: u.metadata()}
	if n := u.length(); n > 0 {
		s.Instances = make([]Instance, n)
	}
	for i := range s.Instances {
		s.Instances[i] = u.instance()
	}
	if n := u.length(); n > 0 {
		s.Skipped = make([]Fault, n)
	}
	for i := range s.Skipped {
		s.Skipped[i] = Fault{Where: u.string(), Reason: u.string()}
	}
	if u.bad || u.rest != "" {
		return nil, errPacked
	}
	return s, nil
}

// unpacker reads fields until the bytes end or do not fit; then it is bad and yields zero values.
type unpacker struct {
	rest  string
	table []string
	bad   bool
}

func (u *unpacker) fail() {
	u.bad, u.rest = true, ""
}

func (u *unpacker) number() uint64 {
	var n uint64
	for shift := 0; shift < 64 && len(u.rest) > 0; shift += 7 {
		c := u.rest[0]
		u.rest = u.rest[1:]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	u.fail()
	return 0
}

// length reads a count of things that take at least a byte each.
func (u *unpacker) length() int {
	n := u.number()
	if n > uint64(len(u.rest)) {
		u.fail()
		return 0
	}
	return int(n)
}

func (u *unpacker) bytes() string {
	n := u.length()
	s := u.rest[:n]
	u.rest = u.rest[n:]
	return s
}

func (u *unpacker) string() string {
	i := u.number()
	if i >= uint64(len(u.table)) {
		u.fail()
		return ""
	}
	return u.table[i]
}

func (u *unpacker) key() Key {
	return Key{Scope: u.string(), Namespace: u.string(), Group: u.string(), Name: u.string(), Version: u.string()}
}

func (u *unpacker) ports() []Port {
	n := u.length()
	if n == 0 {
		return nil
	}
	ports := make([]Port, n)
	for i := range ports {
		ports[i] = Port{Name: u.string(), Protocol: u.string(), Number: uint32(u.number())}
	}
	return ports
}

func (u *unpacker) metadata() map[string]string {
	n := u.length()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := u.string()
		m[k] = u.string()
	}
	return m
}

func (u *unpacker) instance() Instance {
	return Instance{
		ID: u.string(), Address: u.string(), Ports: u.ports(), Metadata: u.metadata(), Weight: uint32(u.number()),
		Healthy: u.number() == 1, Enabled: u.number() == 1, Locality: u.string(),
	}
}
