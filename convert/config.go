package convert

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	networkingpb "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"meshbridge/convert/canary"
)

// Config is what holds for everything that is generated.
type Config struct {
	// Mesh says what all generated objects have in common. Default: see its keys.
	Mesh Mesh `yaml:"mesh"`
	// Subsets says which DestinationRules are made. Default: see its keys.
	Subsets Subsets `yaml:"subsets"`
	// RetainEmpty is how long a service without usable instances stays as a ServiceEntry without endpoints. An istiod 1.24
	// keeps the last endpoint of such a ServiceEntry; 0s makes it go with its last instance. Default: 10m.
	RetainEmpty time.Duration `yaml:"retainEmpty"`
	// Canary says where the documents of canaries are, and who may say what in them. Default: see its keys.
	Canary canary.Config `yaml:"canary"`
}

// Mesh is what all generated objects have in common.
type Mesh struct {
	// Domain is the last label or labels of every host of the default naming. Default: mesh.
	Domain string `yaml:"domain"`
	// Namespace is a template for metadata.namespace of what is generated. Default: registries.
	Namespace string `yaml:"namespace"`
	// ExportTo is written on ServiceEntry and DestinationRule alike; without any it is not written. Default: [].
	ExportTo []string `yaml:"exportTo"`
	// Location is MESH_INTERNAL or MESH_EXTERNAL. Default: MESH_INTERNAL.
	Location string `yaml:"location"`
	// TLS says whether endpoints have a sidecar and so take Istio's mutual TLS: disable or istio. Default: disable.
	TLS string `yaml:"tls"`
	// VIPs are the ranges of the addresses that hosts get, at most one of IPv4 and one of IPv6, away from istiod's own
	// 240.240.0.0/16 and 2001:2::/48. Default: [244.0.0.0/6].
	VIPs []string `yaml:"vips"`
}

// Values of Mesh.TLS.
const (
	TLSDisable = "disable"
	TLSIstio   = "istio"
)

// Subsets says which DestinationRules are made.
type Subsets struct {
	// Labels are the endpoint labels whose values become subsets. Default: [version].
	Labels []string `yaml:"labels"`
	// Discover says which services get subsets: none, multiple (those with two or more values at once) or all.
	// Default: multiple.
	Discover string `yaml:"discover"`
	// Max is the most subsets that a service may have. Default: 10.
	Max int `yaml:"max"`
	// Retain is how long a subset stays after its last endpoint. Default: 10m.
	Retain time.Duration `yaml:"retain"`
	// TrafficPolicy is copied to every generated DestinationRule, in Istio's own words. Default: {}.
	TrafficPolicy map[string]any `yaml:"trafficPolicy"`
}

// Values of Subsets.Discover and Override.Subsets.
const (
	DiscoverNone     = "none"
	DiscoverMultiple = "multiple"
	DiscoverAll      = "all"
)

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Mesh: Mesh{
			Domain:    "mesh",
			Namespace: "registries",
			Location:  networkingpb.ServiceEntry_MESH_INTERNAL.String(),
			TLS:       TLSDisable,
			VIPs:      []string{"244.0.0.0/6"},
		},
		Subsets:     Subsets{Labels: []string{"version"}, Discover: DiscoverMultiple, Max: 10, Retain: 10 * time.Minute},
		RetainEmpty: 10 * time.Minute,
		Canary:      canary.DefaultConfig(),
	}
}

// SourceConfig is what is common to the sources of every kind.
type SourceConfig struct {
	// Services says which of the source's services are taken. Default: all.
	Services Globs `yaml:"services"`
	// PerService is what an override may set for some of the services.
	PerService `yaml:",inline"`
	// Overrides change the settings of some services; field by field, the first that matches and sets the field wins.
	// Default: [].
	Overrides []Override `yaml:"overrides"`
}

// Globs chooses names, without regard to case; * is any text and ? any one character.
type Globs struct {
	// Include names what is taken. Default: ["*"].
	Include []string `yaml:"include"`
	// Exclude names what is left out of it. Default: [].
	Exclude []string `yaml:"exclude"`
}

// PerService is what may be set for a source and, by an override, for some of its services.
type PerService struct {
	// Instances says which instances are taken. Default: all.
	Instances Instances `yaml:"instances"`
	// Host is a template for the host, evaluated per instance. Default: "", the default naming.
	Host string `yaml:"host"`
	// Namespace is a template for metadata.namespace. Default: "", which is mesh.namespace.
	Namespace string `yaml:"namespace"`
	// Protocol is that of ports of which the registry does not say it. Default: HTTP.
	Protocol string `yaml:"protocol"`
	// Ports maps a protocol, in lower case, to its stable service port. Default: http 80, https 443, grpc and tri 50051,
	// dubbo and every other 20880.
	Ports map[string]uint32 `yaml:"ports"`
	// Labels says which metadata becomes labels of endpoints. Default: see its keys.
	Labels Labels `yaml:"labels"`
	// Locality is a template for the region/zone/subzone of an instance; where it gives nothing, what the registry says
	// holds. Default: "".
	Locality string `yaml:"locality"`
	// Network is the Istio network of the endpoints. Default: "".
	Network string `yaml:"network"`
	// ServiceAccount is that of the endpoints; Istio uses mutual TLS for endpoints that have one. Default: "".
	ServiceAccount string `yaml:"serviceAccount"`
	// Revision binds what is generated to the istiods of one revision, as label istio.io/rev. Default: "", all of them.
	Revision string `yaml:"revision"`
	// Priority decides, where several sources have one host, service-level fields and the fields of one address:port; the
	// highest wins, then the source that comes first in the file. Default: 0.
	Priority *int `yaml:"priority"`
}

