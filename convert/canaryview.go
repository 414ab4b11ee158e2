package convert

import (
	"time"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

// States of a document.
const (
	CanaryServing    = "serving"    // what the file says is served
	CanaryPending    = "pending"    // no host of its services is known
	CanaryHeld       = "held"       // what the file says is not served, and nothing is in its place
	CanaryLastGood   = "lastGood"   // the last good content is served
	CanaryResponding = "responding" // rules at fault answer their requests
	CanarySuperseded = "superseded" // other documents have all of its hosts
)

// CanaryView is what is known of a document, for views.
type CanaryView struct {
	Name     string          `json:"name"` // "" for a file that could not be read
	Team     string          `json:"team,omitempty"`
	File     string          `json:"file"`
	State    string          `json:"state"`
	Served   string          `json:"served,omitempty"` // hash of the content that is served
	Since    *time.Time      `json:"since,omitempty"`  // when that content was first served
	Faults   []canary.Fault  `json:"faults,omitempty"`
	Findings []CanaryFinding `json:"findings,omitempty"` // what the user should know of what is served
	Services []CanaryService `json:"services,omitempty"`
	// Resources are the VirtualServices that the document takes part in; of one that a client waits for, its held resources tell.
	Resources []store.Key `json:"-"`
}

// Classes of findings.
const (
	FindingEmpty    = string(canary.Empty)
	FindingOverlap  = string(canary.Overlap)
	FindingProtocol = string(canary.Protocol)
	FindingRetire   = string(canary.Retire)
	FindingIdle     = string(canary.Idle)
	FindingHidden   = string(canary.Hidden)
	FindingUnknown  = "unknown" // a service that nobody knows

	FindingSuperseded = "superseded" // what another document says of a host, or has at a gateway
)

// CanaryFinding is something to know of a document that is served.
type CanaryFinding struct {
	Class   string `json:"class"`
	Warning bool   `json:"warning"` // false: for information
	Host    string `json:"host,omitempty"`
	Text    string `json:"text"` // with what to do
}

// CanaryService is a document at one host.
type CanaryService struct {
	Host      string         `json:"host"`
	Namespace string         `json:"namespace"`
	Subsets   []CanarySubset `json:"subsets"`
	Routes    []CanaryRoute  `json:"routes"` // of the host's VirtualService, of this document
}

// CanarySubset is a subset that a document names.
type CanarySubset struct {
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels"`
	Endpoints int               `json:"endpoints"`
	Canary    bool              `json:"canary"` // else the primary
}

// CanaryRoute is a rule of a VirtualService in short.
type CanaryRoute struct {
	Name         string        `json:"name"`
	Match        string        `json:"match,omitempty"` // in words, such as stage=canary
	Destinations []CanaryShare `json:"destinations,omitempty"`
	Status       uint32        `json:"status,omitempty"` // of the answer in place of a route
}

// CanaryShare is a destination of a rule.
type CanaryShare struct {
	Subset string `json:"subset"`
	Weight int    `json:"weight"` // percent
}

// CanaryPreview is what would come of documents that are not in place yet.
type CanaryPreview struct {
	Changes []CanaryChange            // if all become active; by kind and name
	Faults  map[string][]canary.Fault // by name, why nothing of it would be served as the world is now
	// Findings are by key, team/name where there are teams: what of a document others would take, if that is not so already. They
	// are of the entries, and of those that lose to them.
	Findings map[string][]CanaryFinding
}

// CanaryChange is one object that a document would change.
type CanaryChange struct {
	Key    store.Key
	Before *store.Resource // nil: it would be new
	After  *store.Resource // nil: it would go
}
