package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"meshbridge/config/follow"
	"meshbridge/config/strict"
)

var update = flag.Bool("update", false, "write the golden files")

// env is the environment of the files in testdata.
func env(name string) (string, bool) {
	value, ok := map[string]string{
		"HEALTH_PORT": "16012", "ACCOUNT": "spiffe://a/b", "ZK": "zk-2", "ZK_CREDENTIALS": "bridge:from-a-variable-7d3",
	}[name]
	return value, ok
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func testdata(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	return names
}

// What a good file becomes, with its defaults, stands beside it.
func TestGoodFilesAreReadWhole(t *testing.T) {
	for _, name := range testdata(t, "*.good.yaml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			c, _, err := Load(name, env)
			if err != nil {
				t.Fatal(err)
			}
			out, err := yaml.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(name, ".yaml")+".golden", string(out))
		})
	}
}

// What is wrong with a bad file stands beside it.
func TestBadFilesAreRefusedWithEveryFault(t *testing.T) {
	for _, name := range testdata(t, "*.bad.yaml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			c, _, err := Load(name, env)
			if err == nil || c != nil {
				t.Fatalf("loaded %+v", c)
			}
			golden(t, strings.TrimSuffix(name, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func TestEveryFaultIsLedByItsPlace(t *testing.T) {
	for _, name := range testdata(t, "*.bad.yaml") {
		_, _, err := Load(name, env)
		var faults strict.Faults
		if !errors.As(err, &faults) {
			t.Fatalf("%s: %T", name, err)
		}
		for _, f := range faults {
			if f.File != name || f.Wrong == "" || f.Line == 0 && len(faults) > 1 {
				t.Errorf("%s: %#v", name, f)
			}
		}
		if !slices.IsSortedFunc(faults, func(a, b strict.Fault) int { return a.Line - b.Line }) {
			t.Errorf("%s: not in the order of the lines:\n%v", name, err)
		}
	}
}

func TestFilesNamesAllThatWasReadAlsoWhenRefused(t *testing.T) {
	for name, want := range map[string][]string{
		"testdata/everything.good.yaml": {"testdata/everything.good.yaml", "testdata/secrets/token", "testdata/secrets/zk"},
		"testdata/references.bad.yaml":  {"testdata/references.bad.yaml", "testdata/secrets/none", "testdata/secrets/blank", "testdata/secrets"},
		"testdata/nowhere.yaml":         {"testdata/nowhere.yaml"},
	} {
		_, files, _ := Load(name, env)
		if diff := cmp.Diff(want, files.Paths()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if files.Look() != files.Sum() {
			t.Errorf("%s: files that stayed as they are look changed", name)
		}
	}
}

func TestABuiltInFileIsLoadedFromBytes(t *testing.T) {
	c, files, err := LoadBytes("built in", []byte("sources: [{name: a, file: {path: services}}]"), "deploy", env)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Sources[0].File.Path, filepath.Join("deploy", "services"); got != want {
		t.Errorf("path is %s, want %s", got, want)
	}
	if len(files.Paths()) != 0 {
		t.Errorf("read %v", files.Paths())
	}
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, make([]byte, follow.MaxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "no such file",
		dir:                             "not a regular file",
		"/dev/null":                     "not a regular file",
		big:                             "more than",
	} {
		if _, _, err := Load(path, env); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTheFirstPlaceWithAFileIsTaken(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	if _, err := Locate([]string{first, second}); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("without any file: %v", err)
	}
	write(t, second, "x")
	if got, err := Locate([]string{first, second}); got != second || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	write(t, first, "x")
	if got, err := Locate([]string{first, second}); got != first || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestTheDefaultLacksOnlySources(t *testing.T) {
	err := Default().Validate()
	if err == nil || !strings.HasPrefix(err.Error(), "sources: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestASourceNamesItsKind(t *testing.T) {
	c, _, err := Load("testdata/everything.good.yaml", env)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, s := range c.Sources {
		kinds = append(kinds, s.Kind())
	}
	if diff := cmp.Diff([]string{"file", "zookeeper", "zookeeper", "eureka", "consul"}, kinds); diff != "" {
		t.Error(diff)
	}
	if got := (&Source{}).Kind(); got != "" {
		t.Errorf("a source without a registry is of kind %q", got)
	}
}
