package follow

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// write puts a whole file in place at once, as most editors do.
func write(t *testing.T, path, content string) {
	t.Helper()
	fresh := filepath.Join(filepath.Dir(path), ".fresh")
	if err := os.WriteFile(fresh, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		t.Fatal(err)
	}
}

func TestPollingFindsWhatTheKernelDoesNotTell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	var got []string
	read := func() *Files {
		files := &Files{}
		data, err := files.Read(path)
		if err != nil {
			t.Error(err)
		}
		got = append(got, string(data))
		return files
	}
	f := &follower{notices: &Notices{log: slog.New(slog.DiscardHandler)}, files: read(), read: read}
	if f.look() {
		t.Error("unchanged files are to be looked at again")
	}
	write(t, path, "two")
	if !f.look() || len(got) != 1 {
		t.Errorf("read %v at the first look: the file may be half written", got)
	}
	if !f.look() || !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("read %v at the second look", got)
	}
	if f.look() {
		t.Error("files that were read are to be looked at again")
	}
}
