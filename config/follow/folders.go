package follow

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks is how many symbolic links a path may lead through, as in Linux.
const maxLinks = 40

// folders lists the folders in which a change can change what a path leads to: that of the file, that of every symbolic
// link on the way, and, where the path leads nowhere yet, the last folder that exists. In a ConfigMap's mount these are the
// mount, where ..data is swapped, and the folder that ..data points to.
func folders(path string) []string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	root := filepath.VolumeName(abs) + string(filepath.Separator)
	var found []string
	at, rest := root, split(abs[len(root):])
	for links := 0; len(rest) > 0 && links <= maxLinks; {
		next := filepath.Join(at, rest[0])
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			return unique(append(found, at))
		case info.Mode()&os.ModeSymlink != 0:
			links++
			found = append(found, at)
			target, err := os.Readlink(next)
			if err != nil {
				return unique(found)
			}
			rest = append(split(target), rest[1:]...)
			if filepath.IsAbs(target) {
				at = root
			}
		case len(rest) == 1:
			return unique(append(found, at))
		default:
			at, rest = next, rest[1:]
		}
	}
	return unique(found)
}

func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, string(filepath.Separator)), func(s string) bool { return s == "" || s == "." })
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
