package consul

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"meshbridge/sources"
	"meshbridge/sources/dubbo"
)

// ownService is the service that Consul's servers register themselves as.
const ownService = "consul"

// maxWeight bounds what a weight of Consul's is taken for.
const maxWeight = 10000

// reader makes services of what a datacenter says of them.
type reader struct {
	cfg       Config
	scope     string
	namespace string // of keys: the datacenter, unless it is the first
}

// key names a service.
func (r reader) key(name string) sources.Key {
	group := r.cfg.Namespace
	if strings.EqualFold(group, "default") {
		group = ""
	}
	return sources.Key{Scope: r.scope, Namespace: r.namespace, Group: group, Name: name}
}

// service is the service that the entries make, nil if there is none.
func (r reader) service(name string, entries []*api.ServiceEntry) *sources.Service {
	s := &sources.Service{Key: r.key(name)}
	seen := map[string]bool{}
	for _, e := range entries {
		if !r.counts(name, e) {
			continue
		}
		id := e.Node.Node + "/" + e.Service.ID
		if seen[id] {
			continue
		}
		seen[id] = true
		if s.Datacenter == "" {
			s.Datacenter = e.Node.Datacenter
		}
		i, err := r.instance(e)
		if err != nil {
			s.Skipped = append(s.Skipped, sources.Fault{Where: id, Reason: err.Error()})
			continue
		}
		i.ID = id
		s.Instances = append(s.Instances, i)
	}
	if len(s.Instances) == 0 && len(s.Skipped) == 0 {
		return nil
	}
	slices.SortFunc(s.Instances, func(a, b sources.Instance) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Skipped, func(a, b sources.Fault) int { return strings.Compare(a.Where, b.Where) })
	return s
}

// counts leaves out the mesh's own proxies and gateways and what was imported from a peer. Consul answers for a name in any
// case; each spelling is read on its own.
func (r reader) counts(name string, e *api.ServiceEntry) bool {
	return e != nil && e.Node != nil && e.Service != nil && e.Service.Service == name && e.Service.Kind == api.ServiceKindTypical &&
		e.Service.PeerName == "" && e.Node.PeerName == ""
}

// instance reads all but the ID.
func (r reader) instance(e *api.ServiceEntry) (sources.Instance, error) {
	i := sources.Instance{Locality: locality(e), Metadata: metadata(e)}
	var err error
	var port int
	if i.Address, port, err = r.address(e); err != nil {
		return i, err
	}
	if i.Ports, err = ports(e.Service, port); err != nil {
		return i, err
	}
	passing, warning := e.Service.Weights.Passing, e.Service.Weights.Warning
	if passing <= 0 { // Consul takes no such weight from an agent, but the catalog may have none
		passing, warning = 1, 1
	}
	i.Weight = weight(passing)
	checks := slices.DeleteFunc(e.Checks, func(c *api.HealthCheck) bool { return c == nil })
	switch checks.AggregatedStatus() {
	case api.HealthPassing:
		i.Healthy, i.Enabled = true, true
	case api.HealthWarning:
		i.Healthy, i.Enabled, i.Weight = !r.cfg.PassingOnly, true, weight(warning)
	case api.HealthMaint:
		i.Healthy, i.Enabled = true, false
	default:
		i.Healthy, i.Enabled = false, true
	}
	return i, nil
}

func weight(w int) uint32 { return uint32(min(max(w, 0), maxWeight)) * sources.DefaultWeight }

// address is the service's, where it has one, else its node's; the port is 0 where the address has none of its own.
func (r reader) address(e *api.ServiceEntry) (address string, port int, err error) {
	if e.Service.SocketPath != "" && e.Service.Port == 0 {
		return "", 0, fmt.Errorf("it listens on the socket %s, which other machines do not reach", e.Service.SocketPath)
	}
	address, port = e.Service.Address, 0
	if tag := r.cfg.TaggedAddress; tag != lan {
		if tagged, ok := e.Service.TaggedAddresses[tag]; ok && tagged.Address != "" {
			address, port = tagged.Address, tagged.Port
		} else if of := e.Node.TaggedAddresses[tag]; of != "" && address == "" {
			address = of
		}
	}
	if address == "" {
		address = e.Node.Address
	}
	if bare, ok := strings.CutPrefix(address, "["); ok && strings.HasSuffix(bare, "]") {
		if _, err := netip.ParseAddr(bare[:len(bare)-1]); err == nil {
			address = bare[:len(bare)-1]
		}
	}
	if address == "" {
		return "", 0, errors.New("neither the service nor its node has an address")
	}
	address, err = dubbo.Address(address)
	return address, port, err
}

// ports are the service's one port, or all of them where it names several. Consul does not say what is spoken there, but the
// metadata may, under protocol.
func ports(s *api.AgentService, tagged int) ([]sources.Port, error) {
	protocol := s.Meta["protocol"]
	if len(s.Ports) > 0 {
		var all []sources.Port
		for _, p := range s.Ports {
			if p.Port < 1 || p.Port > 65535 {
				return nil, fmt.Errorf("port %s is %d, which is none of 1 to 65535", p.Name, p.Port)
			}
			all = append(all, sources.Port{Name: p.Name, Protocol: protocol, Number: uint32(p.Port)})
		}
		return all, nil
	}
	port := s.Port
	if tagged != 0 {
		port = tagged
	}
	if port == 0 {
		return nil, errors.New("it has no port: register one, or leave the service out")
	}
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("port %d is none of 1 to 65535", port)
	}
	return []sources.Port{{Protocol: protocol, Number: uint32(port)}}, nil
}

// locality is the service's, else its node's.
func locality(e *api.ServiceEntry) string {
	l := e.Service.Locality
	if l == nil || l.Region == "" {
		l = e.Node.Locality
	}
	switch {
	case l == nil || l.Region == "":
		return ""
	case l.Zone == "":
		return l.Region
	}
	return l.Region + "/" + l.Zone
}

// metadata is the service's own, below it what its tags say (key=value or key|value; a bare tag is tag.NAME=true), and
// below that its node's under node.KEY.
func metadata(e *api.ServiceEntry) map[string]string {
	if len(e.Service.Meta)+len(e.Service.Tags)+len(e.Node.Meta) == 0 {
		return nil
	}
	m := map[string]string{}
	for key, value := range e.Node.Meta {
		if !strings.HasPrefix(key, "consul-") {
			m["node."+key] = value
		}
	}
	for _, tag := range e.Service.Tags {
		if at := strings.IndexAny(tag, "=|"); at > 0 {
			m[strings.TrimSpace(tag[:at])] = strings.TrimSpace(tag[at+1:])
		} else if tag != "" && at < 0 {
			m["tag."+tag] = "true"
		}
	}
	for key, value := range e.Service.Meta {
		m[key] = value
	}
	if len(m) == 0 {
		return nil
	}
	return m
}
