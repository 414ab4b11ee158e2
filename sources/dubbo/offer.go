package dubbo

import (
	"cmp"
	"net"
	"slices"
	"strconv"

	"meshbridge/sources"
)

// Offer is one address at which an interface is offered under one protocol.
type Offer struct {
	Address  string
	Port     uint32
	Protocol string
	Params   map[string]string
	Weight   uint32
	Healthy  bool
	Enabled  bool
	Locality string
}

// Instances joins the protocols of one machine into one instance where nothing but the protocol tells them apart. They are
// sorted by ID; the list is sorted on the way.
func Instances(list []Offer) []sources.Instance {
	slices.SortFunc(list, func(a, b Offer) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	ignored := append(Volatile(), perProtocol()...)
	out := make([]sources.Instance, 0, len(list))
	for i := 0; i < len(list); {
		end := i + 1
		for end < len(list) && list[end].Address == list[i].Address {
			end++
		}
		if oneProcess(list[i:end], ignored) {
			out = append(out, instance(list[i:end]))
		} else {
			for k := i; k < end; k++ {
				out = append(out, instance(list[k:k+1]))
			}
		}
		i = end
	}
	slices.SortFunc(out, func(a, b sources.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// instance makes one instance of offers that are one process.
func instance(list []Offer) sources.Instance {
	first := &list[0]
	ports := make([]sources.Port, len(list))
	for i, o := range list {
		ports[i] = sources.Port{Protocol: o.Protocol, Number: o.Port}
	}
	return sources.Instance{
		ID:       first.Protocol + "://" + net.JoinHostPort(first.Address, strconv.FormatUint(uint64(first.Port), 10)),
		Address:  first.Address,
		Ports:    ports,
		Metadata: first.Params,
		Weight:   first.Weight,
		Healthy:  first.Healthy,
		Enabled:  first.Enabled,
		Locality: first.Locality,
	}
}

// perProtocol are parameters that differ between the protocols of one process. In Nacos the protocol is one of them.
func perProtocol() []string {
	return []string{"codec", "ext.protocol", "payload", "preferred-protocol", "protocol", "server", "ssl-enabled", "transporter"}
}

// oneProcess reports whether offers at one address may be taken as one process with several protocols: each protocol
// once, and nothing lasting that differs.
func oneProcess(list []Offer, ignored []string) bool {
	first := &list[0]
	for i := 1; i < len(list); i++ {
		o := &list[i]
		if o.Protocol == list[i-1].Protocol || o.Weight != first.Weight || o.Healthy != first.Healthy || o.Enabled != first.Enabled ||
			o.Locality != first.Locality || !sameParams(first.Params, o.Params, ignored) || !sameParams(o.Params, first.Params, ignored) {
			return false
		}
	}
	return true
}

func sameParams(a, b map[string]string, ignored []string) bool {
	for key, value := range a {
		if value != b[key] && !IsVolatile(ignored, key) {
			return false
		}
	}
	return true
}
