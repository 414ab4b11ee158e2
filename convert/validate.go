package convert

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	networkingpb "istio.io/api/networking/v1alpha3"
)

// istioProtocols are those that Istio's validation knows.
var istioProtocols = []string{"TCP", "UDP", "GRPC", "GRPC-WEB", "HTTP", "HTTP_PROXY", "HTTP2", "HTTPS", "TLS", "MONGO", "REDIS", "MYSQL", "HBONE", "DOUBLEHBONE"}

// entryFaults says why Istio would refuse a ServiceEntry (ValidateServiceEntry in its pkg/config/validation), for the kind
// of entry that is generated: one host, STATIC, endpoints inline.
func entryFaults(namespace string, se *networkingpb.ServiceEntry) []string {
	var f []string
	add := func(format string, args ...any) { f = append(f, fmt.Sprintf(format, args...)) }
	if !isLabel(namespace) {
		add("namespace %q is no DNS label", namespace)
	}
	if len(se.Hosts) == 0 {
		add("there is no host")
	}
	for _, h := range se.Hosts {
		if reason := hostFault(strings.ToLower(h)); reason != "" {
			add("host %q: %s", h, reason)
		}
	}
	for _, a := range se.Addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			add("address %q is no IP address", a)
		}
	}
	ports := portFaults(se, add)
	tcp := slices.ContainsFunc(se.Ports, func(p *networkingpb.ServicePort) bool { return p.Protocol == "TCP" })
	if tcp && len(se.Hosts) > 1 {
		add("several hosts may not share TCP ports")
	}
	if se.Resolution != static {
		add("resolution %s is not STATIC", se.Resolution)
	}
	for _, e := range se.Endpoints {
		endpointFaults(e, ports, add)
	}
	if !slices.Equal(se.ExportTo, nobody) {
		exportFaults(namespace, se.ExportTo, add)
	}
	return f
}

func portFaults(se *networkingpb.ServiceEntry, add func(string, ...any)) map[string]bool {
	names, numbers := map[string]bool{}, map[uint32]bool{}
	if len(se.Ports) == 0 {
		add("there is no port")
	}
	for _, p := range se.Ports {
		switch {
		case !isLabel(p.Name):
			add("port name %q is no DNS label", p.Name)
		case names[p.Name]:
			add("port name %s is there twice", p.Name)
		}
		if numbers[p.Number] {
			add("port number %d is there twice", p.Number)
		}
		if reason := portFault(p.Number); reason != "" {
			add("port %s: %s", p.Name, reason)
		}
		if !slices.Contains(istioProtocols, p.Protocol) {
			add("protocol %q is unknown to Istio", p.Protocol)
		}
		names[p.Name], numbers[p.Number] = true, true
	}
	return names
}

func endpointFaults(e *networkingpb.WorkloadEntry, ports map[string]bool, add func(string, ...any)) {
	if _, err := netip.ParseAddr(e.Address); err != nil {
		add("endpoint address %q is no IP address", e.Address)
	}
	for name, number := range e.Ports {
		if !ports[name] {
			add("endpoint %s: port %s is not among the service ports", e.Address, name)
		}
		if reason := portFault(number); reason != "" {
			add("endpoint %s: port %s: %s", e.Address, name, reason)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(e.Labels)) {
		if reason := labelKeyFault(key); reason != "" {
			add("endpoint %s: label %q: %s", e.Address, key, reason)
		}
		if v := e.Labels[key]; v != "" && labelValueFault(v) != "" {
			add("endpoint %s: label %s: value %q: %s", e.Address, key, clip(v), labelValueFault(v))
		}
	}
}

func exportFaults(namespace string, exportTo []string, add func(string, ...any)) {
	seen := map[string]bool{}
	for _, e := range exportTo {
		key := e
		if e == "." {
			key = namespace
		}
		switch {
		case seen[key]:
			add("exportTo %s is there twice", e)
		case e == "*" && len(exportTo) > 1:
			add("exportTo * stands alone")
		case e != "*" && !isLabel(key):
			add("exportTo %q is no namespace", e)
		}
		seen[key] = true
	}
}

// ruleFaults says why Istio would refuse a DestinationRule (ValidateDestinationRule).
func ruleFaults(namespace string, dr *networkingpb.DestinationRule) []string {
	var f []string
	add := func(format string, args ...any) { f = append(f, fmt.Sprintf(format, args...)) }
	if reason := hostFault(dr.Host); reason != "" {
		add("host %q: %s", dr.Host, reason)
	}
	var policies faults
	policies.policy("trafficPolicy", dr.TrafficPolicy, namespace)
	names := map[string]bool{}
	for _, s := range dr.Subsets {
		policies.policy("subset "+s.Name+": trafficPolicy", s.TrafficPolicy, namespace)
		switch {
		case !isLabel(s.Name):
			add("subset name %q is no DNS label", s.Name)
		case names[s.Name]:
			add("subset %s is there twice", s.Name)
		}
		names[s.Name] = true
		for key, value := range s.Labels {
			if labelKeyFault(key) != "" || labelValueFault(value) != "" {
				add("subset %s: label %s=%s is not legal", s.Name, clip(key), clip(value))
			}
		}
	}
	for _, fault := range policies {
		add("%s", fault)
	}
	exportFaults(namespace, dr.ExportTo, add)
	return f
}
