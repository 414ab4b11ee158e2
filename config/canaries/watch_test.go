package canaries

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meshbridge/config/follow/followtest"
	"meshbridge/convert"
	"meshbridge/convert/canary"
)

// watched is a Watcher that runs over a folder.
type watched struct {
	*Watcher
	t       *testing.T
	dir     string
	log     *followtest.Lines
	first   string
	applied chan []canary.Entry
}

const followed = "canary: {files: [canaries/*.yaml]}"

func watch(t *testing.T, dir, text string) *watched {
	t.Helper()
	w := &watched{t: t, dir: dir, log: &followtest.Lines{}, applied: make(chan []canary.Entry, 100)}
	w.Watcher = New(w.config(text), slog.New(slog.NewTextHandler(w.log, nil)))
	w.Rest, w.Gone, w.Poll = 5*time.Millisecond, 20*time.Millisecond, time.Hour
	w.first = shown(dir, w.Read(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := w.Run(ctx, func(e []canary.Entry) { w.applied <- e }); !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return w
}

func (w *watched) config(text string) convert.Config { return section(w.t, w.dir, text) }

// until waits until what was applied last is as it should be in the end.
func (w *watched) until(want string) {
	w.t.Helper()
	end := time.After(20 * time.Second)
	got := w.first
	for {
		select {
		case e := <-w.applied:
			if got = shown(w.dir, e); got == want {
				return
			}
		case <-end:
			w.t.Fatalf("in the end (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
}

// replace puts a whole file in place at once.
func replace(t *testing.T, path, content string) {
	t.Helper()
	fresh := filepath.Join(filepath.Dir(path), ".fresh.yaml")
	put(t, fresh, content)
	must(t, os.Rename(fresh, path))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func named(names ...string) string {
	var documents []string
	for _, name := range names {
		documents = append(documents, fmt.Sprintf("name: %s\nservices: [%s.mesh]\n", name, name))
	}
	return strings.Join(documents, "---\n")
}

func TestFilesThatComeChangeAndGoAreFollowed(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "canaries")
	put(t, filepath.Join(folder, "a.yaml"), named("a"))
	w := watch(t, dir, followed)
	if want := "canaries/a.yaml: a, read\n"; w.first != want {
		t.Fatalf("first %s", w.first)
	}
	put(t, filepath.Join(folder, "b.yaml"), named("b", "c")) // a new file
	w.until("canaries/a.yaml: a, read\ncanaries/b.yaml: b, read\ncanaries/b.yaml: c, read\n")
	put(t, filepath.Join(folder, "b.yaml"), named("b")) // written in place
	w.until("canaries/a.yaml: a, read\ncanaries/b.yaml: b, read\n")
	replace(t, filepath.Join(folder, "a.yaml"), named("d")) // renamed over the old one
	w.until("canaries/a.yaml: d, read\ncanaries/b.yaml: b, read\n")
	must(t, os.Rename(filepath.Join(folder, "a.yaml"), filepath.Join(folder, "z.yaml")))
	w.until("canaries/b.yaml: b, read\ncanaries/z.yaml: d, read\n")
	must(t, os.Remove(filepath.Join(folder, "b.yaml")))
	w.until("canaries/z.yaml: d, read\n")
	must(t, os.Remove(filepath.Join(folder, "z.yaml")))
	w.until("")
}

func TestADocumentThatBecomesFaultyAndGoodAgainIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "canaries", "a.yaml")
	put(t, path, named("a"))
	put(t, filepath.Join(dir, "canaries", "b.yaml"), named("b"))
	w := watch(t, dir, followed)
	const others = "canaries/b.yaml: b, read\n"

	replace(t, path, "name: a\nservices: []\n")
	const fault = "canaries/a.yaml: a, read\n  [services] canaries/a.yaml:2: services: names none: at least one host such as shop.mesh\n" + others
	w.until(fault)
	replace(t, filepath.Join(dir, "canaries", "c.yaml"), named("c")) // another file does not make it told again
	w.until(fault + "canaries/c.yaml: c, read\n")
	replace(t, path, named("a"))
	w.until("canaries/a.yaml: a, read\n" + others + "canaries/c.yaml: c, read\n")
	replace(t, path, "name: a\nservices: [\n")
	w.until("canaries/a.yaml: a\n  [] canaries/a.yaml:3: not YAML: did not find expected node content: check the indentation, the colons and the quotes around there\n" + others + "canaries/c.yaml: c, read\n")
	if refused, good := w.log.Count("canary document refused"), w.log.Count("canary document is good again"); refused != 2 || good != 1 {
		t.Errorf("told %d times of a fault, %d times of its end", refused, good)
	}
}

func TestWhatReadsTheSameIsNotApplied(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "canaries", "a.yaml")
	put(t, path, named("a"))
	w := watch(t, dir, followed)
	replace(t, path, "# a comment\n"+named("a"))
	put(t, filepath.Join(dir, "canaries", "note.txt"), "no document")
	put(t, filepath.Join(dir, "canaries", ".b.yaml.swp"), "an editor's")
	put(t, filepath.Join(dir, "canaries", ".#c.yaml"), "an editor's")
	replace(t, filepath.Join(dir, "canaries", "z.yaml"), named("z"))
	if got := shown(dir, <-w.applied); got != "canaries/a.yaml: a, read\ncanaries/z.yaml: z, read\n" {
		t.Errorf("applied %s", got)
	}
}

// 1. The documents lie on a ConfigMap as the kubelet lays it out: links through ..data, which is swapped by a rename. 2. Each
// swap is read, also one that brings and takes files.
func TestSwapsOfAConfigMapAreFollowed(t *testing.T) {
	dir := t.TempDir()
	mount := filepath.Join(dir, "canaries")
	version := 0
	swap := func(files map[string]string) {
		t.Helper()
		version++
		fresh := fmt.Sprintf("..2026_11_21_%d", version)
		for name, content := range files {
			put(t, filepath.Join(mount, fresh, name), content)
		}
		must(t, os.Symlink(fresh, filepath.Join(mount, "..data_tmp")))
		must(t, os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data")))
		links, err := filepath.Glob(filepath.Join(mount, "[a-z]*"))
		must(t, err)
		for _, link := range links {
			if _, still := files[filepath.Base(link)]; !still {
				must(t, os.Remove(link))
			}
		}
		for name := range files {
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
		if version > 1 {
			must(t, os.RemoveAll(filepath.Join(mount, fmt.Sprintf("..2026_11_21_%d", version-1))))
		}
	}
	swap(map[string]string{"a.yaml": named("a")})
	w := watch(t, dir, "canary: {files: [canaries/*]}")
	if want := "canaries/a.yaml: a, read\n"; w.first != want {
		t.Fatalf("first %s", w.first)
	}
	swap(map[string]string{"a.yaml": named("b")})
	w.until("canaries/a.yaml: b, read\n")
	swap(map[string]string{"a.yaml": named("b"), "c.yaml": named("c")})
	w.until("canaries/a.yaml: b, read\ncanaries/c.yaml: c, read\n")
	swap(map[string]string{"c.yaml": named("d")})
	w.until("canaries/c.yaml: d, read\n")
}

func TestAnotherConfigurationIsReadAtOnce(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "canaries", "a.yaml"), named("a"))
	put(t, filepath.Join(dir, "more", "deep", "b.yaml"), named("b"))
	w := watch(t, dir, "canary: {files: []}")
	if w.first != "" {
		t.Fatalf("first %s", w.first)
	}
	w.Set(w.config(followed))
	w.until("canaries/a.yaml: a, read\n")
	w.Set(w.config("canary: {files: [canaries/*.yaml, more/*/*.yaml]}"))
	w.until("canaries/a.yaml: a, read\nmore/deep/b.yaml: b, read\n")
	put(t, filepath.Join(dir, "more", "far", "c.yaml"), named("c")) // a folder that a glob matches
	w.until("canaries/a.yaml: a, read\nmore/deep/b.yaml: b, read\nmore/far/c.yaml: c, read\n")
	w.Set(w.config("canary: {files: [canaries/*.yaml], teams: [{name: t, files: [canaries/a*], services: [b.mesh]}]}"))
	w.until("canaries/a.yaml: a, of t, read\n  [services[0]] canaries/a.yaml:2: services[0]: \"a.mesh\" is not team t's: it may name b.mesh\n")
}

// 1. The folder is not there at first: nothing is known of it. 2. It comes. 3. It goes as a whole, or another, empty one stands in its
// place, as when a volume is not mounted: the documents stay, and that is told once. 4. It is back, and followed.
func TestDocumentsDoNotGoWithTheirFolder(t *testing.T) {
	dir := t.TempDir()
	folder, away := filepath.Join(dir, "canaries"), filepath.Join(dir, "away")
	w := watch(t, dir, followed)
	if !strings.HasPrefix(w.first, "canaries/*.yaml: , unknown\n") || w.log.Count("no canary documents are known") != 1 {
		t.Fatalf("first %s", w.first)
	}
	put(t, filepath.Join(folder, "a.yaml"), named("a"))
	w.until("canaries/a.yaml: a, read\n")

	waitFor := func(part string, n int) {
		t.Helper()
		for end := time.After(20 * time.Second); w.log.Count(part) < n; {
			select {
			case <-time.After(time.Millisecond):
			case <-end:
				t.Fatalf("never told %d times: %s", n, part)
			}
		}
	}
	must(t, os.Rename(folder, away))
	waitFor("it does not exist", 1)
	must(t, os.Mkdir(folder, 0o700))
	waitFor("it is another one and empty", 1)
	if len(w.applied) != 0 {
		t.Errorf("applied %s", shown(dir, <-w.applied))
	}
	must(t, os.Remove(folder))
	waitFor("it does not exist", 2)
	must(t, os.Rename(away, folder))
	replace(t, filepath.Join(folder, "b.yaml"), named("b"))
	w.until("canaries/a.yaml: a, read\ncanaries/b.yaml: b, read\n")
}
