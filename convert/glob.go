package convert

import "strings"

// glob matches names without regard to case; * is any text and ? any one byte.
type glob string

func newGlob(pattern string) glob { return glob(strings.ToLower(pattern)) }

// literal reports whether the glob matches one name only.
func (g glob) literal() bool { return !strings.ContainsAny(string(g), "*?") }

// match reports whether the glob matches a name in lower case.
func (g glob) match(name string) bool {
	p, n := 0, 0
	star, mark := -1, 0
	for n < len(name) {
		switch {
		case p < len(g) && g[p] == '*':
			star, mark = p, n
			p++
		case p < len(g) && (g[p] == '?' || g[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(g) && g[p] == '*' {
		p++
	}
	return p == len(g)
}

// globs matches what any of its globs matches.
type globs []glob

func newGlobs(patterns []string) globs {
	all := make(globs, len(patterns))
	for i, p := range patterns {
		all[i] = newGlob(p)
	}
	return all
}

func (all globs) match(name string) bool {
	for _, g := range all {
		if g.match(name) {
			return true
		}
	}
	return false
}
