package canaryedit

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// write writes a file as somebody else does.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func holding(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(want) {
		t.Errorf("%v %v, want %v", entries, err, want)
	}
	for name, text := range want {
		if !holds(filepath.Join(dir, name), []byte(text)) {
			t.Errorf("%s does not hold %q", name, text)
		}
	}
}

func TestWithoutAnExchangeOfFilesAChangeIsFoundBeforeTheRename(t *testing.T) {
	unsupported := func(string, string) error { return errors.ErrUnsupported }
	for now, want := range map[string]string{"a": "b", "x": "x"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "echo.yaml")
		write(t, path, now)
		if changed, err := replace(path, []byte("a"), []byte("b"), unsupported); err != nil || changed != (now == "x") {
			t.Errorf("%s: %v %v", now, changed, err)
		}
		holding(t, dir, map[string]string{"echo.yaml": want})
	}
}

// swap exchanges two files as exchange does, where a test stands between.
func swap(a, b string) error {
	return errors.Join(os.Rename(a, a+"-"), os.Rename(b, a), os.Rename(a+"-", b))
}

func TestWhatIsWrittenBetweenTwoExchangesStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "echo.yaml")
	write(t, path, "first")
	n := 0
	changed, err := replace(path, []byte("a"), []byte("b"), func(a, b string) error {
		if n++; n == 2 {
			write(t, path, "second")
		}
		return swap(a, b)
	})
	if err != nil || !changed || n != 3 {
		t.Errorf("%v %v after %d exchanges", changed, err, n)
	}
	holding(t, dir, map[string]string{"echo.yaml": "second"})
}

func TestWhatOthersWroteIsKeptWhereItCannotBePutBack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "echo.yaml")
	write(t, path, "theirs")
	n := 0
	_, err := replace(path, []byte("a"), []byte("b"), func(a, b string) error {
		if n++; n == 2 {
			return errors.New("the disk is gone")
		}
		return swap(a, b)
	})
	entries, _ := os.ReadDir(dir)
	if err == nil || len(entries) != 2 || !holds(filepath.Join(dir, entries[0].Name()), []byte("theirs")) {
		t.Errorf("%v, %v", err, entries)
	}
}
