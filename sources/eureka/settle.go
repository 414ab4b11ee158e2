package eureka

import (
	"fmt"
	"time"
)

// doubt judges lists of servers that may have only just started. Such a server answers at once, with nothing or with part of
// what there is, until every client has registered again: with their next heartbeats, and when caches have aged. It says
// nothing of that, so a list that lacks something is believed only when it has not grown for a while.
type doubt struct {
	open  bool
	most  int       // the most that was listed since it was opened
	since time.Time // when it was listed first
}

// suspicious reports whether a server's whole list may be that of one that has only just started. Uncertain says that it
// comes from another server than what is held, after a gap, or does not follow from what was held.
func suspicious(held, listed *registry, uncertain bool) bool {
	empty := listed.counts.size() == 0
	if held == nil {
		return empty
	}
	return held.counts.size() > 0 && (empty || uncertain && held.missing(listed) > 0)
}

// believe reports whether a suspicious list is to be believed: it was seen before, and has not grown for so long.
func (d *doubt) believe(listed int, now time.Time, settle time.Duration) bool {
	if !d.open || listed > d.most {
		*d = doubt{open: true, most: listed, since: now}
		return false
	}
	return now.Sub(d.since) >= settle
}

// lacking is why a scope is unknown while its list is doubted.
type lacking struct{ missing, held int }

func (l lacking) Error() string {
	if l.held == 0 {
		return "the registry is empty, as it is when a server has only just started: it is read once more before that is believed"
	}
	return fmt.Sprintf("the registry lacks %d of %d instances, as it does when a server has only just started: they are kept until the list no longer grows", l.missing, l.held)
}
