package convert

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/labels"

	"meshbridge/sources"
)

// metadataOf joins what the service and the instance say; the instance wins.
func metadataOf(s *sources.Service, i *sources.Instance) map[string]string {
	if len(s.Metadata) == 0 {
		return i.Metadata
	}
	joined := maps.Clone(s.Metadata)
	maps.Copy(joined, i.Metadata)
	return joined
}

// picks reports whether the settings take an instance. One without metadata matches no selector that asks for any.
func (s *settings) picks(i *sources.Instance, metadata map[string]string) bool {
	return i.Usable() && (s.selector == nil || s.selector.Matches(labels.Set(metadata)))
}

// excludes reports whether an address lies in a range that is left out.
func (s *settings) excludes(addr netip.Addr) bool {
	return slices.ContainsFunc(s.exclude, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// nameOf is the host that a service, or one of its instances, wants.
func (s *settings) nameOf(svc *sources.Service, domain string, metadata map[string]string) (name, error) {
	if s.host == nil {
		return defaultName(svc, domain)
	}
	result, err := s.host.eval(fieldsOf(svc, domain, metadata))
	if err != nil {
		return name{}, err
	}
	return templatedName(result)
}

// endpoint is an address of a host under some of its ports.
type endpoint struct {
	addr     netip.Addr
	ports    []boundPort // sorted by name, no name twice
	labels   map[string]string
	locality string
	weight   uint32
	set      *settings
}

// boundPort is the number at which an endpoint offers a service port.
type boundPort struct {
	name   string
	number uint32
}

func (e *endpoint) offers(name string) (uint32, bool) {
	for _, p := range e.ports {
		if p.name == name {
			return p.number, true
		}
	}
	return 0, false
}

func (e *endpoint) add(p boundPort) {
	at, _ := slices.BinarySearchFunc(e.ports, p, func(a, b boundPort) int { return strings.Compare(a.name, b.name) })
	e.ports = slices.Insert(e.ports, at, p)
}

// localityOf is region, region/zone or region/zone/subzone.
func (s *settings) localityOf(f fields, i *sources.Instance) (string, error) {
	text := ""
	if s.locality != nil {
		result, err := s.locality.eval(f)
		if err != nil {
			return "", err
		}
		text = strings.TrimRight(strings.TrimSpace(result), "/")
	}
	if text == "" {
		text = strings.TrimRight(strings.TrimSpace(i.Locality), "/")
	}
	if text == "" {
		return "", nil
	}
	parts := strings.Split(text, "/")
	if len(parts) > 3 || slices.Contains(parts, "") || !utf8.ValidString(text) || len(text) > maxName {
		return "", fmt.Errorf("locality %q is not region, region/zone or region/zone/subzone", clip(text))
	}
	return text, nil
}

// addressOf reads an instance's address; a host name gives an invalid address and no fault.
func addressOf(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		lower := strings.ToLower(strings.TrimSuffix(text, "."))
		if reason := lookupFault(lower); reason != "" {
			return netip.Addr{}, fmt.Errorf("%q is neither an IP address nor a host name: %s", clip(text), reason)
		}
		return netip.Addr{}, nil
	}
	return addr.Unmap(), addressFault(addr)
}

// lookupName is the host name of an instance, in lower case, if it has one rather than an address.
func lookupName(i *sources.Instance) (string, bool) {
	if addr, err := addressOf(i.Address); err != nil || addr.IsValid() {
		return "", false
	}
	return strings.Clone(strings.ToLower(strings.TrimSuffix(i.Address, "."))), true
}

func addressFault(addr netip.Addr) error {
	switch {
	case addr.IsUnspecified():
		return fmt.Errorf("%s is no address that can be called", addr)
	case addr.IsMulticast():
		return fmt.Errorf("%s is a multicast address", addr)
	case addr.Zone() != "":
		return fmt.Errorf("%s has a zone, which means nothing elsewhere", addr)
	}
	return nil
}

// lookupFault says why a name in lower case cannot be looked up. Underscores, as in some container names, can.
func lookupFault(name string) string {
	return hostFault(strings.ReplaceAll(name, "_", "-"))
}
