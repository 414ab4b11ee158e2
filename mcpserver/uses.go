package mcpserver

import (
	"slices"
	"time"

	"meshbridge/mcpserver/store"
)

// uses tells which parts of resources the client needs for what it holds, or may hold, of later kinds. A value counts from
// when it is sent until what replaces it has been acknowledged. The cost is in what is sent, and only in what has Needs.
type uses struct {
	by   map[store.Need]*use
	ends []end // of uses, oldest first
}

// use is one part that is needed, or was until not long ago.
type use struct {
	values []*store.Resource // that need it
	last   *store.Resource   // the last of them to go
	left   time.Time         // when it went, if values is empty
}

type end struct {
	at   time.Time
	need store.Need
}

// add counts a value that is sent. nil is nothing.
func (u *uses) add(r *store.Resource) {
	if r == nil {
		return
	}
	for _, n := range r.Needs {
		if !before(n.Key.Kind, r.Kind) {
			continue // it could never be let go
		}
		if u.by[n] == nil {
			u.by[n] = new(use)
		}
		u.by[n].values = append(u.by[n].values, r)
	}
}

// drop no longer counts a value that the client is known not to hold any more. nil is nothing.
func (u *uses) drop(r *store.Resource, now time.Time) {
	if r == nil {
		return
	}
	for _, n := range r.Needs {
		use := u.by[n]
		if use == nil {
			continue
		}
		i := slices.Index(use.values, r)
		if i < 0 {
			continue
		}
		use.values = slices.Delete(use.values, i, i+1)
		if len(use.values) == 0 {
			use.last, use.left = r, now
			u.ends = append(u.ends, end{at: now, need: n})
		}
	}
}

// forget drops the uses that ended by a time.
func (u *uses) forget(by time.Time) {
	for len(u.ends) > 0 && !u.ends[0].at.After(by) {
		e := u.ends[0]
		if use := u.by[e.need]; use != nil && len(use.values) == 0 && use.left.Equal(e.at) {
			delete(u.by, e.need)
		}
		u.ends = u.ends[1:]
	}
}

// before reports whether a kind comes before another one in the order in which a client must come to hold them.
func before(a, b store.Kind) bool {
	i := slices.Index(store.Kinds(), a)
	return i >= 0 && i < slices.Index(store.Kinds(), b)
}
