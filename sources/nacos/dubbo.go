package nacos

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"meshbridge/sources"
	"meshbridge/sources/dubbo"
)

// errNoProvider is returned for instances that are no providers to others and say so: nothing is wrong with them.
var errNoProvider = errors.New("not a provider")

// dubboInterface is what the name of a service says that Dubbo registers for an interface.
type dubboInterface struct{ name, version, group string }

// parseInterface reads providers:interface:version:group, of which version and group may be empty or left out.
func parseInterface(name string) (dubboInterface, bool) {
	rest, found := strings.CutPrefix(name, "providers:")
	parts := strings.Split(rest, ":")
	if !found || parts[0] == "" || len(parts) > 3 {
		return dubboInterface{}, false
	}
	parts = append(parts, "", "")
	return dubboInterface{parts[0], dubbo.NoVersion(parts[1]), parts[2]}, true
}

// unfollowed reports whether a service is something else that Dubbo registers for an interface.
func unfollowed(name string) bool {
	category, _, found := strings.Cut(name, ":")
	return found && slices.Contains([]string{"consumers", "routers", "configurators"}, category)
}

// readProvider reads one protocol of an interface's provider: its metadata are the parameters of Dubbo's URL.
func (m *member) readProvider() error {
	i := &m.instance
	said := func(key, fallback string) string { return cmp.Or(i.Metadata[key], fallback) }
	protocol := strings.ToLower(said("protocol", "dubbo"))
	if slices.Contains([]string{"injvm", "empty", "consumer"}, protocol) || said("category", "providers") != "providers" || said("side", "provider") != "provider" {
		return errNoProvider
	}
	i.Ports[0].Protocol = protocol
	i.ID = protocol + "://" + i.ID
	i.Weight = scaled(i.Weight, dubbo.Weight(i.Metadata))
	i.Enabled = i.Enabled && dubbo.Enabled(i.Metadata)
	return nil
}

// readDubbo reads an instance of a Dubbo application, which may offer several protocols.
func (m *member) readDubbo() error {
	i := &m.instance
	ports, err := dubbo.Endpoints(i.Metadata[endpointsKey])
	if err != nil {
		return err
	}
	if len(ports) > 0 {
		i.Ports = ports
	} else {
		i.Ports[0].Protocol = "dubbo"
	}
	i.Weight = scaled(i.Weight, dubbo.Weight(i.Metadata))
	i.Enabled = i.Enabled && dubbo.Enabled(i.Metadata) && i.Metadata[revisionKey] != dubbo.EmptyRevision
	return nil
}

// joinProviders makes one instance of the protocols of one process, and notes the endpoints.
func (c *content) joinProviders() {
	offers := make([]dubbo.Offer, len(c.instances))
	for n := range c.instances {
		i := &c.instances[n]
		offers[n] = dubbo.Offer{
			Address: i.Address, Port: i.Ports[0].Number, Protocol: i.Ports[0].Protocol, Params: i.Metadata,
			Weight: i.Weight, Healthy: i.Healthy, Enabled: i.Enabled, Locality: i.Locality,
		}
		c.endpoints = append(c.endpoints, endpoint{i.Address, i.Ports[0].Number, i.Ports[0].Protocol})
	}
	c.instances = dubbo.Instances(offers)
	slices.SortFunc(c.endpoints, func(a, b endpoint) int {
		return cmp.Or(cmp.Compare(a.address, b.address), cmp.Compare(a.port, b.port), cmp.Compare(a.protocol, b.protocol))
	})
	c.endpoints = slices.Compact(c.endpoints)
	// One address in two clusters is two registrations of one endpoint.
	c.instances = slices.CompactFunc(c.instances, func(a, b sources.Instance) bool { return a.ID == b.ID })
}

// registrations are an application instance's endpoints.
func registrations(i *sources.Instance) []endpoint {
	out := make([]endpoint, len(i.Ports))
	for n, p := range i.Ports {
		out[n] = endpoint{i.Address, p.Number, p.Protocol}
	}
	return out
}
