//go:build faults

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"meshbridge/test/harness"
)

// folder is the registry of the file source: one file for each service.
type folder struct {
	t       *testing.T
	path    string
	content map[string]string // by file
}

func newFolder(t *testing.T) registry {
	f := &folder{t: t, path: filepath.Join(harness.Scratch(t, "folder"), "services"), content: map[string]string{}}
	f.check(os.Mkdir(f.path, 0o755))
	return f
}

func (f *folder) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) source() string { return fmt.Sprintf("file: {path: %q}", f.path) }

func (f *folder) put(services map[name][]instance) {
	for n, instances := range services {
		f.putService(n.service, instances)
	}
}

func (f *folder) putService(service string, instances []instance) {
	file := service + ".yaml"
	if len(instances) == 0 {
		delete(f.content, file)
		if err := os.Remove(filepath.Join(f.path, file)); !os.IsNotExist(err) {
			f.check(err)
		}
		return
	}
	var text strings.Builder
	fmt.Fprintf(&text, "services:\n- name: %s\n  ports: [{name: http, number: %d, protocol: HTTP}]\n  instances:\n", service, port)
	for _, i := range instances {
		fmt.Fprintf(&text, "  - {address: %s, healthy: %t}\n", i.address, !i.down)
	}
	f.content[file] = text.String()
	f.write(file)
}

// write replaces the file as editors do, so that nobody reads half of it.
func (f *folder) write(file string) {
	f.t.Helper()
	tmp := filepath.Join(f.path, "."+file)
	f.check(os.WriteFile(tmp, []byte(f.content[file]), 0o644))
	f.check(os.Rename(tmp, filepath.Join(f.path, file)))
}

func (f *folder) kill() { f.check(os.Rename(f.path, f.path+".away")) }

func (f *folder) start() { f.check(os.Rename(f.path+".away", f.path)) }

// wipe leaves another, empty folder.
func (f *folder) wipe() {
	f.check(os.RemoveAll(f.path + ".away"))
	f.check(os.Mkdir(f.path+".away", 0o755))
	clear(f.content)
}

func (f *folder) each(change func(path string)) {
	for file := range f.content {
		change(filepath.Join(f.path, file))
	}
}

// forbid makes files that nobody can open: root may read whatever its mode says.
func (f *folder) forbid() {
	f.each(func(path string) {
		f.check(os.Symlink(filepath.Base(path), path+".link"))
		f.check(os.Rename(path+".link", path))
	})
}

func (f *folder) allow() {
	for file := range f.content {
		f.write(file)
	}
}

func (f *folder) spoil(way int) {
	f.each(func(path string) {
		f.check(os.WriteFile(path, []byte([]string{"\x00\xff\xfe: [", "<html>sign in</html>", "{}"}[way]), 0o644))
	})
}

func (f *folder) unspoil() { f.allow() }
