package follow

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func paths(m Match) []string {
	var list []string
	for _, f := range m.Files {
		list = append(list, filepath.Base(f.Path))
	}
	return list
}

func TestAGlobFindsFilesButNoFoldersAndNothingHidden(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yaml", "a.yaml", ".hidden.yaml", "c.txt"} {
		write(t, filepath.Join(dir, name), name)
	}
	for _, name := range []string{"d.yaml", "..data"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string][]string{
		"*.yaml": {"a.yaml", "b.yaml"}, "*": {"a.yaml", "b.yaml", "c.txt"}, "a.yaml": {"a.yaml"}, "x.yaml": nil, ".h*": {".hidden.yaml"}, "x/*": nil,
	} {
		files := &Files{}
		m := files.Glob(filepath.Join(dir, pattern))
		if diff := cmp.Diff(want, paths(m)); diff != "" || m.Err != nil {
			t.Errorf("%s (-want +got):\n%s%v", pattern, diff, m.Err)
		}
		if (m.Folder == nil) != (pattern == "x/*") {
			t.Errorf("%s: folder %v", pattern, m.Folder)
		}
		for _, f := range m.Files {
			if string(f.Data) != filepath.Base(f.Path) || f.Err != nil {
				t.Errorf("%s holds %q, %v", f.Path, f.Data, f.Err)
			}
		}
		if files.Look() != files.Sum() {
			t.Errorf("%s: files that stayed as they are look changed", pattern)
		}
	}
}

func TestAGlobLooksChangedWhenWhatItFindsIs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	at := func() *Files {
		files := &Files{}
		files.Glob(filepath.Join(dir, "*.yaml"))
		return files
	}
	before := at()
	for _, step := range []struct {
		what   string
		change func() error
	}{
		{"a file has come", func() error { return os.WriteFile(path, []byte("a"), 0o600) }},
		{"it holds something else", func() error { return os.WriteFile(path, []byte("b"), 0o600) }},
		{"it has another name", func() error { return os.Rename(path, path+".yaml") }},
		{"it has gone", func() error { return os.Remove(path + ".yaml") }},
		{"the folder has gone", func() error { return os.Remove(dir) }},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		if before.Look() == before.Sum() {
			t.Errorf("%s: looks unchanged", step.what)
		}
		before = at()
	}
}

func TestEveryFolderOfAGlobIsFollowed(t *testing.T) {
	dir, target := t.TempDir(), t.TempDir()
	for _, sub := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(target, "real.yaml"), "x")
	if err := os.Symlink(filepath.Join(target, "real.yaml"), filepath.Join(dir, "two", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	files := &Files{}
	files.Glob(filepath.Join(dir, "*", "*.yaml"))
	want := []string{dir, filepath.Join(dir, "one"), filepath.Join(dir, "two"), target}
	slices.Sort(want)
	if diff := cmp.Diff(want, files.folders()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	files = &Files{}
	files.Glob(filepath.Join(dir, "none", "deep", "*.yaml")) // where nothing is yet, the last folder that exists
	if diff := cmp.Diff([]string{dir}, files.folders()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
