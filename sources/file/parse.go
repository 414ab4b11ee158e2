package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"meshbridge/sources"
)

// document is one services file: docs/sources/file.md.
type document struct {
	Services []service `yaml:"services"`
}

type service struct {
	Name      string            `yaml:"name"`
	Namespace string            `yaml:"namespace"`
	Ports     []port            `yaml:"ports"`
	Metadata  map[string]string `yaml:"metadata"`
	Instances []instance        `yaml:"instances"`

	line int
}

type port struct {
	Name     string `yaml:"name"`
	Number   int    `yaml:"number"`
	Protocol string `yaml:"protocol"`
}

type instance struct {
	Address  string            `yaml:"address"`
	Port     int               `yaml:"port"`
	Ports    map[string]int    `yaml:"ports"`
	Labels   map[string]string `yaml:"labels"`
	Weight   *int              `yaml:"weight"`
	Locality string            `yaml:"locality"`
	Healthy  *bool             `yaml:"healthy"`
	Enabled  *bool             `yaml:"enabled"`

	line int
}

// UnmarshalYAML keeps the line, for reasons.
func (s *service) UnmarshalYAML(n *yaml.Node) error {
	type plain service
	s.line = n.Line
	return n.Decode((*plain)(s))
}

// UnmarshalYAML keeps the line, for reasons.
func (i *instance) UnmarshalYAML(n *yaml.Node) error {
	type plain instance
	i.line = n.Line
	return n.Decode((*plain)(i))
}

var errEmpty = errors.New("the file is empty: to remove its services delete it, or write `services: []`")

// parse reads one services file. A file that is empty, is not YAML, or has unknown or duplicate keys is an error as a whole;
// a bad instance in a sound file is skipped alone.
func parse(name string, data []byte) ([]*sources.Service, error) {
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return nil, errEmpty
	} else if err != nil {
		return nil, plain(err)
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("line 1: is not a mapping: begin with `services:`")
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("has more than one document: put all services in one list")
	}
	if err := known(root.Content[0], fields, ""); err != nil {
		return nil, err
	}
	var doc document
	if err := root.Decode(&doc); err != nil {
		return nil, plain(err)
	}
	services := make([]*sources.Service, 0, len(doc.Services))
	for _, s := range doc.Services {
		read, err := s.read(name)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", s.line, err)
		}
		services = append(services, read)
	}
	return services, nil
}

// fields are the known keys by the path of their mapping.
var fields = map[string][]string{
	"":                    {"services"},
	".services":           {"name", "namespace", "ports", "metadata", "instances"},
	".services.ports":     {"name", "number", "protocol"},
	".services.instances": {"address", "port", "ports", "labels", "weight", "locality", "healthy", "enabled"},
}

// known reports all keys of a node that the format does not have. Duplicate keys are the decoder's to find.
func known(n *yaml.Node, fields map[string][]string, path string) error {
	var errs []error
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			errs = append(errs, known(item, fields, path))
		}
	case yaml.MappingNode:
		names, fixed := fields[path]
		for i := 0; fixed && i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if !slices.Contains(names, key.Value) {
				errs = append(errs, fmt.Errorf("line %d: unknown key %q: known are %s", key.Line, key.Value, strings.Join(names, ", ")))
				continue
			}
			errs = append(errs, known(n.Content[i+1], fields, path+"."+key.Value))
		}
	}
	return errors.Join(errs...)
}

