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

// disk keeps what a restart must not forget. Without a directory, and when the file cannot be used, it keeps nothing; that is
// said once and is never fatal.
type disk struct {
	db  *bbolt.DB
	log *slog.Logger
}

// openDisk opens the state file. A damaged one is set aside.
func openDisk(dir string, log *slog.Logger) (*disk, map[string]string, map[string][]netip.Addr) {
	d := &disk{log: log}
	if dir == "" {
		return d, nil, nil
	}
	path := filepath.Join(dir, stateFile)
	db, hosts, names, err := readState(path)
	if err != nil && !errors.Is(err, bbolterrors.ErrTimeout) && !errors.Is(err, fs.ErrPermission) && exists(path) {
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
	case err != nil:
		log.Error("the state of hosts and addresses cannot be kept", "file", path, "err", err)
	}
	d.db = db
	return d, hosts, names
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readState opens and reads a state file. Whatever is wrong with its pages becomes an error.
func readState(path string) (db *bbolt.DB, hosts map[string]string, names map[string][]netip.Addr, err error) {
	// Reading a truncated file through its memory map faults; bbolt panics on broken pages.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var opened *bbolt.DB
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read its pages: %v", p)
		}
		if err != nil {
			if opened != nil {
				_ = opened.Close() // it is given up
			}
			db, hosts, names = nil, nil, nil
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, nil, fmt.Errorf("make the state directory: %w", err)
	}
	opened, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open %s: %w", path, err)
	}
	hosts, names = map[string]string{}, map[string][]netip.Addr{}
	err = opened.Update(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path)
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
	return opened, hosts, names, err
}

// each makes a bucket or reads all of it, checking the sums.
func each(tx *bbolt.Tx, bucket []byte, do func(key string, value []byte) error) error {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bucket, err)
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

// save writes records, and addresses of host names; the empty ones are deleted.
func (d *disk) save(hosts map[string]string, names map[string][]netip.Addr) {
	if d.db == nil || len(hosts)+len(names) == 0 {
		return
	}
	err := d.db.Update(func(tx *bbolt.Tx) error {
		for _, host := range slices.Sorted(maps.Keys(hosts)) {
			if err := put(tx.Bucket(hostsBucket), host, []byte(hosts[host])); err != nil {
				return err
			}
		}
		for _, host := range slices.Sorted(maps.Keys(names)) {
			var raw []byte
			if len(names[host]) > 0 {
				var err error
				if raw, err = json.Marshal(names[host]); err != nil {
					return err
				}
			}
			if err := put(tx.Bucket(namesBucket), host, raw); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		d.log.Error("the state of hosts and addresses cannot be written", "file", d.db.Path(), "err", err)
	}
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
	if err := d.db.Close(); err != nil {
		d.log.Error("close the state of hosts and addresses", "err", err)
	}
}
