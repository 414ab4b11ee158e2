package convert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"

	"meshbridge/mcpserver/store"
)

// smallPart is the fewest addresses that make a part worth its slot; a range with smaller parts is one part.
const smallPart = 256

// vipRange is a range of addresses of one family, and how it is divided. docs/vips.md is its specification.
type vipRange struct {
	prefix netip.Prefix
	base   netip.Addr // the first address that is given out
	parts  uint64     // store.Slots, or 1 for a small range
	size   uint64     // addresses in a part
}

// parseRanges reads mesh.vips.
func parseRanges(texts []string) ([]vipRange, error) {
	var all []vipRange
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is no address range such as 244.0.0.0/6", text)
		}
		if prefix != prefix.Masked() {
			return nil, fmt.Errorf("%s is no range; write %s", text, prefix.Masked())
		}
		if slices.ContainsFunc(all, func(o vipRange) bool { return o.prefix.Addr().Is4() == prefix.Addr().Is4() }) {
			return nil, fmt.Errorf("%s is the second range of its family; one of IPv4 and one of IPv6 at most", text)
		}
		all = append(all, newRange(prefix))
	}
	if len(all) == 0 {
		return nil, errors.New("is empty; Istio needs an address for every host, so name a range such as 244.0.0.0/6")
	}
	return all, nil
}

// newRange divides a range. Its first and last address (of IPv4; the first of IPv6) are the network's and are not given out.
func newRange(prefix netip.Prefix) vipRange {
	r := vipRange{prefix: prefix, base: prefix.Addr(), parts: 1, size: math.MaxUint64}
	if host := prefix.Addr().BitLen() - prefix.Bits(); host < 64 {
		r.size = 1 << host
	}
	switch {
	case prefix.Addr().Is4() && r.size > 2:
		r.base, r.size = r.base.Next(), r.size-2
	case prefix.Addr().Is6() && r.size > 2:
		r.base, r.size = r.base.Next(), r.size-1
	}
	if part := r.size / store.Slots; part >= smallPart {
		r.parts, r.size = store.Slots, part
	}
	return r
}

// place is where a host's address is sought: its part, and its offset therein.
func (r vipRange) place(host string) (part, offset uint64) {
	h := store.Hash(host)
	return h % r.parts, h / store.Slots % r.size
}

// at is the address at an offset of a part.
func (r vipRange) at(part, offset uint64) netip.Addr {
	n := part*r.size + offset
	if r.base.Is4() {
		b := r.base.As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n))
		return netip.AddrFrom4(b)
	}
	b := r.base.As16()
	low, carry := bits.Add64(binary.BigEndian.Uint64(b[8:]), n, 0)
	binary.BigEndian.PutUint64(b[8:], low)
	binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])+carry)
	return netip.AddrFrom16(b)
}

// key names the part of a host.
func (r vipRange) key(host string) partKey {
	part, _ := r.place(host)
	return partKey{r.prefix, part}
}

// keyOf names the part of an address; one that is not given out has none.
func (r vipRange) keyOf(a netip.Addr) (partKey, bool) {
	if !r.prefix.Contains(a) || a.Less(r.base) {
		return partKey{}, false
	}
	at, base := a.As16(), r.base.As16()
	n, borrow := bits.Sub64(binary.BigEndian.Uint64(at[8:]), binary.BigEndian.Uint64(base[8:]), 0)
	high, _ := bits.Sub64(binary.BigEndian.Uint64(at[:8]), binary.BigEndian.Uint64(base[:8]), borrow)
	part := n / r.size
	return partKey{r.prefix, part}, high == 0 && part < r.parts
}

// pure is the address that a host has unless another one has it already.
func (r vipRange) pure(host string) netip.Addr { return r.at(r.place(host)) }

// vips gives addresses to hosts. A host keeps its address while it is served; where two hosts want one address, the
// newcomer moves to the next free one of its part. It is owned by the loop.
type vips struct {
	ranges []vipRange
	taken  map[netip.Addr]string // the host that has it
	pinned map[netip.Addr]bool   // and has it by an override
	moved  map[string]bool       // hosts that have another address than the pure one, without being pinned
	saved  map[string][]netip.Addr
	// waiting are the hosts that were refused a pinned address; freed are those of them whose wish may be granted now, and
	// hosts that lost their address to a pin. The loop drains freed.
	waiting map[netip.Addr][]string
	freed   []string
	// full are the hosts without an address of a part of a range, in byte order. The first of them gets what comes free there.
	full map[partKey][]string
}

// partKey names a part of a range.
type partKey struct {
	prefix netip.Prefix
	part   uint64
}

func newVIPs(ranges []vipRange, saved map[string][]netip.Addr) *vips {
	return &vips{ranges: ranges, taken: map[netip.Addr]string{}, pinned: map[netip.Addr]bool{}, moved: map[string]bool{}, saved: saved,
		waiting: map[netip.Addr][]string{}, full: map[partKey][]string{}}
}

