package rollout

import (
	"time"

	"meshbridge/convert/canary"
)

// Subset is a subset that a DestinationRule has, as it is kept on disk.
type Subset struct {
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels"`             // that its endpoints have; one, where a value was discovered
	Failover []string          `json:"failover,omitempty"` // label=value of the endpoints that come first
	Stamp    *canary.Stamp     `json:"stamp,omitempty"`    // what Labels mean, if the bridge puts them on endpoints
	Routed   bool              `json:"routed,omitempty"`   // a route names it, or did so until lately
	Since    time.Time         `json:"since,omitzero"`     // when it lost its last route, or a discovered one its last endpoint
}

// ID tells subsets apart that choose endpoints in different ways.
func (s Subset) ID() string { return canary.SubsetID(s.Labels, s.Failover) }

// Selects reports whether an endpoint with these labels of its own belongs to the subset.
func (s Subset) Selects(labels map[string]string) bool {
	return canary.Subset{Labels: s.Labels, Stamp: s.Stamp}.Selects(labels)
}

// Discovered is the label and value of a subset that a label of endpoints makes, or "".
func (s Subset) Discovered() (label, value string) {
	if len(s.Labels) != 1 || len(s.Failover) > 0 || s.Stamp != nil {
		return "", ""
	}
	for label, value = range s.Labels {
	}
	return label, value
}

// Keys are the keys of the endpoint labels by which the subset chooses.
func (s Subset) Keys() []string {
	if s.Stamp != nil {
		return s.Stamp.Keys()
	}
	var keys []string
	for key := range s.Labels {
		keys = append(keys, key)
	}
	return keys
}

// same reports whether two are one subset under one name.
func (s Subset) same(o Subset) bool { return s.Name == o.Name && s.ID() == o.ID() }

// wish is the name that a discovered subset should have: its value, before that is made a DNS label.
func (s Subset) wish() string {
	_, value := s.Discovered()
	return value
}
