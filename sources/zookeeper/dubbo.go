package zookeeper

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"unique"

	"meshbridge/sources"
	"meshbridge/sources/changes"
	"meshbridge/sources/dubbo"
)

const tagKey = "dubbo.tag"

// provider is one address at which an interface is offered under one protocol.
type provider struct {
	group, version string
	address        string
	port           uint32
	protocol       string
	timestamp      int64
	node           string
	params         map[string]string
}

// errNoProvider is returned for nodes that are no providers to others and say so: nothing is wrong with them.
var errNoProvider = errors.New("not a provider")

// parseProvider reads a node below providers. On an error the provider carries its group and version as far as they could be read.
func parseProvider(node string) (provider, error) {
	u, err := parseURL(node)
	p := provider{group: u.params["group"], version: dubbo.NoVersion(u.params["version"]), protocol: u.scheme, port: u.port, node: node, params: u.params}
	if err != nil {
		return p, err
	}
	if u.scheme == "injvm" || u.scheme == "empty" || u.scheme == "consumer" ||
		u.param("category", "providers") != "providers" || u.param("side", "provider") != "provider" {
		return p, errNoProvider
	}
	address, err := dubbo.Address(u.host)
	if err != nil {
		return p, err
	}
	p.address = unique.Make(address).Value()
	if u.port == 0 {
		return p, errors.New("no port")
	}
	p.timestamp, _ = strconv.ParseInt(u.params["timestamp"], 10, 64) // 0, the oldest, where absent
	return p, nil
}

// endpoint is what makes two registrations the same one.
type endpoint struct {
	address  string
	port     uint32
	protocol string
}

func (p *provider) endpoint() endpoint { return endpoint{p.address, p.port, p.protocol} }

func (p *provider) offer() dubbo.Offer {
	return dubbo.Offer{
		Address: p.address, Port: p.port, Protocol: p.protocol, Params: p.params,
		Weight: dubbo.Weight(p.params), Healthy: true, Enabled: dubbo.Enabled(p.params),
	}
}

// iface is what has been read of one interface: its services, one for each group and version.
type iface struct {
	dir       string             // its node
	services  []*sources.Service // sorted by group and version
	endpoints []endpoint         // of all services
	faults    []sources.Fault    // rules that could not be read
}

// readInterface makes services of the nodes below providers and configurators of the interface's node at dir.
func readInterface(scope, dir, name string, providers, configurators []string) *iface {
	out := &iface{dir: dir}
	rules, bad := parseRules(configurators)
	for node, err := range bad {
		out.faults = append(out.faults, sources.Fault{Where: dir + "/configurators/" + node, Reason: err.Error()})
	}
	slices.SortFunc(out.faults, changes.CompareFaults)

	services := map[sources.Key]*sources.Service{}
	service := func(group, version string) *sources.Service {
		key := sources.Key{Scope: scope, Group: group, Name: name, Version: version}
		if services[key] == nil {
			services[key] = &sources.Service{Key: key, Interface: true}
		}
		return services[key]
	}
	newest := map[sources.Key]map[endpoint]provider{}
	for _, node := range providers {
		p, err := parseProvider(node)
		if errors.Is(err, errNoProvider) {
			continue
		}
		s := service(p.group, p.version)
		if err != nil {
			s.Skipped = append(s.Skipped, sources.Fault{Where: dir + "/providers/" + node, Reason: err.Error()})
			continue
		}
		if newest[s.Key] == nil {
			newest[s.Key] = map[endpoint]provider{}
		}
		// A provider that came back leaves its old node until its old session ends.
		old, found := newest[s.Key][p.endpoint()]
		if !found || cmp.Or(cmp.Compare(old.timestamp, p.timestamp), cmp.Compare(old.node, p.node)) < 0 {
			newest[s.Key][p.endpoint()] = p
		}
	}
	for key, byEndpoint := range newest {
		list := make([]dubbo.Offer, 0, len(byEndpoint))
		for e, p := range byEndpoint {
			for _, r := range rules {
				if r.matches(&p) {
					p.params = r.apply(p.params)
				}
			}
			list = append(list, p.offer())
			out.endpoints = append(out.endpoints, e)
		}
		services[key].Instances = dubbo.Instances(list)
	}
	for _, s := range services {
		slices.SortFunc(s.Skipped, changes.CompareFaults)
		out.services = append(out.services, s)
	}
	slices.SortFunc(out.services, func(a, b *sources.Service) int { return changes.Compare(a.Key, b.Key) })
	return out
}
