package sources_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"meshbridge/sources"
)

// lines is a log that a test reads.
type lines struct{ strings.Builder }

func logTo(l *lines) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// process is a mirror that keeps what it serves in dir, from its start to stop.
type process struct {
	*sources.Mirror
	sink sources.Sink
	log  *lines
	stop func()
}

func start(t *testing.T, dir, identity string) *process {
	t.Helper()
	p := &process{log: &lines{}}
	p.Mirror = sources.NewMirror(time.Now, logTo(p.log))
	closeFile := p.Restore(dir)
	p.Expect([]sources.Expected{{Name: "a", Required: true, Identity: identity, Protect: sources.DefaultProtect()}})
	p.sink = p.Sink("a")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Run(ctx) // it ends with ctx
	}()
	p.stop = func() {
		cancel()
		<-done
		closeFile()
	}
	return p
}

func (p *process) serve(services ...*sources.Service) {
	p.sink.Scopes([]string{"s"})
	p.sink.Snapshot("s", services, nil)
}

func (p *process) takeAll() map[string]int {
	all := map[string]int{}
	for {
		changes, _ := p.Take()
		for _, c := range changes {
			if c.Service != nil {
				all[c.Ref.Key.Name] = len(c.Service.Instances)
			}
		}
		if len(changes) == 0 {
			return all
		}
	}
}

func TestARestartServesWhatWasLastReadAndThenWhatIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, "id")
	first.serve(registry(10, 2)...)
	first.stop()

	second := start(t, dir, "id")
	defer second.stop()
	if got := second.takeAll(); len(got) != 10 || got["s00"] != 2 {
		t.Errorf("restored %v, want 10 services of 2", got)
	}
	st := second.Sources()[0].Scopes[0]
	if st.State != sources.Stale || st.LastReport.IsZero() || st.Usable != 20 {
		t.Errorf("a restored scope is %+v, want stale, with its age", st)
	}
	if waiting := second.Waiting(); len(waiting) != 1 {
		t.Errorf("the gate waits for %v, want the fresh report", waiting)
	}
	second.serve(registry(10, 2)...)
	if changes, open := second.Take(); len(changes) != 0 || !open {
		t.Errorf("the same read anew: %d changes, open %v; want none, and the gate open", len(changes), open)
	}
}

func TestTheFirstReportAfterARestartIsJudgedAgainstWhatWasLastRead(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, "id")
	first.serve(registry(10, 2)...)
	first.stop()
	guarded(t, dir, func(w *world) {
		w.after(0).want(20, "restored")
		w.sink.Scopes([]string{"s"})
		w.snapshot(nil)
		w.after(time.Hour).want(20, "an empty first report")
		w.wantHeld(20, "an empty first report")
	})
}

func TestTheGateOpensOverWhatWasLastReadAfterTenSeconds(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, "id")
	first.serve(registry(10, 2)...)
	first.stop()
	guarded(t, dir, func(w *world) {
		w.after(9 * time.Second)
		if len(w.mirror.Waiting()) == 0 {
			t.Error("the gate opened before 10 s")
		}
		w.after(2 * time.Second)
		if waiting := w.mirror.Waiting(); len(waiting) != 0 {
			t.Errorf("the gate still waits for %v", waiting)
		}
	})
	guarded(t, t.TempDir(), func(w *world) {
		w.after(time.Hour)
		if len(w.mirror.Waiting()) == 0 {
			t.Error("the gate opened over nothing")
		}
	})
}

func TestWhatAnotherIdentitySaidIsForgotten(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, "nacos-1")
	first.serve(registry(10, 2)...)
	first.stop()
	second := start(t, dir, "nacos-2")
	if got := second.takeAll(); len(got) != 0 {
		t.Errorf("restored %v of another registry", got)
	}
	second.stop()
	third := start(t, dir, "nacos-1")
	defer third.stop()
	if got := third.takeAll(); len(got) != 0 {
		t.Errorf("restored %v, which another identity had replaced", got)
	}
}

func TestAChangedIdentityIsKeptUnderItsNewName(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, "nacos-1")
	first.serve(registry(10, 2)...)
	first.Expect([]sources.Expected{{Name: "a", Required: true, Identity: "nacos-1,nacos-2", Protect: sources.DefaultProtect()}})
	first.stop()
	second := start(t, dir, "nacos-1,nacos-2")
	defer second.stop()
	if got := second.takeAll(); len(got) != 10 {
		t.Errorf("restored %v, want what was served when the identity changed", got)
	}
}

func TestAForgottenScopeAndAForgottenSourceAreNotRestored(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, "id")
	first.sink.Scopes([]string{"s", "t"})
	first.sink.Snapshot("s", registry(1, 1), nil)
	first.sink.Snapshot("t", registry(2, 1), nil)
	first.stop()

	second := start(t, dir, "id")
	second.Expect(nil)
	second.stop()
	third := start(t, dir, "id")
	defer third.stop()
	if got := third.takeAll(); len(got) != 0 {
		t.Errorf("restored %v of a source that was not expected in between", got)
	}
}

func TestADamagedFileIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(data []byte) []byte{
		"a byte in the middle": func(data []byte) []byte {
			at := strings.Index(string(data), "10.0.3.1")
			data[at]++
			return data
		},
		"cut short":  func(data []byte) []byte { return data[:3*4096] },
		"no bbolt":   func([]byte) []byte { return []byte("not a database, but longer than nothing") },
		"zeroed":     func(data []byte) []byte { clear(data[4096:]); return data },
		"other meta": func(data []byte) []byte { clear(data[:8192]); return data },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := start(t, dir, "id")
			first.serve(registry(10, 2)...)
			first.stop()
			path := filepath.Join(dir, "last-good.db")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			second := start(t, dir, "id")
			if got := second.takeAll(); len(got) != 0 {
				t.Errorf("restored %v from a damaged file", got)
			}
			if _, err := os.Stat(path + ".damaged"); err != nil {
				t.Errorf("the damaged file was not set aside: %v; log: %s", err, second.log)
			}
			second.serve(registry(3, 2)...)
			second.stop()
			third := start(t, dir, "id")
			defer third.stop()
			if got := third.takeAll(); len(got) != 3 {
				t.Errorf("restored %v after the damage, want 3 services", got)
			}
		})
	}
}

func TestALockedFileIsSaidAndSurvived(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, "id")
	defer first.stop()
	second := start(t, dir, "id")
	second.serve(registry(3, 2)...)
	if got := second.takeAll(); len(got) != 3 {
		t.Errorf("without a file %v is served, want what is reported", got)
	}
	if kept := second.Kept(); !strings.Contains(kept.Err, "in use by another process") {
		t.Errorf("kept: %+v", kept)
	}
	second.stop()
}

// TestMain's child: a process that changes its world until it is killed.
const childVariable = "MESHBRIDGE_TEST_KEEP"

// TestAKilledProcessLeavesAWholeWorld kills a process that keeps changing two services together, at random moments.
func TestAKilledProcessLeavesAWholeWorld(t *testing.T) {
	if dir := os.Getenv(childVariable); dir != "" {
		changeForEver(t, dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	for round := range 6 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestAKilledProcessLeavesAWholeWorld$")
		cmd.Env = append(os.Environ(), childVariable+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("the child said %q: %v", line, err)
		}
		time.Sleep(time.Duration(900+61*round) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		p := start(t, dir, "id")
		got := p.takeAll()
		if kept := p.Kept(); kept.Err != "" || len(got) != 50 {
			t.Errorf("round %d: %d services, kept %+v; log: %s", round, len(got), kept, p.log)
		}
		// A part of a report is never kept: all services of one report have as many instances.
		for name, n := range got {
			if n != got["s00"] {
				t.Errorf("round %d: %s has %d instances, s00 %d", round, name, n, got["s00"])
			}
		}
		p.stop()
	}
}

func changeForEver(t *testing.T, dir string) {
	p := start(t, dir, "id")
	p.serve(registry(50, 1)...)
	for p.Kept().Saved.IsZero() || p.Kept().Unsaved > 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("started")
	for n := 1; ; n++ {
		p.serve(registry(50, 1+n%9)...)
		time.Sleep(time.Millisecond)
	}
}

// TestAFullDiskIsSaidAndSurvived limits the size of files in a child, where a write then fails as on a full disk.
func TestAFullDiskIsSaidAndSurvived(t *testing.T) {
	if dir := os.Getenv(childVariable); dir != "" {
		fillTheDisk(t, dir)
		return
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestAFullDiskIsSaidAndSurvived$")
	cmd.Env = append(os.Environ(), childVariable+"="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the child ended: %v\n%s", err, out)
	}
	var got struct{ Served, Full, Restored string }
	if err := json.Unmarshal([]byte(strings.SplitN(string(out), "\n", 2)[0]), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got.Served != "2000" || !strings.Contains(got.Full, "write ") || got.Restored != "2000" {
		t.Errorf("served %s services on a full disk, said %q, and restored %s when there was room again", got.Served, got.Full, got.Restored)
	}
}

func fillTheDisk(t *testing.T, dir string) {
	p := start(t, dir, "id")
	p.serve(registry(2, 1)...)
	waitFor(t, func() bool { return !p.Kept().Saved.IsZero() && p.Kept().Unsaved == 0 })
	setLimit := func(bytes uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: 1 << 40}); err != nil {
			t.Fatal(err)
		}
	}
	signal.Ignore(syscall.SIGXFSZ) // so that a write beyond the limit fails
	setLimit(64 << 10)
	p.serve(registry(2000, 2)...)
	served := len(p.takeAll())
	waitFor(t, func() bool { return p.Kept().Err != "" })
	full := p.Kept().Err
	setLimit(1 << 40)
	waitFor(t, func() bool { return p.Kept().Err == "" && p.Kept().Unsaved == 0 })
	p.stop()
	again := start(t, dir, "id")
	defer again.stop()
	out, err := json.Marshal(map[string]string{"Served": fmt.Sprint(served), "Full": full, "Restored": fmt.Sprint(len(again.takeAll()))})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s\n", out)
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came")
		}
	}
}
