package canaryedit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"meshbridge/cmd/internal/canaryedit"
)

// to makes an edit that puts a text in the place of whatever there is.
func to(text string) func([]byte) ([]byte, error) {
	return func([]byte) ([]byte, error) { return []byte(text), nil }
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func nothingElse(t *testing.T, dir string, n int) {
	t.Helper()
	if left, _ := os.ReadDir(dir); len(left) != n {
		t.Errorf("left behind: %v", left)
	}
}

func TestAFileIsReplacedAtOnceAndKeepsItsMode(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/echo.yaml"
	put(t, path, "name: echo\n")
	was, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = was.Close() }() // it was read
	if err := canaryedit.Update(t.Context(), path, to("name: echo # new\n")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 || text(t, path) != "name: echo # new\n" {
		t.Errorf("%v, mode %v, %s", err, info.Mode(), text(t, path))
	}
	old := make([]byte, 100)
	if n, _ := was.Read(old); string(old[:n]) != "name: echo\n" {
		t.Errorf("who had the file open reads %q", old[:n])
	}
	nothingElse(t, dir, 1)
}

func TestALinkAndAReadOnlyFileAreNotReplaced(t *testing.T) {
	dir := t.TempDir()
	path, link := dir+"/echo.yaml", dir+"/link.yaml"
	put(t, path, "name: echo\n")
	if err := errors.Join(os.Chmod(path, 0o444), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{path: "read-only", link: "is a link"} {
		err := canaryedit.Update(t.Context(), file, to("x"))
		if !errors.As(err, new(*canaryedit.UnwritableError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
	if err := canaryedit.Update(t.Context(), dir+"/none.yaml", to("x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	nothingElse(t, dir, 2)
}

func TestNoneOfManyEditsAtOneTimeIsLost(t *testing.T) {
	dir := t.TempDir()
	const n = 20
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, "name: d%d\ncanaries: [{version: v2}]\n---\n", i)
	}
	path := dir + "/all.yaml"
	put(t, path, all.String())
	var edits sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		edits.Go(func() { // each has a lock of its own, as a process has
			errs[i] = canaryedit.Update(t.Context(), path, func(text []byte) ([]byte, error) {
				return canaryedit.Edit(text, fmt.Sprintf("d%d", i), canaryedit.Weight("", i))
			})
		})
	}
	edits.Wait()
	got := text(t, path)
	for i := range n {
		if want := fmt.Sprintf("name: d%d\ncanaries: [{version: v2, weight: %d}]\n", i, i); errs[i] != nil || !strings.Contains(got, want) {
			t.Errorf("%v, and the file lacks %q", errs[i], want)
		}
	}
	nothingElse(t, dir, 1)
}

// An editor writes another file and gives it the name of the first.
func replaceAsAnEditor(t *testing.T, path, text string) {
	t.Helper()
	put(t, path+"~", text)
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAnEditorWritesMeanwhileIsEditedToo(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/echo.yaml"
	put(t, path, "a")
	tries := 0
	err := canaryedit.Update(t.Context(), path, func(text []byte) ([]byte, error) {
		if tries++; tries == 1 {
			replaceAsAnEditor(t, path, "b")
		}
		return append(bytes.Clone(text), '!'), nil
	})
	if got := text(t, path); err != nil || got != "b!" || tries != 2 {
		t.Errorf("%v, %q after %d tries", err, got, tries)
	}
	nothingElse(t, dir, 1)
}

func TestAFileThatNeverRestsIsLeftToOthers(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/echo.yaml"
	put(t, path, "a")
	tries := 0
	err := canaryedit.Update(t.Context(), path, func([]byte) ([]byte, error) {
		tries++
		replaceAsAnEditor(t, path, fmt.Sprint(tries))
		return []byte("mine"), nil
	})
	if got := text(t, path); err == nil || !strings.Contains(err.Error(), "try again when it is at rest") || got != fmt.Sprint(tries) {
		t.Errorf("%v, %q after %d tries", err, got, tries)
	}
	nothingElse(t, dir, 1)
}

func TestAnEditThatWaitsEndsWithItsContext(t *testing.T) {
	path := t.TempDir() + "/echo.yaml"
	put(t, path, "a")
	err := canaryedit.Update(t.Context(), path, func([]byte) ([]byte, error) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return []byte("b"), canaryedit.Update(ctx, path, to("c"))
	})
	if !errors.Is(err, context.Canceled) || text(t, path) != "a" {
		t.Errorf("%v, %q", err, text(t, path))
	}
}