// grant is what a host was given.
type grant struct {
	addrs   []netip.Addr // one of each range, in their order, or a pinned one outside
	clash   string       // the host that has the address that this one would have, or ""
	full    bool         // a part of a range has no free address left
	refused netip.Addr   // a pinned address that another host has pinned
}

// give finds a host's addresses: those that it has, unless its pin changed. It is idempotent.
func (v *vips) give(host string, have []netip.Addr, pin netip.Addr) grant {
	var g grant
	if pin.IsValid() {
		// Of several hosts that pin one address the first in byte order has it; one that has not pinned it gives way.
		switch owner := v.taken[pin]; {
		case v.pinned[pin] && owner < host:
			if !slices.Contains(v.waiting[pin], host) {
				v.waiting[pin] = append(v.waiting[pin], host)
			}
			g.refused, pin = pin, netip.Addr{}
		case owner != "" && owner != host:
			v.freed = append(v.freed, owner)
			delete(v.taken, pin)
		}
	}
	moved := false
	pinUsed := !pin.IsValid()
	for _, r := range v.ranges {
		if pin.IsValid() && pin.Is4() == r.base.Is4() {
			g.addrs, pinUsed = append(g.addrs, pin), true
			v.leave(r.key(host), host)
			continue
		}
		addr, clash := v.find(r, host, have)
		if !addr.IsValid() {
			g.full = true
			v.wait(r.key(host), host)
			continue
		}
		v.leave(r.key(host), host)
		if clash != "" {
			g.clash, moved = clash, true
		}
		g.addrs = append(g.addrs, addr)
	}
	if !pinUsed {
		g.addrs = append(g.addrs, pin)
	}
	for _, addr := range have {
		if !slices.Contains(g.addrs, addr) && v.taken[addr] == host {
			v.drop(addr)
		}
	}
	for _, addr := range g.addrs {
		v.taken[addr] = host
		delete(v.pinned, addr)
	}
	if pin.IsValid() {
		v.pinned[pin] = true
	}
	if moved {
		v.moved[host] = true
	} else {
		delete(v.moved, host)
	}
	return g
}

// find is the address of a host in a range: the one it has, the one it had before a restart, the pure one, or the next free
// one after that, unless one that comes before it waits for that. clash names who has the pure one where it is another.
func (v *vips) find(r vipRange, host string, have []netip.Addr) (addr netip.Addr, clash string) {
	pure := r.pure(host)
	for _, old := range [][]netip.Addr{have, v.saved[host]} {
		for _, a := range old {
			if r.prefix.Contains(a) && !v.pinned[a] && (v.taken[a] == "" || v.taken[a] == host) {
				return a, v.holder(pure, a)
			}
		}
	}
	if first := v.full[r.key(host)]; len(first) > 0 && first[0] < host {
		return netip.Addr{}, ""
	}
	part, offset := r.place(host)
	for i := range r.size {
		a := r.at(part, (offset+i)%r.size)
		if owner := v.taken[a]; !v.pinned[a] && (owner == "" || owner == host) {
			return a, v.holder(pure, a)
		}
	}
	return netip.Addr{}, ""
}

// holder says who has the pure address of a host that got another one.
func (v *vips) holder(pure, got netip.Addr) string {
	if got == pure {
		return ""
	}
	if owner := v.taken[pure]; owner != "" {
		return owner
	}
	return "a host that is gone"
}

// release frees the addresses of a host that is no longer served.
func (v *vips) release(host string, have []netip.Addr) {
	for _, addr := range have {
		if v.taken[addr] == host {
			v.drop(addr)
		}
	}
	delete(v.moved, host)
	delete(v.saved, host)
	for _, r := range v.ranges {
		v.leave(r.key(host), host)
	}
}

func (v *vips) drop(addr netip.Addr) {
	delete(v.taken, addr)
	delete(v.pinned, addr)
	v.freed = append(v.freed, v.waiting[addr]...)
	delete(v.waiting, addr)
	for _, r := range v.ranges {
		if key, ok := r.keyOf(addr); ok {
			v.call(key)
		}
	}
}

// wait notes that a host has no address of its part.
func (v *vips) wait(key partKey, host string) {
	if at, there := slices.BinarySearch(v.full[key], host); !there {
		v.full[key] = slices.Insert(v.full[key], at, host)
	}
}

// leave notes that a host no longer waits, and calls the one behind it: more than one address may be free.
func (v *vips) leave(key partKey, host string) {
	at, there := slices.BinarySearch(v.full[key], host)
	if !there {
		return
	}
	if v.full[key] = slices.Delete(v.full[key], at, at+1); len(v.full[key]) == 0 {
		delete(v.full, key)
	}
	v.call(key)
}

// call has the first host that waits try again.
func (v *vips) call(key partKey) {
	if first := v.full[key]; len(first) > 0 {
		v.freed = append(v.freed, first[0])
	}
}
