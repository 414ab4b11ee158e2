// Package api holds the words in which the admin HTTP API answers, shared by those who serve it and those who ask it. Its
// invariant: a value reads back equal from its JSON, and every list is sorted by the fields that identify its items.
package api

import (
	"encoding/json"
	"net/url"
	"time"

	"meshbridge/convert"
	"meshbridge/mcpserver"
	"meshbridge/sources"
)

// The paths of the API, below a server's address.
const (
	SourcesPath   = "/api/v1/sources"
	ServicesPath  = "/api/v1/services"
	ResourcesPath = "/api/v1/resources"
	ClientsPath   = "/api/v1/clients"
	RejectedPath  = "/api/v1/rejected"
	EventsPath    = "/api/v1/events"
	OpenAPIPath   = "/api/v1/openapi.yaml"
	HealthPath    = "/healthz"
	ReadyPath     = "/readyz"
	MetricsPath   = "/metrics"
)

// ReleasePath is where a source's held losses are let go, with POST.
func ReleasePath(source string) string {
	return SourcesPath + "/" + url.PathEscape(source) + "/release"
}

// List is one page of a list.
type List[T any] struct {
	Items    []T    `json:"items"`              // never null
	Total    int    `json:"total"`              // how many items match, on all pages
	Continue string `json:"continue,omitempty"` // the token of the next page; absent on the last
}

// Problem is an error as RFC 9457 words it.
type Problem struct {
	Type    string   `json:"type"`              // always about:blank
	Title   string   `json:"title"`             // the status in words
	Status  int      `json:"status"`            // the HTTP status
	Detail  string   `json:"detail,omitempty"`  // what is wrong with this request, and what would be right
	Missing []string `json:"missing,omitempty"` // of /readyz: what the gate waits for

	Faults []DocumentFault `json:"faults,omitempty"` // of a preview: what is wrong with the documents
}

// Source is one configured source and the state of its scopes.
type Source struct {
	Name     string  `json:"name"`
	Kind     string  `json:"kind"`     // file, zookeeper, …
	Required bool    `json:"required"` // whether the gate waits for it
	Error    string  `json:"error,omitempty"`
	Restarts int     `json:"restarts"`
	Scopes   []Scope `json:"scopes"`
}

// Scope is a part of a registry that is read, and fails, alone.
type Scope struct {
	Name       string     `json:"name"`
	State      string     `json:"state"` // unread, stale, synced or unknown
	Error      string     `json:"error,omitempty"`
	Since      *time.Time `json:"since,omitempty"`      // when State became what it is
	LastReport *time.Time `json:"lastReport,omitempty"` // when the registry last vouched for what stands; absent: never
	Services   int        `json:"services"`
	Instances  int        `json:"instances"`
	Usable     int        `json:"usable"` // healthy, enabled, with weight
	Events     uint64     `json:"events"` // changed or removed services since the start
	Faults     []Fault    `json:"faults,omitempty"`
	Held       *Held      `json:"held,omitempty"` // a loss that is held back; absent: none
}

// Held is a loss that the guard holds back in a scope.
type Held struct {
	Instances int        `json:"instances"` // served, though the registry no longer reports them as usable
	Services  int        `json:"services"`  // that they belong to
	Most      int        `json:"most"`      // usable instances within the window before the loss
	Now       int        `json:"now"`       // usable instances that the registry reports
	Since     time.Time  `json:"since"`
	Until     *time.Time `json:"until,omitempty"` // when it passes by time; absent: never
}

// Release is the answer to a release: what went in each scope, none where nothing was held.
type Release struct {
	Source   string             `json:"source"`
	Released []sources.Released `json:"released"` // never null
}

// Fault is something that a source could not read and left out.
type Fault struct {
	Where  string `json:"where"`
	Reason string `json:"reason"`
}

// Service is one host that services of the registries want, served or not.
type Service struct {
	Host       string     `json:"host"`
	Namespace  string     `json:"namespace"`
	Services   []Ref      `json:"services"` // what it is made of, in order of precedence
	Sources    []string   `json:"sources"`
	Addresses  []string   `json:"addresses"` // the VIPs
	Ports      []Port     `json:"ports"`
	Endpoints  int        `json:"endpoints"`
	EmptySince *time.Time `json:"emptySince,omitempty"` // absent: it has endpoints, or never had any
	Subsets    []string   `json:"subsets"`
	Revision   string     `json:"revision,omitempty"` // the Istio revision that alone receives it
	Slot       int        `json:"slot"`               // of 4096; shard i of n holds the slots that are i modulo n
	Changed    *time.Time `json:"changed,omitempty"`  // when the registry event behind its present state was seen
	Resources  []string   `json:"resources"`          // "kind namespace/name" of each object made of it; none: it is not served
}

// Ref is a service in its registry's words.
type Ref struct {
	Source    string `json:"source"`
	Scope     string `json:"scope"`
	Namespace string `json:"namespace,omitempty"`
	Group     string `json:"group,omitempty"`
	Name      string `json:"name"`
	Version   string `json:"version,omitempty"`
}

// Port is a port of a service.
type Port struct {
	Number   uint32 `json:"number"`
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
}

// ServiceDetail is a Service with its endpoints and the objects as they are served.
type ServiceDetail struct {
	Service
	Backends []Endpoint        `json:"backends"`
	Rejected []Rejection       `json:"rejected"` // what was left out of it, and why
	Objects  []json.RawMessage `json:"objects"`  // Istio objects
}

// Endpoint is one address of a service.
type Endpoint struct {
	Address  string            `json:"address"`
	Ports    map[string]uint32 `json:"ports"`
	Labels   map[string]string `json:"labels,omitempty"`
	Locality string            `json:"locality,omitempty"`
	Network  string            `json:"network,omitempty"`
	Weight   uint32            `json:"weight,omitempty"`
}

// Resource is one configuration object that is served.
type Resource struct {
	Kind      string          `json:"kind"` // ServiceEntry, DestinationRule or VirtualService
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Version   string          `json:"version"` // equal on every replica when the object is
	Host      string          `json:"host"`
	Revision  string          `json:"revision,omitempty"`
	Sources   []string        `json:"sources"`
	Slot      int             `json:"slot"`
	Changed   *time.Time      `json:"changed,omitempty"`
	ExportTo  []string        `json:"exportTo,omitempty"` // absent: every namespace sees it, as meshConfig has it by default
	Policy    bool            `json:"policy,omitempty"`   // of a DestinationRule: it has a trafficPolicy
	Created   *time.Time      `json:"created,omitempty"`  // what istiod takes for its age; of two for one host the older wins
	Object    json.RawMessage `json:"object,omitempty"`   // the Istio object, when asked for with object=true
}

// Client is one stream of an istiod or another MCP client.
type Client = mcpserver.Client

// ClientKind is what a client holds of one kind.
type ClientKind = mcpserver.ClientKind

// Rejection is something that is not served as the registry says it, and why.
type Rejection = convert.Rejection

// The operations of an Event.
const (
	Added   = "added"
	Changed = "changed"
	Removed = "removed"
)

// Event is one change of what is served. The event stream starts with one whose Op is "" and that tells the generation from
// which on changes follow.
type Event struct {
	Op         string    `json:"op,omitempty"`
	Generation uint64    `json:"generation"`
	Open       bool      `json:"open"` // the gate
	Resource   *Resource `json:"resource,omitempty"`
}
