package convert

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var sameAddrs = cmpopts.EquateComparable(netip.Addr{})

// logged is a log that a test reads.
func logged() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

func filled(t *testing.T, dir string) (map[string]string, map[string][]netip.Addr) {
	t.Helper()
	d, _, _ := openDisk(dir, quiet())
	hosts := map[string]string{"a.mesh": `{"addrs":["10.0.0.1"]}`, "b.mesh": `{"addrs":["10.0.0.2"]}`}
	names := map[string][]netip.Addr{"x.example.com": {netip.MustParseAddr("10.0.0.3")}}
	d.save(hosts, names, start)
	d.close()
	return hosts, names
}

func TestStateSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	hosts, names := filled(t, dir)
	d, gotHosts, gotNames := openDisk(dir, quiet())
	if diff := cmp.Diff(hosts, gotHosts) + cmp.Diff(names, gotNames, sameAddrs); diff != "" {
		t.Error(diff)
	}
	d.save(map[string]string{"a.mesh": ""}, map[string][]netip.Addr{"x.example.com": nil}, start)
	d.close()
	d, gotHosts, gotNames = openDisk(dir, quiet())
	defer d.close()
	if len(gotHosts) != 1 || len(gotNames) != 0 {
		t.Errorf("after deletion: %v, %v", gotHosts, gotNames)
	}
}

func TestDamagedStateIsSetAsideAndTold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	damages := map[string]func([]byte) []byte{
		"empty text":  func([]byte) []byte { return []byte("this is no database") },
		"truncated":   func(b []byte) []byte { return b[:len(b)/2] },
		"only a page": func(b []byte) []byte { return b[:os.Getpagesize()] },
		"one record": func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(`{"addrs":["10.0.0.1"]}`), []byte(`{"addrs":["10.0.0.9"]}`))
		},
		"random pages": func(b []byte) []byte {
			for i := 2 * os.Getpagesize(); i < len(b); i++ {
				b[i] = byte(r.IntN(256))
			}
			return b
		},
	}
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			filled(t, dir)
			path := filepath.Join(dir, stateFile)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(raw), 0o600); err != nil {
				t.Fatal(err)
			}
			log, text := logged()
			d, hosts, names := openDisk(dir, log)
			defer d.close()
			if len(hosts)+len(names) != 0 || d.db == nil {
				t.Errorf("read %v, %v; in use: %v", hosts, names, d.db != nil)
			}
			if !strings.Contains(text.String(), "it is set aside") || strings.Contains(text.String(), "cannot be kept") {
				t.Errorf("log: %s", text)
			}
			if _, err := os.Stat(path + ".damaged"); err != nil {
				t.Error(err)
			}
			d.save(map[string]string{"a.mesh": "{}"}, nil, start)
		})
	}
}

func TestStateInUseByAnotherProcessIsLeftAloneAndTold(t *testing.T) {
	dir := t.TempDir()
	first, _, _ := openDisk(dir, quiet())
	defer first.close()
	log, text := logged()
	second, _, _ := openDisk(dir, log)
	second.save(map[string]string{"a.mesh": "{}"}, nil, start)
	second.close()
	if !strings.Contains(text.String(), "in use by another process") || second.db != nil {
		t.Errorf("log: %s", text)
	}
	if _, err := os.Stat(filepath.Join(dir, stateFile+".damaged")); err == nil {
		t.Error("the file of another process was set aside")
	}
}

func TestAStateDirectoryThatCannotBeMadeIsToldAndNotFatal(t *testing.T) {
	log, text := logged()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, _, _ := openDisk(filepath.Join(file, "state"), log)
	d.save(map[string]string{"a.mesh": "{}"}, nil, start)
	d.close()
	if !strings.Contains(text.String(), "cannot be kept") {
		t.Errorf("log: %s", text)
	}
}
