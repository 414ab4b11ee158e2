package follow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Identity tells without reading whether a file is still what it was. The zero value is that of no file.
type Identity struct {
	info    fs.FileInfo
	changed int64 // when its inode changed, in ns; 0 where the system does not tell
	err     error // why nothing is known of it
}

// Look is the identity of what a path leads to. It is told apart by device and inode, size, mode and times: a rename over the
// file, an edit in place and another target of a link on the way all make it another one.
func Look(path string) Identity {
	info, err := os.Stat(path)
	if err != nil {
		return Identity{err: err}
	}
	return identity(info)
}

func identity(info fs.FileInfo) Identity { return Identity{info: info, changed: changed(info)} }

// Same reports whether nothing has become of a file between two looks.
func (a Identity) Same(b Identity) bool {
	if a.info == nil || b.info == nil {
		return a.info == nil && b.info == nil && fmt.Sprint(a.err) == fmt.Sprint(b.err)
	}
	return os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() && a.info.Mode() == b.info.Mode() &&
		a.info.ModTime().Equal(b.info.ModTime()) && a.changed == b.changed
}

// Known reports whether it is that of a look at a file.
func (a Identity) Known() bool { return a.info != nil || a.err != nil }

// Gone reports whether there is no such file.
func (a Identity) Gone() bool { return errors.Is(a.err, fs.ErrNotExist) }

// Dir reports whether it is that of a folder.
func (a Identity) Dir() bool { return a.info != nil && a.info.IsDir() }

// Readable says why a file is not to be opened: it is not there, no regular file, or too long. A pipe without a writer would
// block for ever, and a device has no end.
func (a Identity) Readable(path string, limit int64) error {
	switch {
	case a.info == nil:
		return a.err
	case !a.info.Mode().IsRegular():
		return fmt.Errorf("read %s: not a regular file", path)
	case a.info.Size() > limit:
		return fmt.Errorf("read %s: more than %d bytes", path, limit)
	}
	return nil
}
