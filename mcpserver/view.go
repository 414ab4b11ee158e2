package mcpserver

import "meshbridge/mcpserver/store"

// View is the part of the store that a client sees.
type View struct {
	Name     string // the view asked for by the authority, or "" for the default
	Shard    store.Shard
	Revision string // the client's Istio revision; "" sees unlabelled resources only
}

// visible returns r if a client of the view's revision receives it, else nil. The shard is not asked. Where the view has the
// successor of a resource too, it is the successor that the client receives.
func (v View) visible(r *store.Resource) *store.Resource {
	if r == nil {
		return nil
	}
	if rev := r.Revision(); rev != "" && rev != v.Revision {
		return nil
	}
	if r.Successor != "" && v.Shard.Has(store.Slot(r.Successor)) {
		return nil
	}
	return r
}

// differs reports whether a view has any visible difference in a kind between two snapshots.
func (v View) differs(old, now *store.Snapshot, kind store.Kind) bool {
	for d := range now.SinceIn(old, kind, v.Shard) {
		if v.visible(d.Old) != nil || v.visible(d.New) != nil {
			return true
		}
	}
	return false
}
