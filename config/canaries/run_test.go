package canaries

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"

	"meshbridge/config/follow"
	"meshbridge/convert/canary"
)

const ms = time.Millisecond

// told is a Watcher in a bubble with a clock of its own. It hears of changes when the test tells it.
type told struct {
	*Watcher
	t      *testing.T
	dir    string
	events chan fsnotify.Event

	// As after saw it.
	last  []canary.Entry // that were applied
	reads []string       // the names of the files that were read

	// Guarded by mu.
	mu      sync.Mutex
	applied [][]canary.Entry // since after saw it
	opened  []string
}

// inBubble runs a watcher of the files in canaries/, of which there are some already.
func inBubble(t *testing.T, text string, files map[string]string, test func(w *told)) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "canaries"), 0o700))
	for name, content := range files {
		put(t, filepath.Join(dir, "canaries", name), content)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &told{t: t, dir: dir, events: make(chan fsnotify.Event)}
		w.Watcher = New(section(t, dir, text), slog.New(slog.DiscardHandler))
		read := w.Watcher.read
		w.Watcher.read = func(root, path string, limit int64) ([]byte, follow.Identity, error) {
			w.mu.Lock()
			w.opened = append(w.opened, filepath.Base(path))
			w.mu.Unlock()
			return read(root, path, limit)
		}
		w.last = w.Read(t.Context())
		w.opened = nil
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() {
			err := w.run(ctx, &follow.Notices{Events: w.events}, func(e []canary.Entry) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.applied = append(w.applied, e)
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Run ended with %v", err)
			}
		})
		synctest.Wait()
		test(w)
		cancel()
		done.Wait()
	})
}

func (w *told) path(name string) string { return filepath.Join(w.dir, "canaries", name) }

// put writes a file, and the kernel tells.
func (w *told) put(name, content string) {
	w.t.Helper()
	put(w.t, w.path(name), content)
	w.tell(name)
}

func (w *told) remove(name string) {
	w.t.Helper()
	must(w.t, os.Remove(w.path(name)))
	w.tell(name)
}

func (w *told) tell(name string) { w.events <- fsnotify.Event{Name: w.path(name), Op: fsnotify.Write} }

// after lets time pass, and gives what was applied meanwhile, as it is shown.
func (w *told) after(d time.Duration) []string {
	<-time.After(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var applied []string
	for _, e := range w.applied {
		applied, w.last = append(applied, shown(w.dir, e)), e
	}
	w.applied, w.reads = nil, slices.Clone(w.opened)
	return applied
}

func (w *told) expect(what string, d time.Duration, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.after(d)); diff != "" {
		w.t.Errorf("%s, applied (-want +got):\n%s", what, diff)
	}
}

func TestAnEditCountsWhenItsFileHasRested(t *testing.T) {
	inBubble(t, followed, map[string]string{"a.yaml": named("a")}, func(w *told) {
		const both = "canaries/a.yaml: a, read\ncanaries/a.yaml: b, read\n"
		w.put("a.yaml", "name: a\nservices: [") // half written
		w.expect("half written", 30*ms)
		w.put("a.yaml", named("a", "b"))
		w.expect("not at rest", 49*ms)
		w.expect("at rest", ms, both)
		w.put("c.yaml", named("c"))
		w.expect("a new file", 50*ms, both+"canaries/c.yaml: c, read\n")
		if want := []string{"a.yaml", "c.yaml"}; !slices.Equal(w.reads, want) {
			t.Errorf("read %v, want %v", w.reads, want)
		}
	})
}

// One file is written every 20 ms for two seconds; another one counts after its own 50 ms.
func TestAFileThatNeverRestsHoldsUpNoOther(t *testing.T) {
	inBubble(t, followed, map[string]string{"a.yaml": named("a"), "b.yaml": named("b")}, func(w *told) {
		for i := range 100 {
			w.put("a.yaml", named("a")+strings.Repeat("#", i))
			if i == 50 {
				w.put("b.yaml", named("b", "c"))
			}
			want := []string(nil)
			if i == 52 {
				want = []string{"canaries/a.yaml: a, read\ncanaries/b.yaml: b, read\ncanaries/b.yaml: c, read\n"}
			}
			w.expect("another file is written", 20*ms, want...)
		}
		if slices.Contains(w.reads, "a.yaml") {
			t.Errorf("a file that is being written was read")
		}
	})
}

