package file_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"meshbridge/sources"
	"meshbridge/sources/file"
	"meshbridge/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSource(dir string) *file.Source {
	return file.New(file.Config{Path: dir}, slog.New(slog.DiscardHandler))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func list(name string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "services:\n- name: %s\n  instances:\n", name)
	for i := range n {
		fmt.Fprintf(&b, "  - {address: 10.0.0.%d, port: 8080}\n", i+1)
	}
	if n == 0 {
		b.WriteString("  []\n")
	}
	return b.String()
}

func TestTheContractOfASource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Registry {
		dir := filepath.Join(t.TempDir(), "services")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		check := func(err error) {
			if err != nil {
				t.Error(err)
			}
		}
		return sourcetest.Registry{
			Source: newSource(dir),
			Put:    func(name string, n int) { write(t, filepath.Join(dir, name+".yaml"), list(name, n)) },
			Remove: func(name string) { check(os.Remove(filepath.Join(dir, name+".yaml"))) },
			Break:  func() { check(os.Rename(dir, dir+"-away")) },
			Mend:   func() { check(os.Rename(dir+"-away", dir)) },
		}
	})
}

func faults(n int) func(sourcetest.Picture) bool {
	return func(p sourcetest.Picture) bool { return len(p.Faults) == n }
}

func TestABrokenEmptiedOrHalfWrittenFileKeepsWhatItLastSaid(t *testing.T) {
	for name, content := range map[string]string{
		"emptied":       "",
		"only comments": "# moved\n",
		"half written":  "services:\n- name: x\n  instances:\n  - {address: 10.0.",
		"unknown key":   "services:\n- name: x\n  instanses: []\n",
		"duplicate key": "services:\n- name: x\n  name: y\n",
		"wrong type":    "services:\n- name: x\n  instances: 7\n",
		"no mapping":    "- a\n",
		"no name":       "services:\n- instances: []\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x.yaml")
			write(t, path, list("x", 2))
			rec, _ := sourcetest.Start(t, newSource(dir))
			rec.Wait(t, "the first report", func(p sourcetest.Picture) bool { return p.Instances("x") == 2 })
			write(t, path, content)
			p := rec.Wait(t, "the fault", faults(1))
			if p.Instances("x") != 2 || p.Removals != 0 {
				t.Errorf("%d instances, %d removals", p.Instances("x"), p.Removals)
			}
			if !strings.Contains(p.Faults[0].Where, "x.yaml") || strings.Contains(p.Faults[0].Reason, "file.") {
				t.Errorf("fault %+v", p.Faults[0])
			}
			write(t, path, list("x", 3))
			rec.Wait(t, "the mended file", func(p sourcetest.Picture) bool { return p.Instances("x") == 3 && len(p.Faults) == 0 })
		})
	}
}

func TestAFileThatWasNeverReadableHoldsBackTheFirstReport(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "good.yaml"), list("good", 1))
	write(t, filepath.Join(dir, "bad.yaml"), "services: [")
	rec, _ := sourcetest.Start(t, newSource(dir))
	p := rec.Wait(t, "the reason", func(p sourcetest.Picture) bool { return p.States[dir] != nil })
	if p.Snapshots[dir] != 0 || !strings.Contains(p.States[dir].Error(), "bad.yaml") {
		t.Errorf("%d snapshots, state %v", p.Snapshots[dir], p.States[dir])
	}
	write(t, filepath.Join(dir, "bad.yaml"), list("bad", 1))
	rec.Wait(t, "both", func(p sourcetest.Picture) bool { return p.Instances("good") == 1 && p.Instances("bad") == 1 })
}

func TestADeletedFileIsARemoval(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x.yaml"), list("x", 1))
	rec, _ := sourcetest.Start(t, newSource(dir))
	rec.Wait(t, "the first report", func(p sourcetest.Picture) bool { return p.Instances("x") == 1 })
	if err := os.Remove(filepath.Join(dir, "x.yaml")); err != nil {
		t.Fatal(err)
	}
	rec.Wait(t, "the removal", func(p sourcetest.Picture) bool { return p.Instances("x") == -1 })
}

func TestAnotherEmptyFolderInItsPlaceRemovesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "services")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "x.yaml"), list("x", 1))
	rec, _ := sourcetest.Start(t, newSource(dir))
	rec.Wait(t, "the first report", func(p sourcetest.Picture) bool { return p.Instances("x") == 1 })
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := rec.Wait(t, "the state that says so", func(p sourcetest.Picture) bool {
		return p.States[dir] != nil && strings.Contains(p.States[dir].Error(), "unmounted")
	})
	if p.Removals != 0 {
		t.Error("an empty mount point removed services")
	}
}

// A ConfigMap is mounted as links through ..data, which is swapped for a new folder in one rename.
func TestAConfigMapMountIsFollowed(t *testing.T) {
	dir := t.TempDir()
	version := 0
	publish := func(n int) {
		version++
		real := fmt.Sprintf("..2026_%d", version)
		if err := os.Mkdir(filepath.Join(dir, real), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, real, "x.yaml"), list("x", n))
		if err := os.Symlink(real, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	publish(1)
	if err := os.Symlink("..data/x.yaml", filepath.Join(dir, "x.yaml")); err != nil {
		t.Fatal(err)
	}
	rec, _ := sourcetest.Start(t, newSource(dir))
	rec.Wait(t, "the first version", func(p sourcetest.Picture) bool { return p.Instances("x") == 1 })
	publish(4)
	p := rec.Wait(t, "the second version", func(p sourcetest.Picture) bool { return p.Instances("x") == 4 })
	if p.Removals != 0 {
		t.Error("the swap was seen as a removal")
	}
}

func TestAnUnchangedFolderIsReportedOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.yaml")
	write(t, path, list("x", 1))
	rec, _ := sourcetest.Start(t, newSource(dir))
	rec.Wait(t, "the first report", func(p sourcetest.Picture) bool { return p.Instances("x") == 1 })
	write(t, path, list("x", 1))
	write(t, filepath.Join(dir, "y.yaml"), list("y", 1))
	p := rec.Wait(t, "the second file", func(p sourcetest.Picture) bool { return p.Instances("y") == 1 })
	if p.Snapshots[dir] > 3 {
		t.Errorf("%d snapshots", p.Snapshots[dir])
	}
}

var _ sources.Source = (*file.Source)(nil)
