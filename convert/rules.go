package convert

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"

	networkingpb "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/labels"

	"meshbridge/mcpserver/store"
	"meshbridge/sources"
)

// Source is what convert knows of a source.
type Source struct {
	Name   string
	Order  int // its place in the file
	Config SourceConfig
	// Volatile are the metadata keys, or globs of keys, that the registry changes with every registration.
	Volatile []string
	// Declared says that the source lists services by will of the operator: one that it no longer lists goes at once, while
	// one that left a registry stays for RetainEmpty.
	Declared bool
}

// Rules is a compiled configuration. It is immutable to its users.
type Rules struct {
	config   Config
	fallback *tmpl // mesh.namespace
	policy   *networkingpb.TrafficPolicy
	ranges   []vipRange
	sources  map[string]*source
}

// source is a compiled Source.
type source struct {
	name      string
	alone     []string // the name, for all hosts that come from here alone
	order     int
	declared  bool
	include   globs
	exclude   globs
	volatile  globs
	overrides []override

	mu    sync.Mutex
	cache map[string]*settings // by the overrides that match; guarded by mu
	make  func(matched []int) *settings
}

type override struct {
	service glob
	set     Override
}

// settings is what holds for one service of a source: its own configuration and what overrides set.
type settings struct {
	source         *source
	selector       labels.Selector // nil: all
	exclude        []netip.Prefix
	host           *tmpl // nil: the default naming
	namespace      *tmpl
	locality       *tmpl // nil: what the registry says
	protocol       string
	ports          map[string]uint32
	labels         labelRules
	network        string
	serviceAccount string
	meta           map[string]string // labels of what is generated; shared, never changed
	priority       int
	aliases        []name
	exportTo       []string
	address        netip.Addr
	discover       string
}

// Compile checks and compiles a configuration.
func Compile(config Config, all []Source) (*Rules, error) {
	errs := []error{config.Validate()}
	for _, s := range all {
		if err := s.Config.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("source %s: %w", s.Name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	r := &Rules{config: config, sources: map[string]*source{}}
	r.fallback, _ = parseTemplate(config.Mesh.Namespace)
	r.policy = config.Subsets.policy(new(faults), config.Mesh)
	r.ranges, _ = parseRanges(config.Mesh.VIPs)
	for _, s := range all {
		if r.sources[s.Name] != nil {
			return nil, fmt.Errorf("source %s is there twice", s.Name)
		}
		r.sources[s.Name] = r.compile(s)
	}
	return r, nil
}

func (r *Rules) compile(s Source) *source {
	compiled := &source{
		name:     s.Name,
		alone:    []string{s.Name},
		order:    s.Order,
		declared: s.Declared,
		include:  newGlobs(s.Config.Services.Include),
		exclude:  newGlobs(s.Config.Services.Exclude),
		volatile: newGlobs(s.Volatile),
		cache:    map[string]*settings{},
	}
	for _, o := range s.Config.Overrides {
		compiled.overrides = append(compiled.overrides, override{service: newGlob(o.Service), set: o})
	}
	base := s.Config.PerService
	compiled.make = func(matched []int) *settings {
		all := make([]Override, 0, len(matched)+1)
		for _, i := range matched {
			all = append(all, compiled.overrides[i].set)
		}
		return r.settings(compiled, merge(append(all, Override{PerService: base})))
	}
	return compiled
}

// takes reports whether the source's globs take a service.
func (s *source) takes(service string) bool {
	lower := strings.ToLower(service)
	return (len(s.include) == 0 || s.include.match(lower)) && !s.exclude.match(lower)
}

// settings of a service of the source.
func (s *source) settings(service string) *settings {
	lower := strings.ToLower(service)
	var matched []int
	var key strings.Builder
	for i := range s.overrides {
		if s.overrides[i].service.match(lower) {
			matched = append(matched, i)
			fmt.Fprintf(&key, "%d,", i)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.cache[key.String()]
	if set == nil {
		set = s.make(matched)
		s.cache[key.String()] = set
	}
	return set
}

// of finds the settings of a service, or nil if its source is not configured or does not take it.
func (r *Rules) of(ref sources.Ref) *settings {
	src := r.sources[ref.Source]
	if src == nil || !src.takes(ref.Key.Name) {
		return nil
	}
	return src.settings(ref.Key.Name)
}

// merge joins layers of settings field by field: the first that sets a field wins. Maps are joined key by key.
func merge(layers []Override) Override {
	var m Override
	for _, l := range layers {
		first(&m.Instances.Selector, l.Instances.Selector)
		firstList(&m.Instances.Exclude, l.Instances.Exclude)
		first(&m.Host, l.Host)
		first(&m.Namespace, l.Namespace)
		first(&m.Protocol, l.Protocol)
		firstKeys(&m.Ports, l.Ports)
		firstList(&m.Labels.Include, l.Labels.Include)
		firstList(&m.Labels.Exclude, l.Labels.Exclude)
		firstKeys(&m.Labels.Rename, l.Labels.Rename)
		firstKeys(&m.Labels.Set, l.Labels.Set)
		first(&m.Locality, l.Locality)
		first(&m.Network, l.Network)
		first(&m.ServiceAccount, l.ServiceAccount)
		first(&m.Revision, l.Revision)
		first(&m.Priority, l.Priority)
		firstList(&m.Aliases, l.Aliases)
		firstList(&m.ExportTo, l.ExportTo)
		first(&m.Address, l.Address)
		first(&m.Subsets, l.Subsets)
	}
	return m
}

func first[T comparable](to *T, from T) {
	var zero T
	if *to == zero {
		*to = from
	}
}

func firstList(to *[]string, from []string) {
	if *to == nil {
		*to = from
	}
}

func firstKeys[T any](to *map[string]T, from map[string]T) {
	if len(from) == 0 {
		return
	}
	joined := maps.Clone(from)
	maps.Copy(joined, *to)
	*to = joined
}

// settings compiles merged settings, which Validate has accepted.
func (r *Rules) settings(src *source, m Override) *settings {
	s := &settings{
		source:         src,
		protocol:       m.Protocol,
		ports:          m.Ports,
		labels:         newLabelRules(m.Labels, r.config.Subsets.Labels, src.volatile),
		network:        m.Network,
		serviceAccount: m.ServiceAccount,
		meta:           map[string]string{ManagedByLabel: ManagedBy},
		exportTo:       m.ExportTo,
		discover:       m.Subsets,
	}
	if m.Revision != "" {
		s.meta[store.RevisionLabel] = m.Revision
	}
	if m.Instances.Selector != "" {
		s.selector, _ = labels.Parse(m.Instances.Selector)
	}
	for _, cidr := range m.Instances.Exclude {
		p, _ := parsePrefix(cidr)
		s.exclude = append(s.exclude, p)
	}
	if m.Host != "" {
		s.host, _ = parseTemplate(m.Host)
	}
	first(&m.Namespace, r.config.Mesh.Namespace)
	s.namespace, _ = parseTemplate(m.Namespace)
	if m.Locality != "" {
		s.locality, _ = parseTemplate(m.Locality)
	}
	if m.Priority != nil {
		s.priority = *m.Priority
	}
	for _, alias := range m.Aliases {
		s.aliases = append(s.aliases, aliasName(alias))
	}
	if m.Address != "" {
		s.address, _ = netip.ParseAddr(m.Address)
	}
	if s.exportTo == nil {
		s.exportTo = r.config.Mesh.ExportTo
	}
	first(&s.protocol, "HTTP")
	first(&s.discover, r.config.Subsets.Discover)
	return s
}
