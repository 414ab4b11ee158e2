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

	"github.com/fsnotify/fsnotify"

	"meshbridge/config/follow"
	"meshbridge/convert/canary"
)

// thousand is a Watcher of a thousand files, and a function that edits one of them.
func thousand(t testing.TB) (w *Watcher, edit func()) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "canaries"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(i, weight int) {
		text := fmt.Sprintf("name: d%03d\nservices: [d%03d.mesh]\nprimary: v1\ncanaries:\n- {version: v2, weight: %d}\n", i, i, weight)
		fresh, path := filepath.Join(dir, "fresh"), filepath.Join(dir, "canaries", fmt.Sprintf("d%03d.yaml", i))
		if err := errors.Join(os.WriteFile(fresh, []byte(text), 0o600), os.Rename(fresh, path)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		write(i, 10)
	}
	weight := 10
	return New(section(t, dir, followed), slog.New(slog.DiscardHandler)), func() {
		weight = weight%50 + 1
		write(500, weight)
	}
}

func TestAnEditOfOneOfAThousandFilesReadsOne(t *testing.T) {
	w, edit := thousand(t)
	w.Rest = 5 * ms
	before := w.Read(t.Context())
	var mu sync.Mutex
	reads, read := 0, w.read
	w.read = func(root, path string, limit int64) ([]byte, follow.Identity, error) {
		mu.Lock()
		defer mu.Unlock()
		reads++
		return read(root, path, limit)
	}
	ctx, cancel := context.WithCancel(t.Context())
	applied, done := make(chan []canary.Entry, 10), make(chan error)
	go func() { done <- w.Run(ctx, func(e []canary.Entry) { applied <- e }) }()
	for range 3 {
		edit()
		after := <-applied
		for i, e := range after {
			if same := e.Document == before[i].Document; same == (i == 500) {
				t.Errorf("document %d: the same %t", i, same)
			}
		}
		before = after
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	if reads != 3 {
		t.Errorf("read %d files for 3 edits", reads)
	}
}

// What an edit costs from the notice to what is applied, without the time of rest.
func BenchmarkEditOfOneOfAThousand(b *testing.B) {
	w, edit := thousand(b)
	w.Read(b.Context())
	applied := 0
	r := w.runner(b.Context(), &follow.Notices{}, func([]canary.Entry) { applied++ })
	r.look()
	f := w.tree.order[500]
	path, err := follow.Resolved(f.path)
	if err != nil {
		b.Fatal(err)
	}
	edits := 0
	for b.Loop() {
		b.StopTimer()
		edit()
		edits++
		b.StartTimer()
		r.notice(fsnotify.Event{Name: path})
		r.rested(f.due)
		r.take(<-r.done)
		r.hand()
	}
	if applied != edits {
		b.Errorf("%d of %d edits were applied", applied, edits)
	}
}

// A file that has nothing right in it.
func BenchmarkAMegabyteOfUnknownKeys(b *testing.B) {
	var text strings.Builder
	text.WriteString("name: a\nservices: [a.mesh]\n")
	for i := 0; text.Len() < MaxFile-20; i++ {
		fmt.Fprintf(&text, "k%d: 1\n", i)
	}
	cfg := section(b, ".", followed)
	for b.Loop() {
		if got := Parse(cfg, "f", []byte(text.String())); len(got) != 1 || len(got[0].Faults) == 0 {
			b.Fatalf("%d documents", len(got))
		}
	}
}
