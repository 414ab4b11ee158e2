package sources

import "time"

// The states of a scope.
const (
	Unread  = "unread"  // never read by this process, and nothing is known from before
	Stale   = "stale"   // never read by this process; what an earlier one last read stands
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
	LastReport time.Time `json:"lastReport"` // when the registry last vouched for what stands; zero: never
	Services   int       `json:"services"`
	Instances  int       `json:"instances"`
	Usable     int       `json:"usable"` // healthy, enabled, with weight
	Events     uint64    `json:"events"` // changed or removed services since the start
	Faults     []Fault   `json:"faults,omitempty"`
	Held       *Held     `json:"held,omitempty"` // nil: nothing is held back
}

// Held is a loss that the guard holds back in a scope.
type Held struct {
	Instances int       `json:"instances"` // served, though the registry no longer reports them as usable
	Services  int       `json:"services"`  // that they belong to
	Most      int       `json:"most"`      // usable instances within the window before the loss
	Now       int       `json:"now"`       // usable instances that the registry reports
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"` // when it passes by time; zero: never, the whole scope is gone or not followed
}

// Released is what a release let go in one scope.
type Released struct {
	Scope     string `json:"scope"`
	Instances int    `json:"instances"`
	Services  int    `json:"services"`
}
