package canaryedit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"meshbridge/config/follow"
)

// UnwritableError says why a file cannot be replaced. The file is as it was.
type UnwritableError struct{ Err error }

func (e *UnwritableError) Error() string { return e.Err.Error() }

func (e *UnwritableError) Unwrap() error { return e.Err }

// maxTries bounds how often an edit begins anew because somebody else changed the file.
const maxTries = 5

// Update replaces the text of a file by what edit makes of it. Edits of the files of one folder follow each other, those of other
// processes too, so none is lost. Who writes the file in another way, such as an editor, is found out, and edit is then
// called again, with what the file has by now. An error of edit leaves the file, and is returned as it is; the error for a
// file that cannot be written is an *UnwritableError.
func Update(ctx context.Context, path string, edit func(text []byte) ([]byte, error)) (err error) {
	unlock, err := lock(ctx, filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("wait for other edits in %s: %w", filepath.Dir(path), err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	for range maxTries {
		text, err := follow.ReadFile(path)
		if err != nil {
			return err
		}
		edited, err := edit(text)
		if err != nil || bytes.Equal(text, edited) {
			return err
		}
		if changed, err := replace(path, text, edited, exchange); !changed || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is left to others: it was changed %d times while it was edited; try again when it is at rest", path, maxTries)
}

// replace puts a text in the place of another one at once, and keeps the file's mode and owner, since the bridge has to read it.
// If the file is not the one that was read it stays, and changed is true. exchange lets two files change their names.
func replace(path string, was, text []byte, exchange func(a, b string) error) (changed bool, err error) {
	info, err := os.Lstat(path)
	if err == nil {
		err = writable(path, info)
	}
	if err != nil {
		return false, &UnwritableError{err}
	}
	temp, err := written(path, text, info)
	if err != nil {
		return false, &UnwritableError{err}
	}
	err = exchange(temp, path)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		if !holds(path, was) {
			return true, os.Remove(temp)
		}
		err = os.Rename(temp, path)
	case err == nil && !holds(temp, was):
		return true, takeBack(temp, path, text, exchange)
	case err == nil:
		return false, errors.Join(os.Remove(temp), syncFolder(path))
	}
	if err != nil {
		return false, &UnwritableError{errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temp))}
	}
	return false, syncFolder(path)
}

// writable refuses what is not the file itself but a link to it, as on a mount of a ConfigMap, and what is read-only.
func writable(path string, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a link, as on the mount of a ConfigMap: edit what it comes from", path)
	case info.Mode()&0o200 == 0:
		return fmt.Errorf("%s is read-only", path)
	}
	return nil
}

// written writes a text into a file beside another one, with its mode and owner, and returns its path. The name is hidden, so
// that no glob finds it.
func written(path string, text []byte, as fs.FileInfo) (string, error) {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	_, err = temp.Write(text)
	err = errors.Join(err, keepOwner(temp, as), temp.Chmod(as.Mode().Perm()), temp.Sync(), temp.Close())
	if err != nil {
		return "", errors.Join(fmt.Errorf("write %s: %w", temp.Name(), err), os.Remove(temp.Name()))
	}
	return temp.Name(), nil
}

// takeBack gives what was exchanged for a text its place back. Should somebody replace the file between the two exchanges, what
// they wrote stays.
func takeBack(temp, path string, text []byte, exchange func(a, b string) error) error {
	err := exchange(temp, path)
	if err == nil && !holds(temp, text) {
		err = exchange(temp, path)
	}
	if err != nil {
		return fmt.Errorf("what others wrote into %s meanwhile is in %s now: %w", path, temp, err)
	}
	return os.Remove(temp)
}

// holds reports whether a file, and no link to it, holds a text.
func holds(path string, text []byte) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	now, err := follow.ReadFile(path)
	return err == nil && bytes.Equal(now, text)
}

// syncFolder has the name of a file outlast a failure of the machine.
func syncFolder(path string) error {
	f, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("%s is written, but may be lost if the machine fails now: %w", path, err)
	}
	return nil
}
