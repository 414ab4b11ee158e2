package follow

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Match is what a glob found.
type Match struct {
	Files []File // in the order of their paths
	// Err says why the folder that the glob begins in cannot be listed; nil if it can, or does not exist.
	Err error
	// Folder is the folder that the glob begins in, nil if it cannot be listed or does not exist.
	Folder os.FileInfo
}

// File is one file that a glob found.
type File struct {
	Path string
	Data []byte
	Err  error // why it cannot be read
}

// Glob reads every file that a well-formed glob matches, and remembers what they held. Folders are passed over, and so are
// names that begin with a dot, as those of editors and of mounts, unless the glob's own name begins with one.
func (f *Files) Glob(pattern string) Match {
	m := Match{}
	base := begin(pattern)
	info, err := os.Stat(base)
	if err == nil {
		_, err = os.ReadDir(base)
	}
	switch {
	case err == nil:
		m.Folder = info
	case !errors.Is(err, fs.ErrNotExist):
		m.Err = err
	}
	all := sha256.New()
	fmt.Fprintln(all, m.Folder != nil, m.Err)
	paths, _ := filepath.Glob(pattern) // its only error is a malformed glob
	for _, path := range paths {
		if name := filepath.Base(path); name[0] == '.' && !strings.HasPrefix(filepath.Base(pattern), ".") {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			continue
		}
		data, err := ReadFile(path)
		m.Files = append(m.Files, File{path, data, err})
		one := sum(data, err)
		all.Write([]byte(path + "\x00"))
		all.Write(one[:])
	}
	f.seen = append(f.seen, seen{path: pattern, glob: true, sum: [sha256.Size]byte(all.Sum(nil))})
	return m
}

// begin is the folder above the first part of a glob that is a pattern, or above its last part.
func begin(pattern string) string {
	dir := filepath.Dir(pattern)
	for special(dir) {
		dir = filepath.Dir(dir)
	}
	return dir
}

func special(path string) bool { return strings.ContainsAny(path, `*?[\`) }

// globFolders lists the folders in which a change can change what a glob matches, or what its matches lead to.
func globFolders(pattern string) []string {
	var all []string
	within := filepath.Dir(pattern)
	parents := []string{within}
	if special(within) {
		parents, _ = filepath.Glob(within)
		all = globFolders(within)
	}
	for _, parent := range parents {
		all = append(all, folders(filepath.Join(parent, "\x00"))...) // a name that no file has
	}
	paths, _ := filepath.Glob(pattern)
	for _, path := range paths {
		all = append(all, folders(path)...)
	}
	return unique(all)
}
