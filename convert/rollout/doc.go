// Package rollout takes a host from one plan to the next without a request lost. A plan is the VirtualServices that documents
// ask for, and what these need: subsets and their labels on endpoints, service ports, and the namespace. Its invariant: the
// subsets, labels and ports that some client's VirtualServices may still need are served to all clients, so that any mix of what
// clients hold is safe. Endpoints change as the registries say; only the last ones of a subset stay until
// the routes to them have left.
//
//  1. Prepare: what the new routes need is served beside what the old ones need.
//  2. Switch: each client is sent the new routes when it has acknowledged that for settle (store.Gate). A route whose requests
//     another VirtualService takes over stays until every client has acknowledged that one.
//  3. Clean up: what no route needs any more goes when every client has acknowledged the new routes for settle, and no sooner
//     than Keep, for the clients that were away meanwhile.
package rollout

import "time"

// Keep is how long what routes have left is served at least: as long as a client may be away and come back with its old routes.
// An istiod that lost its stream waits for up to 90 s before it tries again; Keep is 12 settles, two minutes by default.
func Keep(settle time.Duration) time.Duration { return 12 * settle }

// Elsewhere is how long a route stays that another one takes over in another shard, for clients that follow that shard by
// another replica: their acknowledgement is not seen here. Within it the other replica has prepared, switched and settled.
func Elsewhere(settle time.Duration) time.Duration { return 4 * settle }

// Clients tells what the clients of the store have acknowledged.
type Clients interface {
	// Reached reports whether every client that receives what lives with a host had acknowledged, at a time, a state of the store
	// of a generation or a newer one, with nothing of that host held back.
	Reached(host string, generation uint64, by time.Time) bool
	// Elsewhere reports whether an istiod is connected that follows the host by no stream to this process.
	Elsewhere(host string) bool
}

// Nobody is no client at all.
type Nobody struct{}

// Reached reports true.
func (Nobody) Reached(string, uint64, time.Time) bool { return true }

// Elsewhere reports false.
func (Nobody) Elsewhere(string) bool { return false }
