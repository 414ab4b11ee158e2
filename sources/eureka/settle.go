package eureka

import "fmt"

// doubt judges answers of servers that may have only just started. Such a server answers at once, with nothing or with
// part of what there is, until every client has registered again, which takes as long as their heartbeats. It
// says nothing of that, so an answer that lacks something is believed when a later one has no more.
type doubt struct {
	before int  // the most that was listed at the last look
	open   bool // there was a last look
}

// suspicious reports whether a server's whole list may be that of one that has only just started. Uncertain says that it
// comes from another server than what is held, after a gap, or does not follow from what was held.
func suspicious(held *registry, listed int, uncertain bool) bool {
	switch {
	case held == nil:
		return listed == 0
	case held.counts.size() == 0:
		return false
	}
	return listed == 0 || uncertain && listed < held.counts.size()
}

// believe reports whether a suspicious list is to be believed, as it was seen before and has not grown since.
func (d *doubt) believe(listed int) bool {
	if d.open && listed <= d.before {
		*d = doubt{}
		return true
	}
	*d = doubt{before: listed, open: true}
	return false
}

// lacking is why a scope is unknown while its list is doubted.
type lacking struct{ listed, held int }

func (l lacking) Error() string {
	if l.held == 0 {
		return "the registry is empty, as it is when a server has only just started: it is read once more before that is believed"
	}
	return fmt.Sprintf("the registry lists %d of %d instances, as it does when a server has only just started: it is read once more before that is believed", l.listed, l.held)
}
