package canaries

import (
	"path/filepath"
	"slices"
	"strings"

	"meshbridge/config/follow"
)

// located is the path by which the bridge knows a file that somebody else names, who may be in another folder or on another
// machine: the path itself if one of the globs matches it, or else the one that a glob gives it which matches most of its end.
func located(globs []string, path string) string {
	if slices.ContainsFunc(globs, func(glob string) bool { return matching(filepath.Clean(path))(filepath.Clean(glob)) }) {
		return path
	}
	names := strings.Split(filepath.Clean(path), "/")
	best, most := path, 0
	for _, glob := range globs {
		parts := strings.Split(filepath.Clean(glob), "/")
		n := 0
		for n < min(len(names), len(parts)) && follow.Matches(parts[len(parts)-1-n], names[len(names)-1-n]) {
			n++
		}
		front := parts[:len(parts)-n]
		if n > most && !strings.ContainsAny(strings.Join(front, ""), `*?[\`) { // else nobody knows which folder it would be in
			best, most = strings.Join(slices.Concat(front, names[len(names)-n:]), "/"), n
		}
	}
	return best
}
