package follow

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ReadWithin reads a regular file of at most limit bytes that lies in a folder or below it, links followed: whoever may write
// there must not have another file shown. It gives the identity of what was read.
func ReadWithin(folder, path string, limit int64) ([]byte, Identity, error) {
	seen := Look(path)
	if err := seen.Readable(path, limit); err != nil {
		return nil, seen, err
	}
	root, err := Resolved(folder)
	if err != nil {
		return nil, seen, err
	}
	target, err := Resolved(path)
	if err != nil {
		return nil, seen, err
	}
	if !isWithin(root, target) {
		return nil, seen, fmt.Errorf("read %s: it is a link that leads out of %s", path, folder)
	}
	name, err := filepath.Rel(root, target)
	if err != nil {
		return nil, seen, err
	}
	inside, err := os.OpenRoot(root)
	if err != nil {
		return nil, seen, err
	}
	defer func() { _ = inside.Close() }() // it was read, or not at all
	// Within the root also if a link has been put in the way since, and without waiting if it is a pipe by now.
	file, err := inside.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, seen, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, seen, err
	}
	if seen = identity(info); seen.Readable(path, limit) != nil {
		return nil, seen, seen.Readable(path, limit)
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return nil, seen, fmt.Errorf("read %s: %w", path, err)
	case int64(len(data)) > limit:
		return nil, seen, fmt.Errorf("read %s: more than %d bytes", path, limit)
	}
	return data, seen, nil
}

// Resolved is an absolute path without links.
func Resolved(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// isWithin reports whether a path without links lies in a folder or below it.
func isWithin(folder, path string) bool {
	name, err := filepath.Rel(folder, path)
	return err == nil && name != ".." && !strings.HasPrefix(name, ".."+string(filepath.Separator))
}
