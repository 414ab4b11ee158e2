package sources

import (
	"bytes"
	"net"
	"slices"
	"strconv"
	"time"
)

// guard holds back, for one scope, the loss of more usable instances than [Protect] lets go at once. What arrives passes at
// once. What leaves is still served for the delay, so that a session's death, which comes as thousands of single events, is
// judged as one; if it is too much, it stays served, and so does what left within the window before, until the scope has
// recovered, the hold is over, or an operator releases it. The mirror's mutex guards it, and the mirror serves what it says.
type guard struct {
	absences map[Key]*absence       // services of which usable instances went, not longer ago than the window or still served
	at       map[string][]departure // the same by address:port
	kept     int                    // instances that are served though they went
	queue    []departure            // in the order of time; the first judged of them have been judged
	judged   int
	history  peak // of the usable instances that the registry reports

	// While a loss is held back; since is zero otherwise.
	since     time.Time
	most      int       // usable instances within the window before
	holdFrom  time.Time // when the time of the hold began: nothing was reported before, or the scope was not followed
	blind     bool      // nothing was reported, or the scope was not followed, when it was last looked at
	recovered time.Time // since when the loss is small enough; zero while it is not
}

// absence is what went of one service.
type absence struct {
	service   *Service           // as it was when the first of them went, without its instances
	report    packed             // what the registry says, nil if it has no such service; of meaning while any is kept
	instances map[string]*absent // by ID
	kept      int
}

// absent is a usable instance that went.
type absent struct {
	instance Instance // as it was last served
	since    time.Time
	kept     bool // still served
}

// departure names an absent instance. It means nothing if there is none of that time any more.
type departure struct {
	key   Key
	id    string
	since time.Time
}

func newGuard() *guard { return &guard{absences: map[Key]*absence{}, at: map[string][]departure{}} }

// active reports whether anything can be held back.
func (p Protect) active() bool { return p != Protect{} }

// weigh compares what the registry says of a service (nil: gone) with what is served, takes note of what went, and returns
// what is to be served: the report, and in it what went and is kept.
func (g *guard) weigh(key Key, served, report packed, now time.Time) packed {
	a := g.absences[key]
	if a == nil && served == nil {
		return report
	}
	before, after := open(served), open(report)
	present := usableOf(after)
	if a != nil {
		for id, gone := range a.instances {
			if present.has(&gone.instance) {
				g.drop(key, a, id)
			}
		}
	}
	var went []Instance
	for i := range before.Instances {
		in := &before.Instances[i]
		if in.Usable() && !present.has(in) && (a == nil || a.instances[in.ID] == nil) {
			went = append(went, *in)
		}
	}
	if !replaced(before, after, len(went)) {
		for _, in := range went {
			if a == nil {
				a = newAbsence(before)
			}
			g.absences[key] = a
			g.add(key, a, in, now)
		}
	}
	if a == nil || a.kept == 0 {
		return report
	}
	a.report = report
	return a.joined()
}

// replaced reports whether at least as many usable instances came as went: such a service has lost none.
func replaced(before, after *Service, went int) bool {
	was, came := usableOf(before), 0
	for i := range after.Instances {
		if in := &after.Instances[i]; went > 0 && in.Usable() && !was.has(in) {
			came++
		}
	}
	return came >= went
}

func newAbsence(before *Service) *absence {
	s := *before
	s.Instances = nil
	return &absence{service: alone(&s), instances: map[string]*absent{}}
}

// alone is a copy that keeps nothing else in memory: what is unpacked shares its strings with all of the service.
func alone(s *Service) *Service { return open(pack(s)) }

// add notes that an instance went. It stays served.
func (g *guard) add(key Key, a *absence, in Instance, now time.Time) {
	in = alone(&Service{Instances: []Instance{in}}).Instances[0]
	a.instances[in.ID] = &absent{instance: in, since: now, kept: true}
	a.kept++
	g.kept++
	d := departure{key, in.ID, now}
	g.queue = append(g.queue, d)
	for _, e := range endpoints(&in) {
		g.at[e] = append(g.at[e], d)
	}
}

// joined is the report with what is kept, packed. A service that the registry has no more looks as it did.
func (a *absence) joined() packed {
	if a.kept == 0 {
		return a.report
	}
	s := *a.service
	if a.report != nil {
		s = *open(a.report)
	}
	var instances []Instance
	for _, in := range s.Instances {
		if gone := a.instances[in.ID]; gone == nil || !gone.kept {
			instances = append(instances, in)
		}
	}
	for _, gone := range a.instances {
		if gone.kept {
			instances = append(instances, gone.instance)
		}
	}
	s.Instances = instances
	return pack(&s)
}