// Instances chooses instances.
type Instances struct {
	// Selector is a Kubernetes label selector over the instance's metadata. Default: "", all.
	Selector string `yaml:"selector"`
	// Exclude lists address ranges whose instances are left out. Default: [].
	Exclude []string `yaml:"exclude"`
}

// Labels chooses and changes the metadata that becomes labels of endpoints. Taken are the keys of subsets.labels, app,
// version, istio.service.tag, what Include adds and what Rename names.
type Labels struct {
	// Include are further keys or globs of keys; a glob does not take the registry's volatile keys. Default: [].
	Include []string `yaml:"include"`
	// Exclude are keys or globs of keys that are left out all the same. Default: [].
	Exclude []string `yaml:"exclude"`
	// Rename maps a metadata key to the label key that it becomes. Default: {}.
	Rename map[string]string `yaml:"rename"`
	// Set adds fixed labels. Default: {}.
	Set map[string]string `yaml:"set"`
}

// Override changes the settings of the services that a glob names.
type Override struct {
	// Service is a glob of service names, without regard to case. No default.
	Service string `yaml:"service"`
	// PerService is set where it is not empty.
	PerService `yaml:",inline"`
	// Aliases are further hosts of the service, each with resources of its own. Default: [].
	Aliases []string `yaml:"aliases"`
	// ExportTo replaces mesh.exportTo. Default: [].
	ExportTo []string `yaml:"exportTo"`
	// Address pins the host's address of that IP family. Default: "".
	Address string `yaml:"address"`
	// Subsets replaces subsets.discover: none, multiple or all. Default: "".
	Subsets string `yaml:"subsets"`
}

// faults collects what is wrong, each led by its path.
type faults []error

