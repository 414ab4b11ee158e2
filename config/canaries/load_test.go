package canaries

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"meshbridge/config"
	"meshbridge/convert"
	"meshbridge/convert/canary"
)

var update = flag.Bool("update", false, "write the golden files")

// section is the configuration that a text with a section canary says, seen from a folder.
func section(t *testing.T, dir, text string) convert.Config {
	t.Helper()
	text += "\nsources: [{name: a, file: {path: services}}]\n"
	c, _, err := config.LoadBytes("meshbridge.yaml", []byte(text), dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c.Config
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shown is what was read, with files as seen from a folder.
func shown(dir string, entries []canary.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s: %s", e.File, e.Name)
		if e.Team != "" {
			fmt.Fprintf(&b, ", of %s", e.Team)
		}
		if e.Document != nil {
			b.WriteString(", read")
		}
		b.WriteString("\n")
		for _, f := range e.Faults {
			fmt.Fprintf(&b, "  [%s] %s\n", f.Path, f.Text)
		}
	}
	return strings.ReplaceAll(b.String(), dir+"/", "")
}

// Each archive holds a section of the configuration, files of documents, and what becomes of them.
func TestDocumentsAreReadWithEveryFaultAtItsPlace(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for _, f := range archive.Files {
				put(t, filepath.Join(dir, f.Name), string(f.Data))
			}
			cfg := section(t, dir, string(archive.Files[0].Data))
			got := shown(dir, Load(cfg))
			want := &archive.Files[len(archive.Files)-1]
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatADocumentSaysArrives(t *testing.T) {
	const text = `
name: lane
services: [a.mesh, "*.b.mesh"]
label: release
primary: 1.10
canaries:
- version: v2
  headers: {stage: canary, a: {prefix: '${X}'}, b: {regex: "c.*"}, baggage: {member: {lane: "gray"}}}
  weight: 20
- name: gray
  labels: {istio.service.tag: gray}
from: {labels: {app: front}, namespace: web}
fallback: failover
expose:
- {gateway: istio-system/app, service: a.mesh, colour: [{when: {agent: pc}, set: {x-seen: gateway}}]}
- {delegate: lane, service: x.b.mesh}
`
	entries := Parse(convert.Default(), "lane.yaml", []byte(text))
	if len(entries) != 1 || entries[0].Faults != nil {
		t.Fatalf("read %+v", entries)
	}
	want := &canary.Document{
		Name: "lane", Services: []string{"a.mesh", "*.b.mesh"}, Label: "release", Primary: &canary.Primary{Version: "1.10"},
		Canaries: []canary.Canary{
			{Version: "v2", Weight: 20, Headers: map[string]canary.Match{
				"stage": {Exact: "canary"}, "a": {Prefix: "${X}"}, "b": {Regex: "c.*"}, "baggage": {Member: map[string]string{"lane": "gray"}},
			}},
			{Name: "gray", Labels: map[string]string{"istio.service.tag": "gray"}},
		},
		From: &canary.From{Labels: map[string]string{"app": "front"}, Namespace: "web"}, Fallback: canary.FallbackFailover,
		Expose: []canary.Expose{
			{Gateway: "istio-system/app", Hosts: []string{"*"}, Prefix: "/", Service: "a.mesh", Colour: []canary.Colour{
				{When: map[string]canary.Match{"agent": {Exact: "pc"}}, Set: map[string]string{"x-seen": "gateway"}},
			}},
			{Delegate: "lane", Hosts: []string{"*"}, Prefix: "/", Service: "x.b.mesh"},
		},
	}
	if diff := cmp.Diff(want, entries[0].Document); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestATextWithoutAFileIsNobodys(t *testing.T) {
	cfg := section(t, ".", `canary: {teams: [{name: echo, files: [echo.yaml], services: [echo.mesh]}]}`)
	text := []byte("{name: a, services: [a.mesh]}")
	if got := Parse(cfg, "", text); len(got) != 1 || got[0].Faults != nil {
		t.Errorf("without a file: %+v", got)
	}
	if got := Parse(cfg, "echo.yaml", text); len(got) != 1 || len(got[0].Faults) != 1 || got[0].Team != "echo" {
		t.Errorf("as the file of a team: %+v", got)
	}
}

func TestAFileThatCannotBeReadIsAnEntryWithItsFault(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "big.yaml"), string(bytes.Repeat([]byte("#"), 9<<20)))
	if err := os.Symlink("nowhere", filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := `big.yaml: 
  [] big.yaml: read big.yaml: more than 8388608 bytes: a file that can be read, or none
link.yaml: 
  [] link.yaml: stat link.yaml: no such file or directory: a file that can be read, or none
`
	if diff := cmp.Diff(want, shown(dir, Load(section(t, dir, `canary: {files: ["*.yaml"]}`)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhereThereIsNoFileThereIsNoDocument(t *testing.T) {
	if got := Load(section(t, t.TempDir(), `canary: {files: [none.yaml, nowhere/*.yaml]}`)); len(got) != 0 {
		t.Errorf("read %+v", got)
	}
}
