package follow

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Folder is a folder in which a glob looks for files or for folders to look in.
type Folder struct {
	Path string // as the glob has it
	Glob string // what the glob finds in it and below it; the glob itself for the folder that it begins in
	Root string // the folder that the glob begins in, which what it finds must not leave
	Last bool   // the names are those of files
	// Info is nil if it cannot be listed or does not exist.
	Info  os.FileInfo
	Err   error    // why it cannot be listed, fs.ErrNotExist if it is not there
	Names []string // what matches in it, sorted
	Links []string // those names that are symbolic links
}

// List looks through the folders of a well-formed glob, from the one that it begins in. Files that are folders are passed
// over, and so are names that begin with a dot, as those of editors and of mounts, unless the glob's own name begins with
// one. A folder below the first that is not there is no folder of the glob.
func List(pattern string) []Folder {
	pattern = filepath.Clean(pattern)
	root := begin(pattern)
	l := lister{root: root}
	if root == "." {
		root = ""
	}
	l.list(l.root, split(strings.TrimPrefix(pattern, root)))
	return l.folders
}

type lister struct {
	root    string
	folders []Folder
}

// list looks for the first of the parts in a folder, and for the others below what it finds.
func (l *lister) list(path string, parts []string) {
	f := Folder{Path: path, Root: l.root, Last: len(parts) == 1, Glob: filepath.Join(append([]string{Literal(path)}, parts...)...)}
	var entries []fs.DirEntry
	if f.Info, f.Err = os.Stat(path); f.Err == nil {
		entries, f.Err = listing(path, parts[0])
	}
	if f.Err != nil {
		f.Info = nil
		if path == l.root || !errors.Is(f.Err, fs.ErrNotExist) {
			l.folders = append(l.folders, f)
		}
		return
	}
	for _, entry := range entries {
		name, link := entry.Name(), entry.Type()&fs.ModeSymlink != 0
		if !Matches(parts[0], name) || f.Last && entry.IsDir() || !f.Last && !link && !entry.IsDir() {
			continue
		}
		f.Names = append(f.Names, name)
		if link {
			f.Links = append(f.Links, name)
		}
	}
	l.folders = append(l.folders, f)
	if f.Last {
		return
	}
	for _, name := range f.Names {
		below := filepath.Join(path, name)
		if slices.Contains(f.Links, name) && !leadsToFolder(below, l.root) {
			continue
		}
		l.list(below, parts[1:])
	}
}

// listing is what a folder has that one part of a glob may match. A plain name needs no listing.
func listing(path, part string) ([]fs.DirEntry, error) {
	if special(part) {
		return os.ReadDir(path)
	}
	info, err := os.Lstat(filepath.Join(path, part))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []fs.DirEntry{fs.FileInfoToDirEntry(info)}, nil
}

// leadsToFolder reports whether a link leads to a folder that lies within the root.
func leadsToFolder(link, root string) bool {
	target, err := Resolved(link)
	if err != nil {
		return false
	}
	root, err = Resolved(root)
	return err == nil && isWithin(root, target) && Look(target).Dir()
}

// Matches reports whether a glob's last part finds a name.
func Matches(pattern, name string) bool {
	part := filepath.Base(pattern)
	if strings.HasPrefix(name, ".") && !strings.HasPrefix(part, ".") {
		return false
	}
	ok, err := filepath.Match(part, name)
	return ok && err == nil
}

// Literal is the glob that matches a path and nothing else.
func Literal(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// File is one file that a glob found.
type File struct {
	Path string
	Data []byte
	Err  error // why it cannot be read
}

// Glob reads every file that a well-formed glob matches, of at most limit bytes each, in the order of their paths. Its error
// joins why folders cannot be listed; one that does not exist is none.
func Glob(pattern string, limit int64) (files []File, err error) {
	for _, folder := range List(pattern) {
		if folder.Err != nil && !errors.Is(folder.Err, fs.ErrNotExist) {
			err = errors.Join(err, folder.Err)
		}
		if !folder.Last {
			continue
		}
		for _, name := range folder.Names {
			path := filepath.Join(folder.Path, name)
			if Look(path).Dir() {
				continue
			}
			data, _, err := ReadWithin(folder.Root, path, limit)
			files = append(files, File{path, data, err})
		}
	}
	return files, err
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
