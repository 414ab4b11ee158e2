package sources

import "context"

// Source follows one registry.
//
// Run reports to the sink until ctx ends or the registry is lost, and returns why. It first names its scopes, then gives
// each scope's first full Snapshot, then further Snapshots (pollers) or Updates (watchers). On failure it reports
// nothing but the scope's State; restarting and backing off are the business of [Run]. A Source decides nothing about
// Istio. It waits for every goroutine that it started before Run returns, and Run may be called again.
type Source interface {
	Run(ctx context.Context, sink Sink) error
}

// Sink takes a source's reports. State is level: the last report of a scope or service wins, nothing queues, and no
// method blocks on anything but memory. Values handed over belong to the sink from then on. Its methods may be called
// from several goroutines.
//
// A scope is a part of a registry that can fail alone: a Nacos namespace, a Consul datacenter, a ZooKeeper root. A source
// with one part uses one scope. Every Key in a report names the scope that it is reported for.
type Sink interface {
	// Scopes names all scopes that the source follows. It is called first, and again when they change; a scope no longer
	// named is forgotten with its services.
	Scopes(names []string)
	// Snapshot replaces all services of the scope. An empty snapshot says that the scope is known to be empty. Of a service
	// that it does not list but that unknown tells of, what was last reported stands: it could not be read, and may be there.
	// A nil unknown tells of none. It is called before Snapshot returns, and not after.
	Snapshot(scope string, services []*Service, unknown func(Key) bool)
	// Update replaces the changed services and forgets the removed ones. A changed service without instances has none now.
	// Updates of a scope before its first Snapshot are kept as parts of a picture not yet whole.
	Update(scope string, changed []*Service, removed []Key)
	// Retire forgets services that their owner took away on purpose, such as those of a deleted file: it is no loss to guard
	// against. Removals of which a registry cannot know the cause come as Snapshot and Update.
	Retire(scope string, keys []Key)
	// State says that the scope is being followed (nil), or why it is unknown just now. Snapshot and Update imply nil.
	State(scope string, err error)
	// Faults replaces the list of what could not be read in a scope that is otherwise known, such as one broken file.
	Faults(scope string, faults []Fault)
}

// Fault is something that a source could not read and left out, with a reason that an operator can act on.
type Fault struct {
	Where  string `json:"where"` // a file and line, a znode path, an instance ID
	Reason string `json:"reason"`
}
