package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a started server. It may be ended and started again with the same arguments.
type Process struct {
	Name string
	Dir  string // its own folder, empty at first; removed with the test unless that failed

	t    testing.TB
	path string
	args []string
	show int      // lines of its log that a failed test prints
	env  []string // beside the environment of the test

	// Set by Start.
	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// newProcess prepares a server and starts nothing.
func newProcess(t testing.TB, name, path string, args ...string) *Process {
	t.Helper()
	return &Process{Name: name, Dir: Scratch(t, name), t: t, path: path, args: args, show: 60}
}

// Scratch makes an empty folder that goes with the test, and stays when the test failed.
func Scratch(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "meshbridge-test-"+name+"-")
	if err != nil {
		t.Fatalf("make a folder for %s: %v", name, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the files of %s stay in %s", name, dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("remove the folder of %s: %v", name, err)
		}
	})
	return dir
}

// start starts the process, its output appended to its log; it is ended with the test.
func (p *Process) start() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.cmd == nil
	if !first && !closed(p.done) {
		p.t.Fatalf("%s is running already", p.Name)
	}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatalf("open the log of %s: %v", p.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir, cmd.Env = p.Dir, append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("start %s: %v", p.Name, err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	p.cmd, p.done = cmd, done
	if first {
		p.t.Cleanup(func() {
			p.Stop()
			if p.t.Failed() {
				p.t.Logf("the end of the log of %s:\n%s", p.Name, tail(p.Log(), p.show))
			}
		})
	}
}

// Stop asks the process to end, waits for it, and kills it after 10 s. It does nothing to one that has ended.
func (p *Process) Stop() {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.Kill()
	}
}

// Kill ends the process without asking and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Signal sends a signal unless the process has ended: SIGSTOP and SIGCONT make and end a black hole.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Logf("signal %s: %v", p.Name, err)
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Log is all that the process has printed, over all its starts.
func (p *Process) Log() string {
	content, err := os.ReadFile(p.logFile())
	if err != nil {
		p.t.Errorf("read the log of %s: %v", p.Name, err)
	}
	return string(content)
}

// LogLines are the lines of the log that contain the text.
func (p *Process) LogLines(text string) []string {
	return slices.DeleteFunc(strings.Split(p.Log(), "\n"), func(line string) bool { return !strings.Contains(line, text) })
}

func (p *Process) logFile() string { return filepath.Join(p.Dir, "log") }

// ready waits until check returns nil, and fails the test when the process ends before or the time is over.
func (p *Process) ready(limit time.Duration, check func() error) {
	p.t.Helper()
	Eventually(p.t, limit, p.Name+" is ready", func() error {
		err := check()
		if err != nil && closed(p.done) {
			p.t.Fatalf("%s ended before it was ready: %v\n%s", p.Name, p.cmd.ProcessState, tail(p.Log(), 60))
		}
		return err
	})
}

// Eventually asks every 20 ms until check returns nil, and fails the test with what it said last when the time is over.
func Eventually(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s not: %s: %v", limit, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// toolDir is the folder of a built tool; it fails the test when the tool is not built.
func toolDir(t testing.TB, tool Tool) string {
	t.Helper()
	dir, built, err := tool.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if !built {
		t.Fatalf("%s %s is not built: run `go run ./cmd/testtools e2e` in test/ first", tool.Name, tool.Version)
	}
	return dir
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func tail(text string, lines int) string {
	all := bytes.Split([]byte(strings.TrimRight(text, "\n")), []byte("\n"))
	if len(all) > lines {
		return fmt.Sprintf("(%d lines before)\n%s", len(all)-lines, bytes.Join(all[len(all)-lines:], []byte("\n")))
	}
	return text
}
