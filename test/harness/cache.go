package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CacheVariable names the environment variable that moves the cache.
const CacheVariable = "MESHBRIDGE_TEST_CACHE"

// Tool is something that is built once and started by tests.
type Tool struct {
	Name    string
	Version string
	Source  string        // folder under test/ whose content is part of the key
	Cold    time.Duration // how long a cold build takes on two cores, for the line of progress
	build   func(ctx context.Context, source, dir string, log io.Writer) error
}

// CacheDir is the folder that holds every built tool.
func CacheDir() (string, error) {
	if dir := os.Getenv(CacheVariable); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(base, "meshbridge-test"), nil
}

// testDir is the folder test/ of the source tree.
func testDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

// key is the name of the tool's folder in the cache: equal sources, equal key.
func (t Tool) key() (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s %s %s\n", runtime.GOOS, runtime.GOARCH, t.Name, t.Version)
	source := filepath.Join(testDir(), t.Source)
	err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n%s", rel, len(content), content)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("hash the sources of %s: %w", t.Name, err)
	}
	return t.Name + "-" + t.Version + "-" + hex.EncodeToString(sum.Sum(nil))[:12], nil
}

// Dir is the folder of the built tool, and whether it is there.
func (t Tool) Dir() (dir string, built bool, err error) {
	cache, err := CacheDir()
	if err != nil {
		return "", false, err
	}
	key, err := t.key()
	if err != nil {
		return "", false, err
	}
	dir = filepath.Join(cache, key)
	_, err = os.Stat(dir)
	return dir, err == nil, nil
}

// Build builds the tool unless the cache has it, and returns its folder. Progress goes to out, one line when it begins and
// one when it ends. Several processes may build at once: one does, the others wait for it.
func Build(ctx context.Context, t Tool, out io.Writer) (string, error) {
	dir, built, err := t.Dir()
	if err != nil {
		return "", err
	}
	if built {
		fmt.Fprintf(out, "cached %s %s\n", t.Name, t.Version)
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // another process was faster
	}

	start := time.Now()
	fmt.Fprintf(out, "building %s %s, once: about %s on two cores\n", t.Name, t.Version, t.Cold)
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".building-*")
	if err != nil {
		return "", fmt.Errorf("make the build folder of %s: %w", t.Name, err)
	}
	defer os.RemoveAll(tmp)
	var log strings.Builder
	if err := t.build(ctx, filepath.Join(testDir(), t.Source), tmp, &log); err != nil {
		return "", fmt.Errorf("build %s %s: %w\n%s", t.Name, t.Version, err, log.String())
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", fmt.Errorf("move %s into the cache: %w", t.Name, err)
	}
	fmt.Fprintf(out, "built %s %s in %.0f s\n", t.Name, t.Version, time.Since(start).Seconds())
	return dir, nil
}

// lock takes the lock file, waiting for whoever holds it, and returns what releases it.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// run runs a build command in dir, its output into log.
func run(ctx context.Context, log io.Writer, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}
