package sources

import "time"

// peak knows the highest value that a level had within a window. It keeps the values that are higher than all later ones, so
// it costs no more than there are such.
type peak struct {
	levels []level // falling; the last one is the present
}

type level struct {
	value int
	until time.Time // zero for the present one
}

// set says that the level is value from now on.
func (p *peak) set(value int, now time.Time) {
	if n := len(p.levels); n > 0 {
		p.levels[n-1].until = now
	}
	for n := len(p.levels); n > 0 && p.levels[n-1].value <= value; n-- {
		p.levels = p.levels[:n-1]
	}
	p.levels = append(p.levels, level{value: value})
}

// most is the highest value since the given time. What ended before is forgotten.
func (p *peak) most(since time.Time) int {
	for len(p.levels) > 1 && p.levels[0].until.Before(since) {
		p.levels = p.levels[1:]
	}
	if len(p.levels) == 0 {
		return 0
	}
	return p.levels[0].value
}

// lower takes n from every value, as if it had never been there.
func (p *peak) lower(n int) {
	for i := range p.levels {
		p.levels[i].value = max(0, p.levels[i].value-n)
	}
}
