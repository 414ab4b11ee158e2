// Package convert translates what registries say into what Istio is served: services into ServiceEntries and
// DestinationRules. It holds the rules of the translation, the small memory that it needs (who has which host and address,
// what is empty since when), and the one loop that applies changes to the store. Its invariant: the same reports give the
// same bytes, on every replica and in any order of arrival, and what is wrong with one label, port, address or instance
// takes nothing else along.
package convert

import (
	"time"

	networkingpb "istio.io/api/networking/v1alpha3"

	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
)

// ManagedByLabel marks what the bridge generates; its value is ManagedBy.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "meshbridge"
)

// Created is the create time of every generated object but for those of a host that is divided, which are of the day that
// begins then (see layout). It is the same on every replica and after every restart, and lies so far ahead that an object of
// the same host that somebody wrote by hand is the older one, which Istio lets win.
func Created() time.Time { return time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC) }

// created is the create time of objects of a kind: with precedence override, rules for traffic are older than any of other people.
func (r *Rules) created(kind store.Kind) time.Time {
	if kind != store.ServiceEntry && r.config.Canary.Precedence == canary.PrecedenceOverride {
		return time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return Created()
}

// tlsModeLabel tells Istio that an endpoint takes mutual TLS.
const tlsModeLabel = "security.istio.io/tlsMode"

// static is the resolution of everything that is generated: it keeps istiod on pushes of endpoints only.
const static = networkingpb.ServiceEntry_STATIC
