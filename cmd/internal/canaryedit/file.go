package canaryedit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"meshbridge/config/canaries"
	"meshbridge/config/follow"
)

// File is a file of canary documents.
type File struct {
	Path string
	Text []byte
}

// Find reads the file that has the document of a name, as the bridge finds it: of several the first by path. The globs are
// those of canary.files. An error lists the documents that there are.
func Find(globs []string, name string) (File, error) {
	files, err := Files(globs)
	var known []string
	for _, f := range files {
		names := Names(f.Text)
		if slices.Contains(names, name) {
			return f, nil
		}
		known = append(known, names...)
	}
	is := "there are no others"
	if len(known) > 0 {
		is = "there are " + strings.Join(known, ", ")
	}
	return File{}, errors.Join(fmt.Errorf("no document %q can be edited in %s; %s", name, strings.Join(globs, ", "), is), err)
}

// Files reads the files that match, by path, as far as they can be read; the error joins why others cannot.
func Files(globs []string) ([]File, error) {
	var files []File
	var errs []error
	for _, glob := range globs {
		found, err := follow.Glob(glob, canaries.MaxFile)
		errs = append(errs, err)
		for _, f := range found {
			if f.Err != nil {
				errs = append(errs, f.Err)
				continue
			}
			files = append(files, File{f.Path, f.Data})
		}
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	files = slices.CompactFunc(files, func(a, b File) bool { return a.Path == b.Path })
	return files, errors.Join(errs...)
}

// Write replaces a file at once and keeps its mode and its owner, since the bridge has to read it. It refuses what is not the file itself but a link to it, as on a mount of
// a ConfigMap, and what is read-only.
func Write(path string, text []byte) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a link, as on the mount of a ConfigMap: edit what it comes from", path)
	case info.Mode()&0o200 == 0:
		return fmt.Errorf("%s is read-only", path)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // hidden, so that no glob finds it
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	err = errors.Join(err, keepOwner(temp, info), temp.Chmod(info.Mode().Perm()), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temp.Name()))
	}
	return nil
}
