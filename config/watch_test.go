package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"meshbridge/config/follow/followtest"
)

// The loop of a Watcher under test: what it applied and what it reported, in order.
type watched struct {
	t       *testing.T
	applied chan *Config
	reports chan error
	log     *followtest.Lines
}

func watch(t *testing.T, path string, env Env) *watched {
	t.Helper()
	current, files, err := Load(path, env)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, applied: make(chan *Config, 100), reports: make(chan error, 100), log: &followtest.Lines{}}
	ctx, cancel := context.WithCancel(t.Context())
	watcher := &Watcher{
		Path: path, Env: env, Settle: 5 * time.Millisecond, Poll: time.Hour,
		Log:    slog.New(slog.NewTextHandler(w.log, nil)),
		Report: func(err error) { w.reports <- err },
	}
	var done sync.WaitGroup
	done.Go(func() {
		if err := watcher.Run(ctx, current, files, func(c *Config) { w.applied <- c }); !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return w
}

// report waits for the next reading.
func (w *watched) report() error {
	w.t.Helper()
	select {
	case err := <-w.reports:
		return err
	case <-time.After(20 * time.Second):
		w.t.Fatal("the change was never noticed")
		return nil
	}
}

// good waits for a reading without fault and gives what was applied, nil if nothing was.
func (w *watched) good() *Config {
	w.t.Helper()
	if err := w.report(); err != nil {
		w.t.Fatalf("refused: %v", err)
	}
	select {
	case c := <-w.applied:
		return c
	default:
		return nil
	}
}

// until waits for a configuration that is as it should be in the end; faults on the way are fine, as of a file half written.
func (w *watched) until(right func(*Config) bool) {
	w.t.Helper()
	for {
		if w.report() != nil || len(w.applied) == 0 {
			continue
		}
		if right(<-w.applied) {
			return
		}
	}
}

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

func noEnv(string) (string, bool) { return "", false }

// file is a configuration with a log level and sources of the given names.
func fileWith(level string, names ...string) string {
	text := "log: {level: " + level + "}\nsources:\n"
	for _, name := range names {
		text += fmt.Sprintf("- {name: %s, file: {path: services}}\n", name)
	}
	return text
}

func names(c *Config) []string {
	if c == nil {
		return nil
	}
	var list []string
	for _, s := range c.Sources {
		list = append(list, s.Name)
	}
	return list
}

func TestAFileWrittenInPlaceIsApplied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meshbridge.yaml")
	write(t, path, fileWith("info", "one"))
	w := watch(t, path, noEnv)
	if err := os.WriteFile(path, []byte(fileWith("info", "one", "two")), 0o600); err != nil {
		t.Fatal(err)
	}
	w.until(func(c *Config) bool { return slices.Equal(names(c), []string{"one", "two"}) })
}

func TestAFileRenamedOverTheOldOneIsApplied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meshbridge.yaml")
	write(t, path, fileWith("info", "one"))
	w := watch(t, path, noEnv)
	for i, level := range []string{"debug", "warn"} { // the second finds the watch still alive
		write(t, path, fileWith(level, "one"))
		if c := w.good(); c == nil || c.Log.Level != Level(level) {
			t.Errorf("rename %d: applied %+v", i, c)
		}
	}
}

func TestAFaultyFileLeavesTheLastGoodInForceAndIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "meshbridge.yaml")
	write(t, path, fileWith("info", "one"))
	w := watch(t, path, noEnv)

	for i, bad := range []string{"log: [", "", "sources:\n", "log: {levell: info}\n"} { // 1. four faults, each told of
		write(t, path, bad)
		if err := w.report(); err == nil {
			t.Fatalf("%q was taken for good", bad)
		}
		if got := w.log.Count("configuration refused"); got != i+1 {
			t.Errorf("after %q: refused %d times in the log", bad, got)
		}
	}
	write(t, path, "log: {levell: info}\n\n") // 2. the same fault in other bytes is not told again
	if err := w.report(); err == nil {
		t.Fatal("a file with an unknown key was taken for good")
	}
	if got := w.log.Count("configuration refused"); got != 4 {
		t.Errorf("refused %d times in the log", got)
	}
	if err := os.Remove(path); err != nil { // 3. nor does a deleted file change anything
		t.Fatal(err)
	}
	if err := w.report(); err == nil {
		t.Fatal("no file was taken for good")
	}
	if len(w.applied) != 0 {
		t.Errorf("a faulty file was applied: %+v", <-w.applied)
	}

	write(t, path, fileWith("info", "one")) // 4. back to what is active: nothing to apply
	if c := w.good(); c != nil {
		t.Errorf("applied %+v, which is active already", c)
	}
	if w.log.Count("good again") != 1 {
		t.Error("the log does not say that the file is good again")
	}
}

func TestAChangeOfCommentsIsNotApplied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meshbridge.yaml")
	write(t, path, fileWith("info", "one"))
	w := watch(t, path, noEnv)
	write(t, path, "# a comment\n"+fileWith("info", "one"))
	if c := w.good(); c != nil {
		t.Errorf("applied %+v", c)
	}
}

