package sources

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Run lets pass what has waited or was held for long enough, opens the gate over what an earlier process last read, and keeps
// what is served on disk, until ctx ends. Without it removals wait for ever, unless nothing is protected.
func (m *Mirror) Run(ctx context.Context) error {
	done := m.keeper.start(ctx, m)
	defer done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select { // one of three can happen: it is time, there is an earlier time, or we are told to stop
		case <-timer.C:
		case <-m.rouse:
		case <-ctx.Done():
			return ctx.Err()
		}
		if wait, armed := m.look(); armed {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
	}
}

// look decides what time alone decides, and says how long to wait for the next such decision, if there is any.
func (m *Mirror) look() (wait time.Duration, armed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.alarm.IsZero() || m.now().Before(m.alarm) {
		return m.alarm.Sub(m.now()), !m.alarm.IsZero()
	}
	m.alarm = time.Time{}
	if !m.open && !m.isCovered() {
		m.alarmLocked(m.covered)
	}
	for _, src := range m.sources {
		for _, sc := range src.scopes {
			if sc.guard.holding() || len(sc.guard.queue) > 0 {
				m.settleLocked(src, sc)
			}
		}
	}
	m.checkGateLocked()
	return m.alarm.Sub(m.now()), !m.alarm.IsZero()
}

// alarmLocked has Run look at the given time, if that is earlier than it would; zero: never.
func (m *Mirror) alarmLocked(at time.Time) {
	if at.IsZero() || !m.alarm.IsZero() && !at.Before(m.alarm) {
		return
	}
	m.alarm = at
	select {
	case m.rouse <- struct{}{}:
	default:
	}
}

// ErrNoSource says that no source of that name is expected.
var ErrNoSource = errors.New("no source has this name")

// Why what was held back passes.
const (
	overRecovered = "the scope has recovered"
	overHeld      = "it was held for as long as protect.hold says"
	overReleased  = "it was released"
)

// hold begins to hold a loss back. The time of the hold itself begins when anything is reported.
func (g *guard) hold(most, usable int, now time.Time) {
	g.since, g.most, g.holdFrom, g.recovered, g.blind = now, most, now, time.Time{}, usable == 0
}

func (g *guard) holding() bool { return !g.since.IsZero() }

// over says why what is held back passes now, or "". Usable is what the registry reports, followed whether it can be read.
func (g *guard) over(p Protect, usable int, followed bool, now time.Time) string {
	blind := usable == 0 || !followed
	if blind || g.blind {
		g.holdFrom = now
	}
	g.blind = blind
	if !followed || g.tooMuch(p, g.most, usable) {
		g.recovered = time.Time{}
	} else if g.recovered.IsZero() {
		g.recovered = now
	}
	switch {
	case g.kept == 0, !g.recovered.IsZero() && now.Sub(g.recovered) >= p.Window:
		return overRecovered
	case usable > 0 && followed && now.Sub(g.holdFrom) >= p.Hold:
		return overHeld
	}
	return ""
}

// due is when there is something to decide without a report; zero: never.
func (g *guard) due(p Protect, usable int, followed bool) time.Time {
	if !g.holding() {
		switch {
		case g.judged < len(g.queue):
			return g.queue[g.judged].since.Add(p.Delay)
		case len(g.queue) > 0: // to be forgotten, together with what went soon after
			return g.queue[0].since.Add(2 * p.Window)
		}
		return time.Time{}
	}
	var due time.Time
	if !g.recovered.IsZero() {
		due = g.recovered.Add(p.Window)
	}
	if held := g.holdFrom.Add(p.Hold); usable > 0 && followed && (due.IsZero() || held.Before(due)) {
		due = held
	}
	return due
}

// usable is how many usable instances the registry reports in the scope.
func (sc *scope) usable() int { return sc.status.Usable - sc.guard.kept }

// followed reports whether what the registry says of the scope is known.
func (sc *scope) followed() bool { return sc.status.State == Synced || sc.gone }

