package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"meshbridge/sources"
)

// walkInstance is an instance in the registry of a walk.
type walkInstance struct {
	addr   string
	labels map[string]string
	ports  []string // protocols
}

// walkPorts are the service ports of the protocols of a walk.
var walkPorts = map[uint32]string{80: "http", 50051: "grpc", 20880: "tcp"}

func (i walkInstance) offers(port uint32) bool { return slices.Contains(i.ports, walkPorts[port]) }

func (i walkInstance) has(labels map[string]string) bool {
	for key, value := range labels {
		if i.labels[key] != value {
			return false
		}
	}
	return true
}

func (i walkInstance) String() string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(i.labels)) {
		words = append(words, i.labels[key])
	}
	return strings.TrimPrefix(i.addr, "10.0.") + "(" + strings.Join(words, " ") + ")" + strings.Join(i.ports, "+")
}

// walkService is what the registries have of a service. Both have the same instances while it moves from one to the other.
type walkService struct {
	name      string
	in        []string // sources that have it
	instances []walkInstance
}

func (s *walkService) host() string { return s.name + ".mesh" }

func (s *walkService) String() string {
	texts := make([]string, len(s.instances))
	for i, in := range s.instances {
		texts[i] = in.String()
	}
	return fmt.Sprintf("%s in %s: %s", s.name, strings.Join(s.in, "+"), strings.Join(texts, " "))
}

// report is the service in the words of a source.
func (s *walkService) report() *sources.Service {
	numbers := map[string]uint32{"http": 8080, "grpc": 9090, "tcp": 7070}
	r := &sources.Service{Key: sources.Key{Name: s.name}}
	for _, i := range s.instances {
		in := sources.Instance{ID: i.addr, Address: i.addr, Weight: sources.DefaultWeight, Healthy: true, Enabled: true, Metadata: maps.Clone(i.labels)}
		for _, p := range i.ports {
			in.Ports = append(in.Ports, sources.Port{Protocol: p, Number: numbers[p]})
		}
		r.Instances = append(r.Instances, in)
	}
	return r
}

// walkView is what a replica knows of a host from a time on.
type walkView struct {
	at        time.Time
	instances []walkInstance
}

// walkViews are what a replica knew of each host, oldest first.
type walkViews map[string][]walkView

func (v walkViews) note(host string, at time.Time, instances []walkInstance) {
	list := v[host]
	if n := len(list); n > 0 && list[n-1].at.Equal(at) {
		list = list[:n-1]
	}
	v[host] = append(list, walkView{at: at, instances: instances})
}

// throughout reports whether a condition held for what was known of a host at each moment of a span.
func (v walkViews) throughout(host string, from, to time.Time, holds func([]walkInstance) bool) bool {
	list := v[host]
	for i, view := range list {
		ended := i+1 < len(list) && !list[i+1].at.After(from)
		if ended || view.at.After(to) {
			continue
		}
		if i == 0 && view.at.After(from) || !holds(view.instances) {
			return false
		}
	}
	return len(list) > 0 && !list[0].at.After(to)
}

// now is what is known of a host.
func (v walkViews) now(host string) []walkInstance {
	if n := len(v[host]); n > 0 {
		return v[host][n-1].instances
	}
	return nil
}
