package rollout

import (
	"slices"
	"time"
)

// Home is a namespace that a host has left. Istio keeps one Service for a host and takes the DestinationRules of that Service's
// namespace: so the new DestinationRule comes before the new ServiceEntry, and the old ServiceEntry goes before the old
// DestinationRule. It is kept on disk.
type Home struct {
	Namespace  string    `json:"namespace"`
	Since      time.Time `json:"since"`          // when the host left it, or with Bare when its ServiceEntry went
	Bare       bool      `json:"bare,omitempty"` // its ServiceEntry has gone, and its DestinationRule is still there
	Generation uint64    `json:"-"`              // the first state of the store in which that was so; 0: before this process
}

// Move is the former homes of a host that comes from a namespace to another one, "" being none.
func Move(homes []Home, from, to string, next uint64, now time.Time) []Home {
	homes = slices.DeleteFunc(slices.Clone(homes), func(h Home) bool { return h.Namespace == to || h.Namespace == from })
	if from != "" && from != to {
		homes = append(homes, Home{Namespace: from, Since: now, Generation: next})
	}
	return homes
}

// Tidy advances each former home once every client has moved with the host: first its ServiceEntry goes, and rest later its
// DestinationRule. busy are namespaces in which VirtualServices of the host are still served. due is when to look again, or zero.
func Tidy(homes []Home, host string, busy map[string]bool, clients Clients, next uint64, now time.Time, settle, rest time.Duration) (left []Home, due time.Time) {
	for _, h := range homes {
		least := settle
		if h.Bare {
			least = rest
		}
		over := h.Since.Add(least)
		switch {
		case over.After(now):
		case busy[h.Namespace] || !clients.Reached(host, h.Generation, now.Add(-settle)):
			over = now.Add(max(settle/2, time.Second))
		case h.Bare:
			continue
		default:
			h.Bare, h.Since, h.Generation = true, now, next
			over = now.Add(rest)
		}
		left = append(left, h)
		if due.IsZero() || over.Before(due) {
			due = over
		}
	}
	return left, due
}