// 1. A document disappears from its file, and is back within the time: nothing happens. 2. It goes for good. 3. So does one
// whose file disappears. 4. What has changed when it is back counts at once.
func TestADocumentThatDisappearsCountsAfterAWhile(t *testing.T) {
	const b, c = "canaries/a.yaml: b, read\n", "canaries/c.yaml: c, read\n"
	inBubble(t, followed, map[string]string{"a.yaml": named("a", "b"), "c.yaml": named("c")}, func(w *told) {
		w.put("a.yaml", named("b"))
		w.expect("away for 4.9 s", 4900*ms)
		w.put("a.yaml", named("a", "b"))
		w.expect("back", time.Minute)

		w.put("a.yaml", named("b"))
		w.expect("not yet away for 5 s", 5049*ms)
		w.expect("away for 5 s", ms, b+c)
		w.remove("c.yaml")
		w.expect("its file away for less", 5049*ms)
		w.expect("its file away for 5 s", ms, b)

		w.remove("a.yaml")
		w.expect("the last file away for less", 4*time.Second)
		w.put("a.yaml", "name: b\nservices: [c.mesh]\n")
		if w.expect("another content", 50*ms, b); w.last[0].Document.Services[0] != "c.mesh" {
			t.Errorf("holds %v", w.last[0].Document)
		}
		w.expect("for good", time.Minute)
	})
}

// An editor empties the file before it writes it: the documents stay.
func TestAFileThatIsEmptyForAMomentTakesNothingAway(t *testing.T) {
	inBubble(t, followed, map[string]string{"a.yaml": named("a")}, func(w *told) {
		w.put("a.yaml", "")
		for _, applied := range w.after(4 * time.Second) {
			if !strings.Contains(applied, "canaries/a.yaml: a, read\n") {
				t.Errorf("applied %s", applied)
			}
		}
		w.put("a.yaml", named("a"))
		w.expect("written", 50*ms, "canaries/a.yaml: a, read\n")
		w.expect("for good", time.Minute)
	})
}

// Whichever file is told of first, and whichever is written first.
func TestADocumentThatMovesBetweenFilesIsNeverAway(t *testing.T) {
	for _, order := range []string{"comes first", "goes first", "goes three seconds before"} {
		inBubble(t, followed, map[string]string{"m.yaml": named("a", "b")}, func(w *told) {
			to := "z.yaml"
			switch order {
			case "goes first":
				to = "a.yaml" // before its former file by path
			case "comes first":
				w.put(to, named("b"))
				w.after(100 * ms)
			}
			w.put("m.yaml", named("a"))
			if order == "goes three seconds before" {
				w.expect(order, 3*time.Second)
			}
			if order != "comes first" {
				w.put(to, named("b"))
			}
			for _, applied := range w.after(time.Minute) {
				if !strings.Contains(applied, "yaml: b, read\n") {
					t.Errorf("%s: applied %s", order, applied)
				}
			}
			if got := shown(w.dir, w.last); !strings.Contains(got, to+": b, read") || strings.Count(got, "\n") != 2 {
				t.Errorf("%s: in the end %s", order, got)
			}
		})
	}
}

// Another file has changed too, of which no notice came: it is found when all files are looked at, and not before.
func TestANoticeOfAFileMakesNoOtherLookedAt(t *testing.T) {
	inBubble(t, followed, map[string]string{"a.yaml": named("a"), "b.yaml": named("b"), "c.yaml": named("c")}, func(w *told) {
		put(t, w.path("b.yaml"), named("b", "d")) // no notice
		w.put("a.yaml", named("a", "e"))
		w.after(20 * time.Second)
		w.tell(".a.yaml.swp")
		w.tell("c.yaml") // it has not changed
		w.after(5 * time.Second)
		if !slices.Equal(w.reads, []string{"a.yaml"}) {
			t.Errorf("read %v", w.reads)
		}
		w.after(10 * time.Second)
		if !slices.Equal(w.reads, []string{"a.yaml", "b.yaml"}) || !strings.Contains(shown(w.dir, w.last), "b.yaml: d, read") {
			t.Errorf("read %v after half a minute", w.reads)
		}
	})
}

