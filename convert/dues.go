package convert

import (
	"container/heap"
	"time"
)

// dues are the hosts that time alone will change, the soonest first. A host may be there more often than it must.
type dues []due

type due struct {
	at   time.Time
	host string
}

func (d dues) Len() int           { return len(d) }
func (d dues) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d dues) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *dues) Push(x any)        { *d = append(*d, x.(due)) }
func (d *dues) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}

func (d *dues) add(at time.Time, host string) { heap.Push(d, due{at: at, host: host}) }

// until takes out the hosts that are due.
func (d *dues) until(now time.Time) []string {
	var hosts []string
	for len(*d) > 0 && !(*d)[0].at.After(now) {
		hosts = append(hosts, heap.Pop(d).(due).host)
	}
	return hosts
}

// next is when the next host is due, or zero.
func (d dues) next() time.Time {
	if len(d) == 0 {
		return time.Time{}
	}
	return d[0].at
}
