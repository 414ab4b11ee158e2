package api

import (
	"net/url"
	"time"

	"meshbridge/convert"
)

// The paths of the canaries.
const (
	CanariesPath = "/api/v1/canaries"
	PreviewPath  = CanariesPath + "/preview"
)

// CanaryPath is the path of a canary document.
func CanaryPath(name string) string { return CanariesPath + "/" + url.PathEscape(name) }

// CanaryWaiting is the state of a document that is served but of which a client does not have all yet; the other states are
// those of convert.
const CanaryWaiting = "waiting"

// CanaryStates lists the states of a document.
func CanaryStates() []string {
	return []string{convert.CanaryServing, CanaryWaiting, convert.CanaryPending, convert.CanaryHeld, convert.CanaryLastGood, convert.CanaryResponding, convert.CanarySuperseded}
}

// Canary is one canary document and what is served of it.
type Canary struct {
	Name     string          `json:"name"` // "" for a file that could not be read
	Team     string          `json:"team,omitempty"`
	File     string          `json:"file"`
	State    string          `json:"state"`              // one of CanaryStates
	Served   string          `json:"served,omitempty"`   // hash of the content that is served; absent: none is
	Since    *time.Time      `json:"since,omitempty"`    // when that content was first served
	Faults   []DocumentFault `json:"faults,omitempty"`   // why what the file says is not served
	Findings []CanaryFinding `json:"findings,omitempty"` // what to know of what is served
	Services []CanaryService `json:"services"`
	Waiting  []CanaryWait    `json:"waiting,omitempty"` // clients that do not have all of it yet
}

// DocumentFault is one thing wrong with a canary document.
type DocumentFault struct {
	Document string `json:"document,omitempty"` // its name, where an answer is about several
	Path     string `json:"path,omitempty"`     // within the document, such as canaries[0].weight
	Text     string `json:"text"`               // what is wrong, and what would be right
}

// The words of convert that are the API's as well.
type (
	CanaryFinding = convert.CanaryFinding // something to know of a document
	CanaryService = convert.CanaryService // a document at one host
	CanarySubset  = convert.CanarySubset  // a subset that it names
	CanaryRoute   = convert.CanaryRoute   // one of its rules
	CanaryShare   = convert.CanaryShare   // a destination of a rule
)

// CanaryWait is a client that does not have what a document says yet.
type CanaryWait struct {
	Client   string `json:"client"`            // its node ID
	Resource string `json:"resource"`          // the namespace/name of the VirtualService; "" for all of them
	Seconds  *int   `json:"seconds,omitempty"` // until it is sent, rounded up; absent: it is not known when
	Reason   string `json:"reason"`
}

// Forgotten is the answer of a bridge that forgot a document.
type Forgotten struct {
	Name string `json:"name"`
	Team string `json:"team,omitempty"`
}

// Preview is what a file of canary documents would change.
type Preview struct {
	Changes []CanaryChange `json:"changes"` // by kind and name; never null
}

// CanaryChange is one object that would change.
type CanaryChange struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`             // namespace/name
	Before string `json:"before,omitempty"` // the object as YAML; absent: it would be new
	After  string `json:"after,omitempty"`  // absent: it would go
}