// settleLocked decides what passes and what is held back, after a report or when time has passed.
func (m *Mirror) settleLocked(src *mirrored, sc *scope) {
	g, p, now := sc.guard, src.Protect, m.now()
	g.history.set(sc.usable(), now)
	if g.holding() {
		g.judged = len(g.queue)
	}
	g.forgetOld(now.Add(-p.Window))
	if g.holding() {
		g.most = max(g.most, sc.usable())
		if why := g.over(p, sc.usable(), sc.followed(), now); why != "" {
			m.passLocked(src, sc, why)
		}
	} else {
		m.judgeLocked(src, sc)
	}
	if sc.gone && len(sc.services) == 0 {
		m.forgetScopeLocked(src, sc.status.Name, sc)
	}
	m.alarmLocked(g.due(p, sc.usable(), sc.followed()))
}

// judgeLocked lets pass what has waited for the delay, or begins to hold back what went.
func (m *Mirror) judgeLocked(src *mirrored, sc *scope) {
	g, p, now := sc.guard, src.Protect, m.now()
	if g.judged == len(g.queue) || now.Before(g.queue[g.judged].since.Add(p.Delay)) {
		return
	}
	if most := g.history.most(now.Add(-p.Window)); g.tooMuch(p, most, sc.usable()) {
		g.hold(most, sc.usable(), now)
		for _, key := range g.keepAll(sc.services) {
			m.serveLocked(src, sc, key, g.absences[key].joined())
		}
		m.log.Warn("too many instances went at once; what went is still served", "source", src.Name, "scope", sc.status.Name,
			"usable", sc.usable(), "most", most, "held", g.kept, "services", g.services(), "remedy", "meshbridge release "+src.Name)
		return
	}
	for key, a := range g.passDue(now.Add(-p.Delay)) {
		m.serveLocked(src, sc, key, a.joined())
	}
}

// passDue lets pass what went by the given time, and returns the services of which it went.
func (g *guard) passDue(by time.Time) map[Key]*absence {
	passed := map[Key]*absence{}
	for g.judged < len(g.queue) && !g.queue[g.judged].since.After(by) {
		d := g.queue[g.judged]
		g.judged++
		if a, gone := g.find(d); gone != nil && gone.kept {
			gone.kept = false
			a.kept--
			g.kept--
			passed[d.key] = a
		}
	}
	return passed
}

// passLocked lets go all that is held back.
func (m *Mirror) passLocked(src *mirrored, sc *scope, why string) Released {
	g := sc.guard
	r := Released{Scope: sc.status.Name, Instances: g.kept}
	if g.holding() {
		m.log.Info("what was held back passes", "source", src.Name, "scope", sc.status.Name, "instances", g.kept, "because", why)
	}
	absences := g.absences
	*g = guard{absences: map[Key]*absence{}, at: map[string][]departure{}}
	for key, a := range absences {
		if a.kept > 0 {
			r.Services++
			m.serveLocked(src, sc, key, a.report)
		}
	}
	g.history.set(sc.usable(), m.now())
	return r
}

// Release lets go what the guard holds back in the named source, and says what that was, by scope.
func (m *Mirror) Release(source string) ([]Released, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	src := m.sources[source]
	if src == nil {
		return nil, fmt.Errorf("%w: %q", ErrNoSource, source)
	}
	var all []Released
	for _, id := range src.scopeNames() {
		sc := src.scopes[id]
		if !sc.guard.holding() {
			continue
		}
		all = append(all, m.passLocked(src, sc, overReleased))
		m.settleLocked(src, sc)
	}
	m.checkGateLocked()
	return all, nil
}

// held tells an operator what is held back.
func (sc *scope) held(p Protect) *Held {
	g := sc.guard
	if !g.holding() {
		return nil
	}
	h := &Held{Instances: g.kept, Most: g.most, Now: sc.usable(), Since: g.since, Until: g.due(p, sc.usable(), sc.followed())}
	for _, a := range g.absences {
		if a.kept > 0 {
			h.Services++
		}
	}
	return h
}
