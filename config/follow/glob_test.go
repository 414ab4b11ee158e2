package follow

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree makes folders (a path that ends in /), links (path -> target) and files in a folder.
func tree(t *testing.T, dir string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		path, target, link := strings.Cut(path, " -> ")
		full := filepath.Join(dir, path)
		err := os.MkdirAll(filepath.Dir(full), 0o700)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(target, full)
		case strings.HasSuffix(path, "/"):
			err = os.MkdirAll(full, 0o700)
		default:
			err = os.WriteFile(full, []byte(filepath.Base(path)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAGlobFindsFilesButNoFoldersAndNothingHidden(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, "b.yaml", "a.yaml", ".hidden.yaml", "c.txt", "d.yaml/", "..data/", "e.yaml -> d.yaml")
	for pattern, want := range map[string][]string{
		"*.yaml": {"a.yaml", "b.yaml"}, "*": {"a.yaml", "b.yaml", "c.txt"}, "a.yaml": {"a.yaml"}, "x.yaml": nil, ".h*": {".hidden.yaml"}, "x/*": nil,
	} {
		files, err := Glob(filepath.Join(dir, pattern), 100)
		var got []string
		for _, f := range files {
			got = append(got, filepath.Base(f.Path))
			if string(f.Data) != filepath.Base(f.Path) || f.Err != nil {
				t.Errorf("%s holds %q, %v", f.Path, f.Data, f.Err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s%v", pattern, diff, err)
		}
	}
}

func TestEveryFolderOfAGlobIsListedWithWhatItHolds(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	tree(t, dir, "teams/a/x.yaml", "teams/a/y.yaml -> x.yaml", "teams/b/", "teams/c -> a", "teams/d -> /tmp", "teams/note", "teams/[e]/z.yaml")
	type folder struct {
		Path, Glob, Names, Links string
		There                    bool
	}
	for pattern, want := range map[string][]folder{
		"./teams/*/*.yaml": {
			{"teams", "teams/*/*.yaml", "[e] a b c d", "c d", true},
			{"teams/[e]", `teams/\[e]/*.yaml`, "z.yaml", "", true},
			{"teams/a", "teams/a/*.yaml", "x.yaml y.yaml", "y.yaml", true},
			{"teams/b", "teams/b/*.yaml", "", "", true},
			{"teams/c", "teams/c/*.yaml", "x.yaml y.yaml", "y.yaml", true}, // a link to /tmp leads out
		},
		"teams/a/x.yaml":   {{"teams/a", "teams/a/x.yaml", "x.yaml", "", true}},
		"teams/a/none":     {{"teams/a", "teams/a/none", "", "", true}},
		"nowhere/x/*.yaml": {{"nowhere/x", "nowhere/x/*.yaml", "", "", false}},
		"*.yaml":           {{".", "*.yaml", "", "", true}},
	} {
		var got []folder
		for _, f := range List(pattern) {
			got = append(got, folder{f.Path, f.Glob, strings.Join(f.Names, " "), strings.Join(f.Links, " "), f.Info != nil && f.Err == nil})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", pattern, diff)
		}
	}
}

func TestWhatLiesInAFolderIsReadAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, "secret", "in/file", "in/..1/data", "in/..data -> ..1", "in/data -> ..data/data", "in/up -> ../secret", "in/sub/",
		"in/absolute -> "+filepath.Join(dir, "secret"), "in/inside -> "+filepath.Join(dir, "in", "file"), "in/zero -> /dev/zero", "in/loop -> loop")
	if err := syscall.Mkfifo(filepath.Join(dir, "in", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"file": "file", "data": "data", "inside": "file", "up": "!leads out of", "absolute": "!leads out of", "zero": "!not a regular file",
		"pipe": "!not a regular file", "sub": "!not a regular file", "none": "!no such file", "loop": "!too many levels",
	} {
		path := filepath.Join(dir, "in", name)
		data, seen, err := ReadWithin(filepath.Join(dir, "in"), path, 10)
		switch {
		case err == nil && (string(data) != want || !seen.Same(Look(path))):
			t.Errorf("%s holds %q", name, data)
		case err != nil && (want[0] != '!' || !strings.Contains(err.Error(), want[1:])):
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if _, _, err := ReadWithin(dir, filepath.Join(dir, "in", "file"), 3); err == nil || !strings.Contains(err.Error(), "more than 3 bytes") {
		t.Errorf("a long file: %v", err)
	}
}

func TestAFileLooksAnotherWhateverHasBecomeOfIt(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, "..1/file", "..2/file", "..data -> ..1", "file -> ..data/file")
	path := filepath.Join(dir, "file")
	before := Look(path)
	if !before.Same(Look(path)) {
		t.Error("a file that stayed looks another")
	}
	for _, step := range []struct {
		what   string
		change func() error
	}{
		{"it holds more", func() error { return os.WriteFile(filepath.Join(dir, "..1", "file"), []byte("longer"), 0o600) }},
		{"the link leads elsewhere", func() error {
			if err := os.Symlink("..2", filepath.Join(dir, "..tmp")); err != nil {
				return err
			}
			return os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data"))
		}},
		{"its mode is another", func() error { return os.Chmod(filepath.Join(dir, "..2", "file"), 0o400) }},
		{"it has gone", func() error { return os.Remove(filepath.Join(dir, "..2", "file")) }},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		now := Look(path)
		if now.Same(before) || !now.Same(Look(path)) {
			t.Errorf("%s: looks unchanged", step.what)
		}
		before = now
	}
	if !before.Gone() || (Identity{}).Gone() {
		t.Error("it is not told that a file has gone")
	}
}

func TestEveryFolderOfAGlobIsFollowed(t *testing.T) {
	dir, target := t.TempDir(), t.TempDir()
	tree(t, dir, "one/", "two/link.yaml -> "+filepath.Join(target, "real.yaml"), "two/..data -> ..1", "two/..1/x.yaml", "two/x.yaml -> ..data/x.yaml")
	tree(t, target, "real.yaml")
	folders, links := Trail(List(filepath.Join(dir, "*", "*.yaml")))
	want := []string{dir, filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "two", "..1"), target}
	slices.Sort(want)
	if diff := cmp.Diff(want, folders); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !links[filepath.Join(dir, "two", "..data")] || !links[filepath.Join(dir, "two", "link.yaml")] {
		t.Errorf("the links on the way are %v", links)
	}
	folders, _ = Trail(List(filepath.Join(dir, "none", "deep", "*.yaml"))) // where nothing is yet, the last folder that exists
	if diff := cmp.Diff([]string{dir}, folders); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
