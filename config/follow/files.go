package follow

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// MaxFile is the most that a file may hold, in bytes.
const MaxFile = 8 << 20

// Files is what a reading was made of: files, each with what it held. The zero value has none.
type Files struct {
	seen []seen
}

type seen struct {
	path string
	sum  [sha256.Size]byte // zero if it could not be read
}

// Paths lists the files in the order in which they were read.
func (f *Files) Paths() []string {
	paths := make([]string, len(f.seen))
	for i, s := range f.seen {
		paths[i] = s.path
	}
	return paths
}

// Sum is a hash over what the files held when they were read.
func (f *Files) Sum() [sha256.Size]byte {
	all := sha256.New()
	for _, s := range f.seen {
		all.Write(s.sum[:])
	}
	return [sha256.Size]byte(all.Sum(nil))
}

// Look is the hash over what the same files hold now; it differs from Sum if one changed, has gone or has come.
func (f *Files) Look() [sha256.Size]byte {
	now := Files{}
	for _, s := range f.seen {
		_, _ = now.Read(s.path) // what it held, or that it could not be read, is in the sum
	}
	return now.Sum()
}

// Read reads a file and remembers what it held.
func (f *Files) Read(path string) ([]byte, error) {
	data, err := ReadFile(path)
	f.seen = append(f.seen, seen{path: path, sum: sum(data, err)})
	return data, err
}

func sum(data []byte, err error) [sha256.Size]byte {
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(data)
}

// folders are those in which a change can change what the files are.
func (f *Files) folders() []string {
	var all []string
	for _, s := range f.seen {
		folders, _ := trail(s.path)
		all = append(all, folders...)
	}
	return unique(all)
}

// ReadFile reads a regular file of bounded size. It opens nothing else: a pipe without a writer would block for ever.
func ReadFile(path string) ([]byte, error) {
	if err := Look(path).Readable(path, MaxFile); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, MaxFile)
	}
	return data, nil
}