func (f *faults) add(path, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

// Validate returns all that is wrong, each led by its path.
func (c Config) Validate() error {
	var f faults
	c.Mesh.validate(&f)
	c.Subsets.validate(&f)
	c.Subsets.policy(&f, c.Mesh)
	if c.RetainEmpty < 0 {
		f.add("retainEmpty", "%s is negative", c.RetainEmpty)
	}
	return errors.Join(errors.Join(f...), c.Canary.Validate())
}

func (m Mesh) validate(f *faults) {
	if reason := hostFault(m.Domain); reason != "" {
		f.add("mesh.domain", "%q is no domain: %s", m.Domain, reason)
	}
	if m.Namespace == "" {
		f.add("mesh.namespace", "is empty; write a namespace or a template")
	}
	checkTemplate(f, "mesh.namespace", m.Namespace)
	checkExportTo(f, "mesh.exportTo", m.ExportTo)
	if _, ok := networkingpb.ServiceEntry_Location_value[m.Location]; !ok {
		f.add("mesh.location", "%q is neither MESH_INTERNAL nor MESH_EXTERNAL", m.Location)
	}
	if m.TLS != TLSDisable && m.TLS != TLSIstio {
		f.add("mesh.tls", "%q is neither disable nor istio", m.TLS)
	}
	if _, err := parseRanges(m.VIPs); err != nil {
		f.add("mesh.vips", "%s", err)
	}
}

func (s Subsets) validate(f *faults) {
	for i, key := range s.Labels {
		path := fmt.Sprintf("subsets.labels[%d]", i)
		if reason := labelKeyFault(key); reason != "" {
			f.add(path, "%q is no label: %s", key, reason)
		} else if canary.IsStamp(key) {
			f.add(path, "%q is a label that meshbridge writes itself; write another key", key)
		}
		if slices.Index(s.Labels, key) < i {
			f.add(path, "%q is there twice", key)
		}
	}
	checkDiscover(f, "subsets.discover", s.Discover)
	if s.Max < 1 {
		f.add("subsets.max", "%d is less than 1; to have no subsets write discover: none", s.Max)
	}
	if s.Retain < 0 {
		f.add("subsets.retain", "%s is negative", s.Retain)
	}
}

// Validate returns all that is wrong, each led by its path within the source.
func (c SourceConfig) Validate() error {
	var f faults
	checkGlobs(&f, "services.include", c.Services.Include)
	checkGlobs(&f, "services.exclude", c.Services.Exclude)
	c.PerService.validate(&f, "")
	for i, o := range c.Overrides {
		o.validate(&f, fmt.Sprintf("overrides[%d].", i))
	}
	return errors.Join(f...)
}

func (p PerService) validate(f *faults, path string) {
	if _, err := labels.Parse(p.Instances.Selector); err != nil {
		f.add(path+"instances.selector", "%q is no label selector: %s", p.Instances.Selector, err)
	}
	for i, cidr := range p.Instances.Exclude {
		if _, err := parsePrefix(cidr); err != nil {
			f.add(fmt.Sprintf("%sinstances.exclude[%d]", path, i), "%s", err)
		}
	}
	checkTemplate(f, path+"host", p.Host)
	checkTemplate(f, path+"namespace", p.Namespace)
	checkTemplate(f, path+"locality", p.Locality)
	if p.Protocol != "" && !known(strings.ToLower(p.Protocol)) {
		f.add(path+"protocol", "%q is unknown; write HTTP, HTTP2, HTTPS, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS, MYSQL or dubbo", p.Protocol)
	}
	for _, protocol := range slices.Sorted(maps.Keys(p.Ports)) {
		if n := p.Ports[protocol]; n == 0 || n > math.MaxUint16 {
			f.add(path+"ports."+protocol, "%d is no port; ports are 1 to 65535", n)
		}
		if protocol != strings.ToLower(protocol) {
			f.add(path+"ports."+protocol, "write %s: protocols are in lower case here", strings.ToLower(protocol))
		}
	}
	p.Labels.validate(f, path+"labels.")
	if p.Revision != "" && len(validation.IsDNS1123Label(p.Revision)) > 0 {
		f.add(path+"revision", "%q is no name of a revision: lower-case letters, digits and dashes", p.Revision)
	}
}

func (l Labels) validate(f *faults, path string) {
	checkGlobs(f, path+"include", l.Include)
	checkGlobs(f, path+"exclude", l.Exclude)
	for _, from := range slices.Sorted(maps.Keys(l.Rename)) {
		if reason := labelKeyFault(l.Rename[from]); reason != "" {
			f.add(path+"rename."+from, "%q is no label: %s", l.Rename[from], reason)
		} else if reason := reservedFault(l.Rename[from]); reason != "" {
			f.add(path+"rename."+from, "makes metadata %q: registries may not set %s", l.Rename[from], reason)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.Set)) {
		if reason := labelKeyFault(key); reason != "" {
			f.add(path+"set."+key, "is no label: %s", reason)
		} else if canary.IsStamp(key) {
			f.add(path+"set."+key, "is a label that meshbridge writes itself; write another key")
		}
		if reason := labelValueFault(l.Set[key]); reason != "" {
			f.add(path+"set."+key, "%q is no value of a label: %s", l.Set[key], reason)
		}
	}
}

func (o Override) validate(f *faults, path string) {
	if o.Service == "" {
		f.add(path+"service", "is missing; name a service or a glob")
	}
	o.PerService.validate(f, path)
	for i, alias := range o.Aliases {
		if reason := hostFault(strings.ToLower(alias)); reason != "" {
			f.add(fmt.Sprintf("%saliases[%d]", path, i), "%q is no host: %s", alias, reason)
		}
	}
	checkExportTo(f, path+"exportTo", o.ExportTo)
	if o.Address != "" {
		if addr, err := netip.ParseAddr(o.Address); err != nil {
			f.add(path+"address", "%q is no IP address", o.Address)
		} else if err := addressFault(addr); err != nil {
			f.add(path+"address", "%s", err)
		}
	}
	if o.Subsets != "" {
		checkDiscover(f, path+"subsets", o.Subsets)
	}
}

func checkDiscover(f *faults, path, value string) {
	if !slices.Contains([]string{DiscoverNone, DiscoverMultiple, DiscoverAll}, value) {
		f.add(path, "%q is none of none, multiple and all", value)
	}
}

func checkGlobs(f *faults, path string, globs []string) {
	if i := slices.Index(globs, ""); i >= 0 {
		f.add(fmt.Sprintf("%s[%d]", path, i), "is empty; to match all write \"*\"")
	}
}

func checkExportTo(f *faults, path string, exportTo []string) {
	for i, e := range exportTo {
		switch {
		case slices.Index(exportTo, e) < i:
			f.add(fmt.Sprintf("%s[%d]", path, i), "%q is there twice", e)
		case e == "*" && len(exportTo) > 1:
			f.add(fmt.Sprintf("%s[%d]", path, i), "\"*\" stands alone")
		case e != "*" && e != "." && len(validation.IsDNS1123Label(e)) > 0:
			f.add(fmt.Sprintf("%s[%d]", path, i), "%q is neither \".\", \"*\" nor a namespace", e)
		}
	}
}

// parsePrefix reads an address range, or a single address as the range of itself.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address range such as 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}
