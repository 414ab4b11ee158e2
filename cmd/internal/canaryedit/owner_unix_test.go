//go:build unix

package canaryedit_test

import (
	"os"
	"syscall"
	"testing"

	"meshbridge/cmd/internal/canaryedit"
)

func TestAFileKeepsItsOwner(t *testing.T) {
	path := t.TempDir() + "/echo.yaml"
	if err := os.WriteFile(path, []byte("name: echo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Chown(path, 12345, 12346) // only root may; others see that theirs stays
	owner := func() (uid, gid uint32) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		return stat.Uid, stat.Gid
	}
	uid, gid := owner()
	if err := canaryedit.Update(t.Context(), path, to("name: new\n")); err != nil {
		t.Fatal(err)
	}
	if u, g := owner(); u != uid || g != gid {
		t.Errorf("it was of %d:%d, and is of %d:%d", uid, gid, u, g)
	}
}
