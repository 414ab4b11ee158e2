package kube

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Meta is what every object has.
type Meta struct {
	Namespace, Name string
	Created         time.Time // zero: it does not say
	ExportTo        []string
}

func (m Meta) String() string { return m.Namespace + "/" + m.Name }

// Exported are the namespaces whose clients see the object, sorted; all are all of them, as meshConfig has it by default.
func (m Meta) Exported() (namespaces []string, all bool) {
	for _, to := range m.ExportTo {
		switch to {
		case "*":
			return nil, true
		case ".":
			namespaces = append(namespaces, m.Namespace)
		case "~": // nobody
		default:
			namespaces = append(namespaces, to)
		}
	}
	slices.Sort(namespaces)
	return slices.Compact(namespaces), len(m.ExportTo) == 0
}

// Rule is a DestinationRule.
type Rule struct {
	Meta
	Host     string
	Subsets  map[string]map[string]string // labels by name
	Policy   bool                         // it has a trafficPolicy for all of the host
	Selector bool                         // it is for some workloads of its namespace only
}

// Route is a VirtualService.
type Route struct {
	Meta
	Hosts     []string
	Gateways  []string
	Delegates []string            // the VirtualServices that it delegates to, as namespace/name
	Subsets   map[string][]string // those that it routes to, by host
}

// Entry is a ServiceEntry.
type Entry struct {
	Meta
	Hosts []string
}

// Service is a Service of Kubernetes.
type Service struct{ Meta }

// Host is the host that Istio makes of a Service, in a cluster whose domain is the usual one.
func (s Service) Host() string { return resolve(s.Name, s.Namespace) }

// Mesh reports whether a VirtualService is for the requests of sidecars.
func (r Route) Mesh() bool {
	return len(r.Hosts) > 0 && (len(r.Gateways) == 0 || slices.Contains(r.Gateways, "mesh"))
}

type object[T any] struct {
	Metadata struct {
		Namespace         string            `json:"namespace"`
		Name              string            `json:"name"`
		CreationTimestamp time.Time         `json:"creationTimestamp"`
		Annotations       map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec T `json:"spec"`
}

func parse[T any](raw json.RawMessage) (Meta, T, error) {
	var o object[T]
	if err := json.Unmarshal(raw, &o); err != nil {
		return Meta{}, o.Spec, fmt.Errorf("decode %s/%s: %w", o.Metadata.Namespace, o.Metadata.Name, err)
	}
	m := Meta{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name, Created: o.Metadata.CreationTimestamp}
	if to := o.Metadata.Annotations["networking.istio.io/exportTo"]; to != "" { // of a Service, which has no other place for it
		m.ExportTo = strings.FieldsFunc(to, func(r rune) bool { return r == ',' || r == ' ' })
	}
	return m, o.Spec, nil
}

// ParseRule reads a DestinationRule from JSON.
func ParseRule(raw json.RawMessage) (Rule, error) {
	meta, spec, err := parse[struct {
		Host     string   `json:"host"`
		ExportTo []string `json:"exportTo"`
		Subsets  []struct {
			Name   string            `json:"name"`
			Labels map[string]string `json:"labels"`
		} `json:"subsets"`
		TrafficPolicy    json.RawMessage `json:"trafficPolicy"`
		WorkloadSelector json.RawMessage `json:"workloadSelector"`
	}](raw)
	r := Rule{
		Meta: meta, Host: resolve(spec.Host, meta.Namespace), Subsets: map[string]map[string]string{},
		Policy: spec.TrafficPolicy != nil, Selector: spec.WorkloadSelector != nil,
	}
	r.ExportTo = spec.ExportTo
	for _, s := range spec.Subsets {
		r.Subsets[s.Name] = s.Labels
	}
	return r, err
}

// ParseRoute reads a VirtualService from JSON.
func ParseRoute(raw json.RawMessage) (Route, error) {
	type routes []struct {
		Delegate *struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"delegate"`
		Route []struct {
			Destination struct {
				Host   string `json:"host"`
				Subset string `json:"subset"`
			} `json:"destination"`
		} `json:"route"`
	}
	meta, spec, err := parse[struct {
		Hosts    []string `json:"hosts"`
		Gateways []string `json:"gateways"`
		ExportTo []string `json:"exportTo"`
		HTTP     routes   `json:"http"`
		TLS      routes   `json:"tls"`
		TCP      routes   `json:"tcp"`
	}](raw)
	r := Route{Meta: meta, Gateways: spec.Gateways, Subsets: map[string][]string{}}
	r.ExportTo = spec.ExportTo
	for _, host := range spec.Hosts {
		r.Hosts = append(r.Hosts, resolve(host, meta.Namespace))
	}
	for _, rules := range []routes{spec.HTTP, spec.TLS, spec.TCP} {
		for _, rule := range rules {
			if d := rule.Delegate; d != nil {
				r.Delegates = append(r.Delegates, cmp.Or(d.Namespace, meta.Namespace)+"/"+d.Name)
			}
			for _, d := range rule.Route {
				if host := resolve(d.Destination.Host, meta.Namespace); d.Destination.Subset != "" {
					r.Subsets[host] = append(r.Subsets[host], d.Destination.Subset)
				}
			}
		}
	}
	return r, err
}

// ParseEntry reads a ServiceEntry from JSON.
func ParseEntry(raw json.RawMessage) (Entry, error) {
	meta, spec, err := parse[struct {
		Hosts    []string `json:"hosts"`
		ExportTo []string `json:"exportTo"`
	}](raw)
	e := Entry{Meta: meta}
	e.ExportTo = spec.ExportTo
	for _, host := range spec.Hosts {
		e.Hosts = append(e.Hosts, strings.ToLower(host))
	}
	return e, err
}

// ParseService reads a Service from JSON.
func ParseService(raw json.RawMessage) (Service, error) {
	meta, _, err := parse[struct{}](raw)
	return Service{meta}, err
}

// resolve is what a host means to Istio in a namespace: one without a dot is a Kubernetes service there.
func resolve(host, namespace string) string {
	if host == "" || host == "*" || strings.Contains(host, ".") {
		return strings.ToLower(host)
	}
	return strings.ToLower(host + "." + namespace + ".svc.cluster.local")
}

// Covers reports whether a host of an object is a pattern that another host matches.
func Covers(pattern, host string) bool {
	suffix, ok := strings.CutPrefix(pattern, "*")
	return ok && strings.HasSuffix(host, suffix) && pattern != host
}
