package strict

import (
	"cmp"
	"slices"
	"strings"
)

// unknownKey says what would be right in place of a key that does not exist.
func unknownKey(key string, known []string) string {
	list := "keys here: " + strings.Join(known, ", ")
	if near := Nearest(key, known); near != "" {
		return "did you mean " + near + "? (" + list + ")"
	}
	return list
}

// Nearest is the known name that a word was probably meant to be, or "".
func Nearest(word string, known []string) string {
	type near struct {
		name string
		far  int
	}
	var best []near
	for _, name := range known {
		far := distance(strings.ToLower(word), strings.ToLower(name))
		if far <= max(1, min(len(word), len(name))/3) {
			best = append(best, near{name, far})
		}
	}
	if len(best) == 0 {
		return ""
	}
	return slices.MinFunc(best, func(a, b near) int { return cmp.Or(cmp.Compare(a.far, b.far), strings.Compare(a.name, b.name)) }).name
}

// distance counts the letters to add, drop, replace or swap with their neighbour (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			other := 1
			if a[i-1] == b[j-1] {
				other = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+other)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
