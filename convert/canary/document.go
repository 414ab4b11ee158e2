package canary

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// Document is one canary: how the requests to some services are divided among the versions of their instances. With several
// services it is a lane.
type Document struct {
	// Name is unique among the documents of a team: at most 63 lower-case letters, digits and "-". No default.
	Name string `yaml:"name"`
	// Services are the hosts that the document is for, at least one and at most 1000: hosts or globs, where * is any text and ? any one
	// character. No default.
	Services []string `yaml:"services"`
	// Label is the label of endpoints whose value is a version. Default: the first of subsets.labels.
	Label string `yaml:"label"`
	// Primary is what gets all requests that no canary takes: a version, or {labels: {…}}. Default: the endpoints that no
	// canary claims, of which there must be one.
	Primary *Primary `yaml:"primary"`
	// Canaries are what some of the requests go to, at most 50, tried in this order. Default: [], all requests go to the primary.
	Canaries []Canary `yaml:"canaries"`
	// From says which clients the canaries are for; the others get the primary. Default: all.
	From *From `yaml:"from"`
	// Fallback says where the requests of a canary without a ready endpoint go: primary (its route is taken away), failover
	// (Envoy goes on to the primary's endpoints, also when connections to the canary fail), none (they fail).
	// Default: primary.
	Fallback Fallback `yaml:"fallback"`
	// Expose makes the services reachable through gateways, by the same rules. Default: [].
	Expose []Expose `yaml:"expose"`
}

// Primary chooses the endpoints that are not canaries. A text stands for its version.
type Primary struct {
	Version string `yaml:"-"` // value of the document's label; "" with Labels
	// Labels are what the endpoints have, all of them. No default.
	Labels map[string]string `yaml:"labels"`
}

// Canary chooses endpoints, and the requests that go to them.
type Canary struct {
	// Version is the value of the document's label that the endpoints have. Default: none, it has labels then.
	Version string `yaml:"version"`
	// Name is that of the subset; a canary by labels needs one. Default: the version.
	Name string `yaml:"name"`
	// Labels are what the endpoints have, all of them. Default: none, it has a version then.
	Labels map[string]string `yaml:"labels"`
	// Headers are what a request has that goes to the canary, all of them: a text for the exact value, {prefix: …},
	// {regex: …} (RE2, the whole value), or for the header baggage {member: {KEY: VALUE}}. Default: none.
	Headers map[string]Match `yaml:"headers"`
	// Weight is the percentage of the other requests that goes to the canary; the primary has what is left. Default: 0.
	Weight int `yaml:"weight"`
}

// Match is what the value of a header must be: exactly one of its fields is set. A text stands for the exact value.
type Match struct {
	// Exact is the whole value. Default: "".
	Exact string `yaml:"exact"`
	// Prefix is the beginning of the value. Default: "".
	Prefix string `yaml:"prefix"`
	// Regex is a regular expression (RE2) for the whole value. Default: "".
	Regex string `yaml:"regex"`
	// Member is a member of the header baggage (W3C): its key and its value. Default: {}.
	Member map[string]string `yaml:"member"`
}

// From chooses clients.
type From struct {
	// Labels are those of the client's workload, all of them. Default: {}.
	Labels map[string]string `yaml:"labels"`
	// Namespace is that of the client's workload. Default: "", any.
	Namespace string `yaml:"namespace"`
}

// Fallback is what happens to the requests of a canary without a ready endpoint.
type Fallback string

// The fallbacks.
const (
	FallbackPrimary  Fallback = "primary"
	FallbackFailover Fallback = "failover"
	FallbackNone     Fallback = "none"
)

// Expose makes a service reachable through a gateway, or by a delegate that a VirtualService of somebody else names.
type Expose struct {
	// Gateway is the namespace/name of an Istio Gateway. Default: "", there is a delegate then.
	Gateway string `yaml:"gateway"`
	// Delegate is the name of a VirtualService without hosts, for a root VirtualService to delegate to. Default: "".
	Delegate string `yaml:"delegate"`
	// Hosts are those that requests to the gateway name. Default: ["*"].
	Hosts []string `yaml:"hosts"`
	// Prefix is what the paths begin with. Default: /.
	Prefix string `yaml:"prefix"`
	// Service is the host that is reached. Default: the document's only service.
	Service string `yaml:"service"`
	// Colour marks requests as they come in, so that services further on can tell them; the first entry that fits holds.
	// Default: [].
	Colour []Colour `yaml:"colour"`
}

// Colour sets headers of the requests that it fits.
type Colour struct {
	// When are headers that the request has, all of them, written as those of a canary. Default: {}, it fits every request.
	When map[string]Match `yaml:"when"`
	// Set are headers and their values; what the client sent under these names is replaced. No default.
	Set map[string]string `yaml:"set"`
}

// UnmarshalText reads a version.
func (p *Primary) UnmarshalText(text []byte) error {
	p.Version = string(text)
	return nil
}

// UnmarshalText reads an exact value.
func (m *Match) UnmarshalText(text []byte) error {
	m.Exact = string(text)
	return nil
}

// UnmarshalJSON reads a version or {labels: {…}}.
func (p *Primary) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &p.Version); err == nil {
		return nil
	}
	var object struct {
		Labels map[string]string `json:"labels"`
	}
	if err := exactly(data, &object); err != nil || len(object.Labels) == 0 {
		return errors.New("is neither a version such as v1 nor {labels: {KEY: VALUE}}")
	}
	p.Labels = object.Labels
	return nil
}

// MarshalJSON is what UnmarshalJSON reads.
func (p Primary) MarshalJSON() ([]byte, error) {
	if p.Labels != nil {
		return json.Marshal(map[string]any{"labels": p.Labels})
	}
	return json.Marshal(p.Version)
}

// UnmarshalJSON reads a text, {prefix: …}, {regex: …} or {member: {KEY: VALUE}}.
func (m *Match) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &m.Exact); err == nil {
		return nil
	}
	var object struct {
		Exact  string            `json:"exact"`
		Prefix string            `json:"prefix"`
		Regex  string            `json:"regex"`
		Member map[string]string `json:"member"`
	}
	if err := exactly(data, &object); err != nil {
		return errors.New("is neither a text nor one of {prefix: …}, {regex: …} and {member: {KEY: VALUE}}")
	}
	*m = Match(object)
	return nil
}

// MarshalJSON is what UnmarshalJSON reads.
func (m Match) MarshalJSON() ([]byte, error) {
	switch {
	case m.Prefix != "":
		return json.Marshal(map[string]any{"prefix": m.Prefix})
	case m.Regex != "":
		return json.Marshal(map[string]any{"regex": m.Regex})
	case m.Member != nil:
		return json.Marshal(map[string]any{"member": m.Member})
	}
	return json.Marshal(m.Exact)
}

func exactly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Default is a document's part that says nothing.
func Default() Document { return Document{Fallback: FallbackPrimary} }

// DefaultExpose is an entry of expose that says nothing.
func DefaultExpose() Expose { return Expose{Hosts: []string{"*"}, Prefix: "/"} }

// Hash tells contents of documents apart.
func (d *Document) Hash() string {
	raw, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("a document of texts and numbers did not marshal: %v", err))
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// SubsetName is the name of the canary's subset before it is made a DNS label.
func (c *Canary) SubsetName() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Version
}

// Selector is the labels that the canary's endpoints have, given the document's label.
func (c *Canary) Selector(label string) map[string]string {
	if c.Version != "" {
		return map[string]string{label: c.Version}
	}
	return c.Labels
}