func TestAChangedSecretIsApplied(t *testing.T) {
	dir, secrets := t.TempDir(), t.TempDir()
	path, token := filepath.Join(dir, "meshbridge.yaml"), filepath.Join(secrets, "token")
	write(t, token, "first\n")
	write(t, path, "admin: {token: 'file:"+token+"'}\n"+fileWith("info", "one"))
	w := watch(t, path, noEnv)

	write(t, token, "second\n")
	if c := w.good(); c == nil || c.Admin.Token.Reveal() != "second" {
		t.Error("the new token was not applied")
	}
	if err := os.RemoveAll(secrets); err != nil { // its whole folder goes, and comes back
		t.Fatal(err)
	}
	if err := w.report(); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a missing secret is reported as %v", err)
	}
	if err := os.Mkdir(secrets, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, token, "third")
	w.until(func(c *Config) bool { return c.Admin.Token.Reveal() == "third" })
}

// mount is a ConfigMap or Secret as the kubelet lays it out: each key a link through ..data, which is swapped by a rename.
type mount struct {
	t       *testing.T
	dir     string
	version int
}

func (m *mount) put(keys map[string]string) {
	m.t.Helper()
	old, _ := os.Readlink(filepath.Join(m.dir, "..data")) // "" the first time
	m.version++
	fresh := fmt.Sprintf("..2026_11_21_%d", m.version)
	m.must(os.Mkdir(filepath.Join(m.dir, fresh), 0o700))
	for key, content := range keys {
		write(m.t, filepath.Join(m.dir, fresh, key), content)
	}
	m.must(os.Symlink(fresh, filepath.Join(m.dir, "..data_tmp")))
	m.must(os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")))
	for key := range keys {
		if _, err := os.Lstat(filepath.Join(m.dir, key)); err != nil {
			m.must(os.Symlink(filepath.Join("..data", key), filepath.Join(m.dir, key)))
		}
	}
	if old != "" {
		m.must(os.RemoveAll(filepath.Join(m.dir, old)))
	}
}

func (m *mount) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// 1. The file lies on a ConfigMap, its token on a Secret. 2. Both are swapped, twice. 3. Each swap is applied, with the
// relative path of the file source still that of the mount, not of the folder behind it.
func TestSwapsOfConfigMapAndSecretMountsAreFollowed(t *testing.T) {
	config, secret := &mount{t: t, dir: t.TempDir()}, &mount{t: t, dir: t.TempDir()}
	secret.put(map[string]string{"token": "t0"})
	content := func(level string) map[string]string {
		return map[string]string{"meshbridge.yaml": "admin: {token: 'file:" + filepath.Join(secret.dir, "token") + "'}\n" + fileWith(level, "one")}
	}
	config.put(content("info"))
	w := watch(t, filepath.Join(config.dir, "meshbridge.yaml"), noEnv)

	for i, level := range []Level{"debug", "warn"} {
		config.put(content(string(level)))
		c := w.good()
		if c == nil || c.Log.Level != level {
			t.Fatalf("swap %d of the ConfigMap: applied %+v", i, c)
		}
		if want := filepath.Join(config.dir, "services"); c.Sources[0].File.Path != want {
			t.Errorf("path is %s, want %s", c.Sources[0].File.Path, want)
		}
		token := fmt.Sprintf("t%d", i+1)
		secret.put(map[string]string{"token": token})
		if c := w.good(); c == nil || c.Admin.Token.Reveal() != token {
			t.Fatalf("swap %d of the Secret was not applied", i)
		}
	}
}

func TestAFileBehindLinksIsFollowedAtEachOfThem(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"a", "b", "c"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "c", "real.yaml"), fileWith("info", "one"))
	for from, to := range map[string]string{"a/meshbridge.yaml": "../b/link.yaml", "b/link.yaml": filepath.Join(dir, "c", "real.yaml")} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	w := watch(t, filepath.Join(dir, "a", "meshbridge.yaml"), noEnv)
	write(t, filepath.Join(dir, "c", "real.yaml"), fileWith("debug", "one"))
	if c := w.good(); c == nil || c.Log.Level != Debug {
		t.Errorf("a change of the file itself: applied %+v", c)
	}
	write(t, filepath.Join(dir, "c", "other.yaml"), fileWith("warn", "one"))
	if err := os.Symlink(filepath.Join(dir, "c", "other.yaml"), filepath.Join(dir, "b", "new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "b", "new"), filepath.Join(dir, "b", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	if c := w.good(); c == nil || c.Log.Level != Warn {
		t.Errorf("a change of a link: applied %+v", c)
	}
}

func TestWhatChangedBetweenLoadAndWatchIsApplied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meshbridge.yaml")
	write(t, path, fileWith("info", "one"))
	current, files, err := Load(path, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, fileWith("info", "one", "two"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	watcher := &Watcher{Path: path, Env: noEnv, Settle: time.Millisecond, Poll: time.Hour, Log: slog.New(slog.DiscardHandler)}
	err = watcher.Run(ctx, current, files, func(c *Config) { got = names(c); cancel() })
	if !errors.Is(err, context.Canceled) || !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("applied %v, ended with %v", got, err)
	}
}