func TestDocumentsThatSayTheSameKeepTheirPointers(t *testing.T) {
	inBubble(t, followed, map[string]string{"a.yaml": named("a", "b"), "z.yaml": named("z")}, func(w *told) {
		before := map[string]*canary.Document{}
		for _, e := range w.last {
			before[e.Name] = e.Document
		}
		w.put("a.yaml", "# a comment\n"+named("a")+"---\n# a comment here too\nname: b\nservices: [b.mesh]\n---\n"+named("c"))
		w.after(time.Second)
		if len(w.last) != 4 {
			t.Fatalf("holds %s", shown(w.dir, w.last))
		}
		for _, e := range w.last {
			if was := before[e.Name]; was != nil && was != e.Document {
				t.Errorf("%s is another one", e.Name)
			}
		}
		w.put("a.yaml", "name: a\nservices: [b.mesh]\n---\n"+named("b", "c"))
		w.after(time.Second)
		for _, e := range w.last {
			if e.Name == "a" && e.Document == before["a"] {
				t.Error("a says something else, and is what it was")
			}
		}
	})
}

// A fault further down has its new line, although nothing else has changed.
func TestAFaultMovesWithItsDocument(t *testing.T) {
	inBubble(t, followed, map[string]string{"a.yaml": named("a", "a")}, func(w *told) {
		want := "canaries/a.yaml: a, read\ncanaries/a.yaml: a, read\n  [name] canaries/a.yaml:5: name: \"a\" is that of a document in canaries/a.yaml already: a name of its own\n"
		if got := shown(w.dir, w.last); !strings.Contains(got, "a.yaml:4: ") {
			t.Errorf("first %s", got)
		}
		w.put("a.yaml", "# a comment\n"+named("a", "a"))
		w.expect("a line further down", 50*ms, want)
	})
}

// 1. Nothing is known of a folder that is not there. 2. Nor when it comes empty. 3. Its files come one by one: until all of them
// should be there, something may be missing.
func TestAFolderIsUnknownUntilItsFilesHaveCome(t *testing.T) {
	inBubble(t, "canary: {files: [canaries/*.yaml, later/*.yaml]}", map[string]string{"a.yaml": named("a")}, func(w *told) {
		unknown := func() bool { return slices.ContainsFunc(w.last, func(e canary.Entry) bool { return e.Unknown }) }
		later := filepath.Join(w.dir, "later")
		if !unknown() {
			t.Fatal("something is known of a folder that is not there")
		}
		must(t, os.Mkdir(later, 0o700))
		w.events <- fsnotify.Event{Name: later, Op: fsnotify.Create}
		if w.after(time.Minute); !unknown() {
			t.Error("it is known to be empty, though it was not there")
		}
		put(t, filepath.Join(later, "b.yaml"), named("b"))
		w.events <- fsnotify.Event{Name: filepath.Join(later, "b.yaml"), Op: fsnotify.Create}
		if w.after(time.Second); !unknown() || len(w.last) != 3 {
			t.Errorf("after the first file %s", shown(w.dir, w.last))
		}
		if w.after(10 * time.Second); unknown() || len(w.last) != 2 {
			t.Errorf("in the end %s", shown(w.dir, w.last))
		}
	})
}

