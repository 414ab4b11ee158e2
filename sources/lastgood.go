package sources

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// lastGoodFile is the file in the state directory; lockWait is how long another process may hold it.
const (
	lastGoodFile = "last-good.db"
	lockWait     = time.Second
)

// The file: a bucket for each source, in it its identity and a bucket for each scope, and in that the time when the registry
// last vouched for it and the packed services. Every value begins with a checksum.
var (
	identityKey = []byte("identity")
	scopePrefix = []byte("scope ")
	seenKey     = []byte("seen")
	servicePre  = []byte("service ")
)

// lastGood is the file that keeps what the sources last said. Its methods turn whatever is wrong with the file into errors.
type lastGood struct {
	db *bbolt.DB
}

// openLastGood opens the file, or makes it. A damaged one is set aside, and what it held is lost.
func openLastGood(dir string, log *slog.Logger) (*lastGood, error) {
	path := filepath.Join(dir, lastGoodFile)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory (state.dir): %w", err)
	}
	l, err := checkedLastGood(path)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is in use by another process: give each its own state.dir", path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, errNoRoom):
		return nil, err
	}
	if _, gone := os.Stat(path); gone != nil {
		return nil, err
	}
	aside := path + ".damaged"
	log.Error("what the registries last said is damaged; it is set aside, and until each registry is read there is nothing to serve in its place",
		"file", path, "aside", aside, "err", err)
	if err := os.Rename(path, aside); err != nil {
		return nil, fmt.Errorf("set the damaged file aside: %w", err)
	}
	return checkedLastGood(path)
}

// checkedLastGood opens the file and reads every value in it once.
func checkedLastGood(path string) (*lastGood, error) {
	var db *bbolt.DB
	err := guarded(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
		if err != nil {
			return fmt.Errorf("open %s: %w", path, noRoom(err))
		}
		return db.View(func(tx *bbolt.Tx) error {
			if info, err := os.Stat(path); err != nil || tx.Size() > info.Size() {
				return fmt.Errorf("%s ends early: %w", path, errors.Join(err, errSum))
			}
			return tx.ForEach(func(name []byte, source *bbolt.Bucket) error { return checkSource(source) })
		})
	})
	if err != nil {
		if db != nil {
			_ = db.Close() // it is given up
		}
		return nil, err
	}
	return &lastGood{db: db}, nil
}

func checkSource(source *bbolt.Bucket) error {
	return source.ForEach(func(k, v []byte) error {
		if v != nil {
			_, err := checked(v)
			return err
		}
		return source.Bucket(k).ForEach(func(_, v []byte) error {
			_, err := checked(v)
			return err
		})
	})
}

// guarded runs f. Reading a truncated file through its memory map faults, and bbolt panics on broken pages: both are errors.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its pages are broken: %v", p)
		}
	}()
	return f()
}

// keptScope is what the file holds of one scope.
type keptScope struct {
	seen     time.Time // when the registry last vouched for it
	services map[Key]packed
}

