package sources

import "slices"

// report is one report on a scope: what it changes is served or held back, and then judged as a whole.
type report struct {
	m       *Mirror
	src     *mirrored
	sc      *scope
	first   bool // this process has not read the scope before
	changes []change
}

// change is what a report says of one service, and what was served of it before.
type change struct {
	key           Key
	before, after packed
}

func (m *Mirror) beginLocked(src *mirrored, sc *scope) *report {
	return &report{m: m, src: src, sc: sc, first: !sc.read()}
}

// report takes what the registry says of a service, nil: it has none.
func (b *report) report(key Key, p packed) {
	before := b.sc.services[key]
	said := before
	if a := b.sc.guard.absences[key]; a != nil && a.kept > 0 {
		said = a.report
	}
	if same(said, p) {
		return
	}
	served := p
	if b.src.Protect.active() {
		served = b.sc.guard.weigh(key, before, p, b.m.now())
		if p != nil {
			b.changes = append(b.changes, change{key, before, p})
		}
	}
	b.m.serveLocked(b.src, b.sc, key, served)
}

// end judges the report.
func (b *report) end() {
	b.reuse()
	b.m.settleLocked(b.src, b.sc)
}

// reuse lets go at once what went from an endpoint that has now come to another service: requests for the one must not reach
// the other. What comes with a scope's first report may have been there all along, so it says nothing of other scopes.
func (b *report) reuse() {
	scopes := map[*scope]*mirrored{}
	for _, src := range b.m.sources {
		for _, sc := range src.scopes {
			if len(sc.guard.at) > 0 && (sc == b.sc || !b.first) {
				scopes[sc] = src
			}
		}
	}
	if len(scopes) == 0 {
		return
	}
	for _, c := range b.changes {
		for _, endpoint := range c.arrived() {
			for sc, src := range scopes {
				for _, d := range slices.Clone(sc.guard.at[endpoint]) {
					if sc == b.sc && d.key == c.key {
						continue
					}
					if a, gone := sc.guard.find(d); gone != nil {
						was := gone.kept
						sc.guard.drop(d.key, a, d.id)
						if was {
							b.m.serveLocked(src, sc, d.key, a.joined())
						}
					}
				}
			}
		}
	}
	for sc, src := range scopes {
		if sc != b.sc {
			b.m.settleLocked(src, sc)
		}
	}
}

// arrived lists the endpoints of usable instances that the service has now and had not before.
func (c change) arrived() []string {
	was := usableOf(open(c.before))
	var arrived []string
	now := open(c.after)
	for i := range now.Instances {
		if !now.Instances[i].Usable() {
			continue
		}
		for _, e := range endpoints(&now.Instances[i]) {
			if !was.endpoints[e] {
				arrived = append(arrived, e)
			}
		}
	}
	return arrived
}