// 1. Files go, and right after them their folder: nobody knows whether they were meant to. 2. The folder is back without them.
func TestAFolderThatGoesRightAfterItsFilesTakesNothingAway(t *testing.T) {
	inBubble(t, followed, map[string]string{"a.yaml": named("a")}, func(w *told) {
		folder := filepath.Join(w.dir, "canaries")
		w.remove("a.yaml")
		w.expect("the file", time.Second)
		must(t, os.Remove(folder))
		w.events <- fsnotify.Event{Name: folder, Op: fsnotify.Remove}
		w.expect("the folder", time.Hour)
		must(t, os.Mkdir(folder, 0o700))
		put(t, filepath.Join(folder, "b.yaml"), named("b"))
		w.events <- fsnotify.Event{Name: folder, Op: fsnotify.Create}
		w.expect("another file", time.Second, "canaries/a.yaml: a, read\ncanaries/b.yaml: b, read\n")
		w.expect("for good", time.Hour, "canaries/b.yaml: b, read\n")
	})
}

// Team a's file takes for ever to be read, and is in the way of no other team's, nor of the end.
func TestOneTeamsFileDelaysNoOtherTeamNorTheEnd(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "canaries", "a.yaml"), named("a"))
	put(t, filepath.Join(dir, "canaries", "b.yaml"), named("b"))
	const teams = "canary: {files: [canaries/*.yaml], teams: [{name: a, files: [canaries/a.yaml], services: ['*']}, {name: b, files: [canaries/b.yaml], services: ['*']}]}"
	w := New(section(t, dir, teams), slog.New(slog.DiscardHandler))
	w.Rest = 5 * ms
	w.Read(t.Context())
	reading, free, ended := make(chan bool), make(chan bool), make(chan bool)
	read := w.read
	w.read = func(root, path string, limit int64) ([]byte, follow.Identity, error) {
		if filepath.Base(path) == "a.yaml" {
			reading <- true
			<-free
			defer close(ended)
		}
		return read(root, path, limit)
	}
	ctx, cancel := context.WithCancel(t.Context())
	applied, done := make(chan string, 10), make(chan error)
	go func() { done <- w.Run(ctx, func(e []canary.Entry) { applied <- shown(dir, e) }) }()
	put(t, filepath.Join(dir, "canaries", "a.yaml"), named("a", "aa"))
	<-reading
	put(t, filepath.Join(dir, "canaries", "b.yaml"), named("b", "bb"))
	want := "canaries/a.yaml: a, of a, read\ncanaries/b.yaml: b, of b, read\ncanaries/b.yaml: bb, of b, read\n"
	if got := <-applied; got != want {
		t.Errorf("applied %s", got)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	close(free)
	<-ended
}

// A start that is ended takes nothing away: what was not read is unreadable.
func TestAStartThatIsEndedKnowsNoFile(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "canaries", "a.yaml"), named("a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want := "canaries/a.yaml: \n  [] canaries/a.yaml: is not read: the bridge is being stopped: a file that can be read, or none\n"
	if got := shown(dir, New(section(t, dir, followed), slog.New(slog.DiscardHandler)).Read(ctx)); got != want {
		t.Errorf("read %s", got)
	}
}

// 1. The first file by path has the name. 2. With a fault it loses it to the next one. 3. Of two teams each has its own.
func TestANameGoesToTheFirstOfItsTeam(t *testing.T) {
	teams := "canary: {files: [canaries/*.yaml], teams: [{name: t, files: [canaries/t*.yaml], services: ['*']}, {name: u, files: [canaries/u*.yaml], services: ['*']}]}"
	inBubble(t, teams, map[string]string{"t1.yaml": named("x"), "t2.yaml": named("x"), "u.yaml": named("x")}, func(w *told) {
		refused := func() (files []string) {
			for _, e := range w.last {
				if len(e.Faults) > 0 {
					files = append(files, filepath.Base(e.File))
				}
			}
			return files
		}
		if got := refused(); !slices.Equal(got, []string{"t2.yaml"}) {
			t.Errorf("refused %v", got)
		}
		w.put("t1.yaml", "name: x\nservices: []\n")
		if w.after(time.Second); !slices.Equal(refused(), []string{"t1.yaml"}) {
			t.Errorf("with a fault in the first, refused %v", refused())
		}
		w.put("t1.yaml", named("other"))
		if w.after(time.Second); refused() != nil || len(w.last) != 3 {
			t.Errorf("in the end %s", shown(w.dir, w.last))
		}
	})
}