// drop forgets that an instance went.
func (g *guard) drop(key Key, a *absence, id string) {
	gone := a.instances[id]
	if gone.kept {
		a.kept--
		g.kept--
	}
	for _, e := range endpoints(&gone.instance) {
		g.at[e] = slices.DeleteFunc(g.at[e], func(d departure) bool { return d.key == key && d.id == id })
		if len(g.at[e]) == 0 {
			delete(g.at, e)
		}
	}
	delete(a.instances, id)
	if len(a.instances) == 0 {
		delete(g.absences, key)
	}
}

// forget forgets what went of a service.
func (g *guard) forget(key Key) {
	if a := g.absences[key]; a != nil {
		for id := range a.instances {
			g.drop(key, a, id)
		}
	}
}

// retired takes n instances out of all that was before: they are no loss.
func (g *guard) retired(n int) {
	g.history.lower(n)
	g.most = max(0, g.most-n)
}

// find is the absent instance of a departure, or nil.
func (g *guard) find(d departure) (*absence, *absent) {
	a := g.absences[d.key]
	if a == nil || a.instances[d.id] == nil || !a.instances[d.id].since.Equal(d.since) {
		return nil, nil
	}
	return a, a.instances[d.id]
}

// forgetOld forgets what went before the window and is not served any more. What is kept needs no place in the queue.
func (g *guard) forgetOld(from time.Time) {
	n := 0
	for n < g.judged && !g.queue[n].since.After(from) {
		d := g.queue[n]
		if a, gone := g.find(d); gone != nil && !gone.kept {
			g.drop(d.key, a, d.id)
		}
		n++
	}
	if n == 0 {
		return
	}
	g.queue = g.queue[n:]
	g.judged -= n
	if len(g.queue) == 0 {
		g.queue = nil // so that the array of a burst goes
	}
}

// services is the number of services of which something went.
func (g *guard) services() int { return len(g.absences) }

// tooMuch reports whether the registry reports so much less than the most that it is held back.
func (g *guard) tooMuch(p Protect, most, usable int) bool {
	loss := most - usable
	return float64(loss) > float64(p.MaxLoss)/100*float64(most) && loss >= p.MinLoss.Instances && g.services() >= p.MinLoss.Services
}

// keepAll serves again what went within the window, and returns the services that this changes. Served is what is served of
// a service now.
func (g *guard) keepAll(served map[Key]packed) []Key {
	var changed []Key
	for key, a := range g.absences {
		before := a.kept
		if before == 0 {
			a.report = served[key]
		}
		for _, gone := range a.instances {
			if !gone.kept {
				gone.kept = true
				a.kept++
				g.kept++
			}
		}
		if a.kept != before {
			changed = append(changed, key)
		}
	}
	g.judged = len(g.queue)
	return changed
}

// open decodes what the mirror has packed itself; nothing is a service of no fields.
func open(p packed) *Service {
	if p == nil {
		return &Service{}
	}
	s, err := unpack(p)
	if err != nil {
		panic("guard: a packed service does not unpack: " + err.Error())
	}
	return s
}

// presence tells which instances a report has, by ID and by endpoint.
type presence struct {
	ids       map[string]bool
	endpoints map[string]bool
}

func usableOf(s *Service) presence {
	p := presence{ids: make(map[string]bool, len(s.Instances)), endpoints: make(map[string]bool, len(s.Instances))}
	for i := range s.Instances {
		if in := &s.Instances[i]; in.Usable() {
			p.ids[in.ID] = true
			for _, e := range endpoints(in) {
				p.endpoints[e] = true
			}
		}
	}
	return p
}

// has reports whether the instance is there, under its ID or, registered anew, under another one.
func (p presence) has(in *Instance) bool {
	return p.ids[in.ID] || slices.ContainsFunc(endpoints(in), func(e string) bool { return p.endpoints[e] })
}

// endpoints lists the address:port pairs of an instance.
func endpoints(in *Instance) []string {
	all := make([]string, len(in.Ports))
	for i, p := range in.Ports {
		all[i] = net.JoinHostPort(in.Address, strconv.FormatUint(uint64(p.Number), 10))
	}
	return all
}

// same reports whether two packed services are equal; nil is none.
func same(a, b packed) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
