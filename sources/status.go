package sources

import "time"

// The states of a scope.
const (
	Unread  = "unread"  // never read by this process
	Synced  = "synced"  // read, and being followed
	Unknown = "unknown" // read before, not readable now; its last report stands
)

// SourceStatus is what an operator wants to know of one source.
type SourceStatus struct {
	Name     string        `json:"name"`
	Kind     string        `json:"kind"` // file, zookeeper, …
	Required bool          `json:"required"`
	Scopes   []ScopeStatus `json:"scopes"` // sorted by name
	Err      string        `json:"error,omitempty"`
	Restarts int           `json:"restarts"` // how often Run has had to be called again
}

// ScopeStatus is what an operator wants to know of one scope.
type ScopeStatus struct {
	Name       string    `json:"name"`
	State      string    `json:"state"` // Unread, Synced or Unknown
	Err        string    `json:"error,omitempty"`
	Since      time.Time `json:"since"`      // when State became what it is
	LastReport time.Time `json:"lastReport"` // of the last Snapshot or Update; zero: none
	Services   int       `json:"services"`
	Instances  int       `json:"instances"`
	Usable     int       `json:"usable"` // healthy, enabled, with weight
	Events     uint64    `json:"events"` // changed or removed services since the start
	Faults     []Fault   `json:"faults,omitempty"`
}
