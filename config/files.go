package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxFile is the most that a configuration file or a secret may hold, in bytes.
const maxFile = 8 << 20

// Files is what a configuration was read from: the file itself and the files that it refers to, each with what it held.
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
		data, err := readFile(s.path)
		now.seen = append(now.seen, seen{s.path, sum(data, err)})
	}
	return now.Sum()
}

// read reads a file and remembers what it held.
func (f *Files) read(path string) ([]byte, error) {
	data, err := readFile(path)
	f.seen = append(f.seen, seen{path, sum(data, err)})
	return data, err
}

func sum(data []byte, err error) [sha256.Size]byte {
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(data)
}

// readFile reads a regular file of bounded size. It opens nothing else: a pipe without a writer would block for ever.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, maxFile)
	}
	return data, nil
}
