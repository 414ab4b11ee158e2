// Package examples_test shows that the walks in this folder do what docs/canary.md says. Its invariant: every state of every walk
// has a file in testdata with all that it becomes.
package examples_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"meshbridge/config"
	"meshbridge/config/canaries"
	"meshbridge/convert"
	"meshbridge/convert/canary"
	"meshbridge/mcpserver/store"
	"meshbridge/sources"
	"meshbridge/sources/file"
)

var update = flag.Bool("update", false, "write what the examples become into testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// home is the absolute path of the examples, since tests leave the folder that they start in.
var home = func() string {
	path, err := filepath.Abs(".")
	if err != nil {
		panic(err)
	}
	return path
}()

// state is a state of a walk: its folder, with the steps up to one put over it.
type state struct {
	example string
	steps   []string // folders, the last one is what this state is called
}

func (s state) String() string {
	if len(s.steps) == 0 {
		return s.example + ".1"
	}
	return s.example + "." + s.steps[len(s.steps)-1]
}

// states are all of them, in the order of the walks.
func states(t *testing.T) (all []state) {
	t.Helper()
	for _, folder := range folders(t, home) {
		if folder == "testdata" {
			continue
		}
		all = append(all, state{example: folder})
		steps := folders(t, filepath.Join(home, folder, "steps"))
		for i, step := range steps {
			if want := fmt.Sprintf("%d-", i+2); !strings.HasPrefix(step, want) {
				t.Errorf("%s: step %s does not begin with %s", folder, step, want)
			}
			all = append(all, state{folder, steps[:i+1]})
		}
	}
	return all
}

func folders(t *testing.T, in string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// lay puts the files of a state into the current folder, which is empty or holds an earlier state of the same walk.
func (s state) lay(t *testing.T) {
	t.Helper()
	layer := func(from string) {
		err := filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
			name, _ := filepath.Rel(from, path)
			switch {
			case err != nil:
				return err
			case e.IsDir() && name == "steps":
				return filepath.SkipDir
			case e.IsDir():
				return os.MkdirAll(name, 0o700)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(name, data, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	layer(filepath.Join(home, s.example))
	for _, step := range s.steps {
		layer(filepath.Join(home, s.example, "steps", step))
	}
}

// files is what a bridge reads in the current folder.
type files struct {
	rules     *convert.Rules
	services  map[string][]*sources.Service
	documents []canary.Entry
}

func read(t *testing.T) files {
	t.Helper()
	cfg, _, err := config.Load("meshbridge.yaml", os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	read := files{services: map[string][]*sources.Service{}, documents: canaries.Load(cfg.Config)}
	var described []convert.Source
	for i, c := range cfg.Sources {
		if c.File == nil {
			t.Fatalf("source %s: the examples are files alone", c.Name)
		}
		described = append(described, convert.Source{Name: c.Name, Order: i, Config: c.SourceConfig, Declared: true})
		read.services[c.Name] = reported(t, *c.File)
	}
	if read.rules, err = convert.Compile(cfg.Config, described); err != nil {
		t.Fatal(err)
	}
	return read
}

// reported is what the file source says first.
func reported(t *testing.T, c file.Config) []*sources.Service {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	mirror := sources.NewMirror(time.Now, quiet)
	mirror.Expect([]sources.Expected{{Name: "it", Required: true}})
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- file.New(c, quiet).Run(ctx, mirror.Sink("it")) }()
	var services []*sources.Service
	for open := false; !open; {
		select {
		case <-mirror.Dirty():
		case err := <-done:
			t.Fatalf("%s: the source ended: %v", c.Path, err)
		}
		var changes []sources.Change
		changes, open = mirror.Take()
		for _, change := range changes {
			services = append(services, change.Service)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%s: the source ended: %v", c.Path, err)
	}
	return services
}

// TestGolden converts each state of each walk to what kubectl would show. Each file of testdata says on top what it shows.
func TestGolden(t *testing.T) {
	want := map[string]bool{}
	for _, s := range states(t) {
		want[s.String()+".txtar"] = true
		t.Run(s.String(), func(t *testing.T) {
			t.Chdir(t.TempDir())
			s.lay(t)
			golden := filepath.Join(home, "testdata", s.String()+".txtar")
			before := &txtar.Archive{}
			if a, err := txtar.ParseFile(golden); err == nil {
				before = a
			} else if !*update {
				t.Fatal(err)
			}
			if line, _, _ := strings.Cut(string(before.Comment), "\n"); line == "" {
				t.Errorf("%s: its first line does not say what it shows", golden)
			}
			after := &txtar.Archive{Comment: before.Comment, Files: s.archive(t)}
			if *update {
				if err := os.WriteFile(golden, txtar.Format(after), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(before)), string(txtar.Format(after))); diff != "" {
				t.Errorf("-update writes it (-want +got):\n%s", diff)
			}
		})
	}
	found, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		if !want[filepath.Base(name)] {
			t.Errorf("%s is of no example", name)
		}
	}
}

// archive is the documents, the objects that they become with the services, and what is left out.
func (s state) archive(t *testing.T) []txtar.File {
	t.Helper()
	var all []txtar.File
	documents, err := filepath.Glob("canaries/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range documents {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, txtar.File{Name: name, Data: data})
	}
	in := read(t)
	result := convert.Convert(t.Context(), in.rules, in.services, in.documents, nil)
	var left bytes.Buffer
	for _, r := range result.Rejected {
		fmt.Fprintf(&left, "%s %s %s [%s] %s\n", r.Source, r.Service, r.Host, r.Class, r.Reason)
	}
	for _, c := range result.Canaries {
		fmt.Fprintf(&left, "canary %s: %s\n", c.Name, c.State)
		for _, f := range c.Faults {
			fmt.Fprintf(&left, "  fault: %s\n", strings.ReplaceAll(f.Text, "\n", "\n  "))
		}
		for _, f := range c.Findings {
			fmt.Fprintf(&left, "  %s at %s: %s\n", f.Class, f.Host, f.Text)
		}
	}
	return append(all, txtar.File{Name: "istio.yaml", Data: manifests(t, result.Resources)}, txtar.File{Name: "told", Data: left.Bytes()})
}

// manifests are resources as kubectl shows them.
func manifests(t *testing.T, resources []*store.Resource) []byte {
	t.Helper()
	var docs [][]byte
	for _, r := range resources {
		raw, err := protojson.Marshal(specOf(t, r))
		if err != nil {
			t.Fatal(err)
		}
		namespace, name, _ := strings.Cut(r.Name, "/")
		doc, err := yaml.Marshal(map[string]any{
			"apiVersion": r.Kind.Group + "/v1", "kind": r.Kind.Kind,
			"metadata": map[string]any{"name": name, "namespace": namespace, "labels": r.Labels},
			"spec":     json.RawMessage(raw),
		})
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	return bytes.Join(docs, []byte("---\n"))
}

func specOf(t *testing.T, r *store.Resource) proto.Message {
	t.Helper()
	spec, err := r.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return spec
}