// load reads what a source last said, if it was of the same identity.
func (l *lastGood) load(source, identity string) (scopes map[string]keptScope, err error) {
	err = guarded(func() error {
		return l.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(source))
			if b == nil || string(value(b.Get(identityKey))) != identity {
				return nil
			}
			scopes = map[string]keptScope{}
			return b.ForEachBucket(func(name []byte) error {
				scope := keptScope{services: map[Key]packed{}}
				err := b.Bucket(name).ForEach(func(k, v []byte) error { return scope.take(k, v) })
				scopes[string(name[len(scopePrefix):])] = scope
				return err
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read what source %s last said: %w", source, err)
	}
	return scopes, nil
}

func (k *keptScope) take(key, v []byte) error {
	v, err := checked(v)
	if err != nil {
		return err
	}
	if string(key) == string(seenKey) {
		k.seen = time.Unix(0, int64(binary.BigEndian.Uint64(v)))
		return nil
	}
	p := packed(append([]byte(nil), v...)) // the page is bbolt's
	s, err := unpack(p)
	if err != nil {
		return err
	}
	k.services[s.Key] = p
	return nil
}

// unsaved is what the file does not hold yet.
type unsaved struct {
	identities map[string]string               // of sources
	seen       map[string]map[string]time.Time // of scopes, by source
	services   []unsavedService                // in the order of their keys, so that neighbours share a page
	gone       []goneScope
}

// unsavedService is one service as it is served, nil: gone.
type unsavedService struct {
	ref    Ref
	key    string
	served packed
}

// inOrder lists services in the order of the file's keys.
func inOrder(dirty map[Ref]bool) []unsavedService {
	all := make([]unsavedService, 0, len(dirty))
	for ref := range dirty {
		all = append(all, unsavedService{ref: ref, key: string(servicePre) + ref.Key.text()})
	}
	slices.SortFunc(all, func(a, b unsavedService) int {
		return cmp.Or(cmp.Compare(a.ref.Source, b.ref.Source), cmp.Compare(a.ref.Key.Scope, b.ref.Key.Scope), cmp.Compare(a.key, b.key))
	})
	return all
}

// goneScope names a scope whose bucket goes, or with an empty name a whole source.
type goneScope struct {
	source, scope string
	all           bool
}

// save writes changes in one transaction: after a crash at any point the file holds all of them or none.
func (l *lastGood) save(u unsaved) error {
	return guarded(func() error {
		return l.db.Update(func(tx *bbolt.Tx) error {
			for _, g := range u.gone {
				if err := g.delete(tx); err != nil {
					return err
				}
			}
			for source, identity := range u.identities {
				if err := identify(tx, source, identity); err != nil {
					return err
				}
			}
			for source, scopes := range u.seen {
				for scope, at := range scopes {
					if err := put(tx, source, scope, seenKey, binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano()))); err != nil {
						return err
					}
				}
			}
			for _, s := range u.services {
				if err := put(tx, s.ref.Source, s.ref.Key.Scope, []byte(s.key), s.served); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// identify makes a source's bucket; what another identity said goes.
func identify(tx *bbolt.Tx, source, identity string) error {
	b := tx.Bucket([]byte(source))
	if b != nil && string(value(b.Get(identityKey))) != identity {
		if err := tx.DeleteBucket([]byte(source)); err != nil {
			return err
		}
		b = nil
	}
	if b == nil {
		var err error
		if b, err = tx.CreateBucket([]byte(source)); err != nil {
			return err
		}
	}
	return b.Put(identityKey, summed([]byte(identity)))
}

func (g goneScope) delete(tx *bbolt.Tx) error {
	if g.all {
		if tx.Bucket([]byte(g.source)) == nil {
			return nil
		}
		return tx.DeleteBucket([]byte(g.source))
	}
	b := tx.Bucket([]byte(g.source))
	name := bucketName(g.scope)
	if b == nil || b.Bucket(name) == nil {
		return nil
	}
	return b.DeleteBucket(name)
}

// put sets a value of a scope, nil: deletes it.
func put(tx *bbolt.Tx, source, scope string, key, v []byte) error {
	if v == nil {
		if b := tx.Bucket([]byte(source)); b == nil || b.Bucket(bucketName(scope)) == nil {
			return nil
		}
	}
	b, err := tx.CreateBucketIfNotExists([]byte(source))
	if err != nil {
		return err
	}
	if b, err = b.CreateBucketIfNotExists(bucketName(scope)); err != nil {
		return err
	}
	if v == nil {
		return b.Delete(key)
	}
	return b.Put(key, summed(v))
}

func bucketName(scope string) []byte { return slices.Concat(scopePrefix, []byte(scope)) }

// sources lists the sources that the file knows.
func (l *lastGood) sources() (names []string, err error) {
	err = guarded(func() error {
		return l.db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
				names = append(names, string(name))
				return nil
			})
		})
	})
	return names, err
}

func (l *lastGood) close() error { return guarded(l.db.Close) }

var errSum = errors.New("a checksum is wrong")

func summed(v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(v)), crc32.ChecksumIEEE(v)), v...)
}

func checked(v []byte) ([]byte, error) {
	if len(v) < 4 || binary.BigEndian.Uint32(v) != crc32.ChecksumIEEE(v[4:]) {
		return nil, errSum
	}
	return v[4:], nil
}

// value is a checked value, or nil.
func value(v []byte) []byte {
	v, err := checked(v)
	if err != nil {
		return nil
	}
	return v
}