func (s *service) read(file string) (*sources.Service, error) {
	if s.Name == "" {
		return nil, errors.New("a service has no name")
	}
	out := &sources.Service{Key: sources.Key{Namespace: s.Namespace, Name: s.Name}, Metadata: s.Metadata}
	for _, p := range s.Ports {
		if p.Number < 1 || p.Number > 65535 {
			return nil, fmt.Errorf("service %s: port %q: number %d is not between 1 and 65535", s.Name, p.Name, p.Number)
		}
		out.Ports = append(out.Ports, sources.Port{Name: p.Name, Protocol: p.Protocol, Number: uint32(p.Number)})
	}
	seen := map[string]bool{}
	for i := range s.Instances {
		in, err := s.Instances[i].read(out.Ports)
		if err == nil && seen[in.ID] {
			err = fmt.Errorf("%s is listed twice", in.ID)
		}
		if err != nil {
			where := fmt.Sprintf("%s:%d", file, s.Instances[i].line)
			out.Skipped = append(out.Skipped, sources.Fault{Where: where, Reason: err.Error()})
			continue
		}
		seen[in.ID] = true
		out.Instances = append(out.Instances, in)
	}
	return out, nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?$`)

func (i *instance) read(declared []sources.Port) (sources.Instance, error) {
	in := sources.Instance{
		Address: i.Address, Metadata: i.Labels, Weight: sources.DefaultWeight, Locality: i.Locality,
		Healthy: i.Healthy == nil || *i.Healthy, Enabled: i.Enabled == nil || *i.Enabled,
	}
	if _, err := netip.ParseAddr(i.Address); err != nil && (!hostName.MatchString(i.Address) || strings.Trim(i.Address, "0123456789.") == "") {
		return in, fmt.Errorf("address %q is neither an IP address nor a host name", i.Address)
	}
	if i.Weight != nil {
		if *i.Weight < 0 || *i.Weight > 1<<20 {
			return in, fmt.Errorf("weight %d is not between 0 and %d", *i.Weight, 1<<20)
		}
		in.Weight = uint32(*i.Weight)
	}
	var err error
	if in.Ports, err = i.readPorts(declared); err != nil {
		return in, err
	}
	in.ID = i.Address
	for _, p := range in.Ports {
		in.ID += ":" + strconv.Itoa(int(p.Number))
	}
	return in, nil
}

// readPorts gives an instance its ports: those it names, else its one port, else the service's own numbers. A port that the
// service declares has that one's protocol.
func (i *instance) readPorts(declared []sources.Port) ([]sources.Port, error) {
	var ports []sources.Port
	switch {
	case len(i.Ports) > 0 && i.Port != 0:
		return nil, errors.New("has both port and ports: keep one")
	case len(i.Ports) > 0:
		for name, number := range i.Ports {
			ports = append(ports, sources.Port{Name: name, Number: uint32(number), Protocol: protocol(declared, name)})
			if number < 1 || number > 65535 {
				return nil, fmt.Errorf("port %s: %d is not between 1 and 65535", name, number)
			}
			if len(declared) > 0 && !slices.ContainsFunc(declared, func(p sources.Port) bool { return p.Name == name }) {
				return nil, fmt.Errorf("port %q is not one of the service's ports", name)
			}
		}
		slices.SortFunc(ports, func(a, b sources.Port) int { return strings.Compare(a.Name, b.Name) })
	case i.Port < 0 || i.Port > 65535:
		return nil, fmt.Errorf("port %d is not between 1 and 65535", i.Port)
	case i.Port != 0 && len(declared) > 1:
		return nil, errors.New("has one port, but its service has several: write `ports: {name: number}`")
	case i.Port != 0 && len(declared) == 1:
		ports = []sources.Port{{Name: declared[0].Name, Protocol: declared[0].Protocol, Number: uint32(i.Port)}}
	case i.Port != 0:
		ports = []sources.Port{{Number: uint32(i.Port)}}
	case len(declared) > 0:
		ports = slices.Clone(declared)
	default:
		return nil, errors.New("has no port: write `port: 8080`")
	}
	return ports, nil
}

func protocol(declared []sources.Port, name string) string {
	for _, p := range declared {
		if p.Name == name {
			return p.Protocol
		}
	}
	return ""
}

var goType = regexp.MustCompile(` into [\w.\[\]*]+`)

// plain makes an error of the YAML library speak of YAML and not of Go.
func plain(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	return errors.New(goType.ReplaceAllString(strings.ReplaceAll(text, "\n  ", "; "), " here"))
}
