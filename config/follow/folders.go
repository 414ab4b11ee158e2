package follow

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks is how many symbolic links a path may lead through, as in Linux.
const maxLinks = 40

// trail lists the folders in which a change can change what a path leads to: that of the file, that of every symbolic link on
// the way, and, where the path leads nowhere yet, the last folder that exists. In a ConfigMap's mount these are the mount, where
// ..data is swapped, and the folder that ..data points to. It lists the links too.
func trail(path string) (folders, links []string) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, nil
	}
	root := filepath.VolumeName(abs) + string(filepath.Separator)
	at, rest := root, split(abs[len(root):])
	for len(rest) > 0 && len(links) <= maxLinks {
		next := filepath.Join(at, rest[0])
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			return unique(append(folders, at)), links
		case info.Mode()&os.ModeSymlink != 0:
			folders, links = append(folders, at), append(links, next)
			target, err := os.Readlink(next)
			if err != nil {
				return unique(folders), links
			}
			rest = append(split(target), rest[1:]...)
			if filepath.IsAbs(target) {
				at = root
			}
		case len(rest) == 1:
			return unique(append(folders, at)), links
		default:
			at, rest = next, rest[1:]
		}
	}
	return unique(folders), links
}

func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, string(filepath.Separator)), func(s string) bool { return s == "" || s == "." })
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// Trail lists the folders in which a change can change what folders that List gave hold or lead to, and the links on the way.
func Trail(list []Folder) (folders []string, links map[string]bool) {
	links = map[string]bool{}
	walked := map[string]bool{}
	walk := func(path string) {
		if walked[path] {
			return
		}
		walked[path] = true
		more, on := trail(path)
		folders = append(folders, more...)
		for _, link := range on {
			links[link] = true
		}
	}
	for _, f := range list {
		walk(filepath.Join(f.Path, "\x00")) // a name that no file has
		for _, name := range f.Links {
			link := filepath.Join(f.Path, name)
			target, err := os.Readlink(link)
			if err != nil || filepath.IsAbs(target) {
				walk(link)
				continue
			}
			target = filepath.Join(f.Path, target)
			if info, err := os.Lstat(target); err != nil || info.Mode()&os.ModeSymlink != 0 {
				walk(link)
				continue
			}
			walk(filepath.Join(filepath.Dir(target), "\x00")) // once for all files behind ..data
		}
	}
	return unique(folders), links
}
