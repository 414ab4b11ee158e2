package convert

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// stateFile is the file in the state directory; lockWait is how long another process may hold it.
const (
	stateFile = "vips.db"
	lockWait  = time.Second
)

// Buckets of the state file: records by host, and addresses by host name.
var (
	hostsBucket = []byte("hosts")
	namesBucket = []byte("names")
)

// retrySave is how long after a write that failed the next one is tried.
const retrySave = 10 * time.Second

// disk keeps what a restart must not forget. Without a directory, and when the file cannot be used, it keeps nothing; that is
// said once and is never fatal. What cannot be written is written once there is room again. It is owned by the loop.
type disk struct {
	path string
	db   *bbolt.DB
	log  *slog.Logger

	hosts map[string]string       // to be written
	names map[string][]netip.Addr // the same
	retry time.Time               // when writing is tried again; zero: it did not fail
}

// openDisk opens the state file. A damaged one is set aside.
func openDisk(dir string, log *slog.Logger) (*disk, map[string]string, map[string][]netip.Addr) {
	d := &disk{log: log}
	if dir == "" {
		return d, nil, nil
	}
	path := filepath.Join(dir, stateFile)
	db, hosts, names, err := readState(path)
	if err != nil && !errors.Is(err, bbolterrors.ErrTimeout) && !errors.Is(err, fs.ErrPermission) && !noRoom(err) && exists(path) {
		aside := path + ".damaged"
		log.Error("the state of hosts and addresses is damaged; it is set aside, and hosts whose address was taken by another may get another one",
			"file", path, "aside", aside, "err", err)
		if err = os.Rename(path, aside); err == nil {
			db, hosts, names, err = readState(path)
		}
	}
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		log.Error("the state of hosts and addresses is in use by another process; this one keeps none", "file", path)
	case noRoom(err):
		log.Error("the state of hosts and addresses cannot be kept yet: there is no room for it; it is tried again", "file", path, "every", retrySave, "err", err)
		d.path, d.retry = path, time.Unix(0, 0)
	case err != nil:
		log.Error("the state of hosts and addresses cannot be kept", "file", path, "err", err)
	default:
		d.path = path
	}
	d.db = db
	return d, hosts, names
}

// noRoom reports whether an error says nothing of the file itself.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EFBIG)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readState opens and reads a state file. Whatever is wrong with its pages becomes an error.
func readState(path string) (db *bbolt.DB, hosts map[string]string, names map[string][]netip.Addr, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, nil, fmt.Errorf("make the state directory: %w", err)
	}
	hosts, names = map[string]string{}, map[string][]netip.Addr{}
	existed := exists(path)
	err = guarded(func() (err error) {
		if db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait}); err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		return readAll(db, hosts, names)
	})
	if err != nil {
		if db != nil {
			_ = guarded(db.Close) // it is given up
		}
		if !existed && noRoom(err) {
			_ = os.Remove(path) // the beginnings of an empty file are no state
		}
		return nil, nil, nil, err
	}
	return db, hosts, names, nil
}

// guarded makes an error of what broken pages do: reading a truncated file through its memory map faults, and bbolt panics.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its pages: %v", p)
		}
	}()
	return do()
}

// readAll reads in a transaction that writes nothing: a full disk can be read.
func readAll(db *bbolt.DB, hosts map[string]string, names map[string][]netip.Addr) error {
	return db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(db.Path())
		if err != nil {
			return err
		}
		if tx.Size() > info.Size() {
			return fmt.Errorf("it has %d bytes of %d", info.Size(), tx.Size())
		}
		if err := each(tx, hostsBucket, func(host string, raw []byte) error {
			hosts[host] = string(raw)
			return nil
		}); err != nil {
			return err
		}
		return each(tx, namesBucket, func(host string, raw []byte) error {
			var addrs []netip.Addr
			if err := json.Unmarshal(raw, &addrs); err != nil {
				return fmt.Errorf("decode the addresses of %s: %w", host, err)
			}
			names[host] = addrs
			return nil
		})
	})
}

// each reads all of a bucket, checking the sums.
func each(tx *bbolt.Tx, bucket []byte, do func(key string, value []byte) error) error {
	b := tx.Bucket(bucket)
	if b == nil {
		return nil
	}
	return b.ForEach(func(k, v []byte) error {
		if len(v) < 4 || binary.BigEndian.Uint32(v) != crc32.ChecksumIEEE(v[4:]) {
			return fmt.Errorf("the checksum of %s/%s is wrong", bucket, k)
		}
		return do(string(k), v[4:])
	})
}

func summed(value []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(value)), value...)
}

// save writes records, and addresses of host names; the empty ones are deleted. It says when to try again what could not be
// written, or zero.
func (d *disk) save(hosts map[string]string, names map[string][]netip.Addr, now time.Time) time.Time {
	if d.path == "" {
		return time.Time{}
	}
	d.hosts, d.names = join(d.hosts, hosts), join(d.names, names)
	if len(d.hosts)+len(d.names) == 0 {
		return time.Time{}
	}
	if now.Before(d.retry) {
		return d.retry
	}
	if err := guarded(d.write); err != nil {
		if d.retry.IsZero() {
			d.log.Error("the state of hosts and addresses cannot be written; it is tried again", "file", d.path, "every", retrySave, "err", err)
		}
		d.retry = now.Add(retrySave)
		return d.retry
	}
	if !d.retry.IsZero() {
		d.log.Info("the state of hosts and addresses is written again", "file", d.path)
	}
	d.hosts, d.names, d.retry = nil, nil, time.Time{}
	return time.Time{}
}

// join adds what is newer to what could not be written.
func join[V any](waiting, newer map[string]V) map[string]V {
	if len(waiting) == 0 {
		return newer
	}
	maps.Copy(waiting, newer)
	return waiting
}

// write writes all that waits in one transaction: after a crash at any point the file holds all of it or none.
func (d *disk) write() error {
	if d.db == nil {
		db, _, _, err := readState(d.path)
		if err != nil {
			return err
		}
		d.db = db
	}
	return d.db.Update(func(tx *bbolt.Tx) error {
		hosts, err := tx.CreateBucketIfNotExists(hostsBucket)
		if err != nil {
			return err
		}
		names, err := tx.CreateBucketIfNotExists(namesBucket)
		if err != nil {
			return err
		}
		for _, host := range slices.Sorted(maps.Keys(d.hosts)) {
			if err := put(hosts, host, []byte(d.hosts[host])); err != nil {
				return err
			}
		}
		for _, host := range slices.Sorted(maps.Keys(d.names)) {
			var raw []byte
			if len(d.names[host]) > 0 {
				if raw, err = json.Marshal(d.names[host]); err != nil {
					return err
				}
			}
			if err := put(names, host, raw); err != nil {
				return err
			}
		}
		return nil
	})
}

func put(b *bbolt.Bucket, key string, value []byte) error {
	if len(value) == 0 {
		return b.Delete([]byte(key))
	}
	return b.Put([]byte(key), summed(value))
}

func (d *disk) close() {
	if d.db == nil {
		return
	}
	if err := guarded(d.db.Close); err != nil {
		d.log.Error("close the state of hosts and addresses", "err", err)
	}
}
