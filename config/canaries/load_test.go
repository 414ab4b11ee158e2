package canaries

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"meshbridge/config"
	"meshbridge/convert"
	"meshbridge/convert/canary"
)

var update = flag.Bool("update", false, "write the golden files")

// section is the configuration that a text with a section canary says, seen from a folder.
func section(t testing.TB, dir, text string) convert.Config {
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
		if e.Unknown {
			b.WriteString(", unknown")
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
  [] big.yaml: read big.yaml: more than 1048576 bytes: a file that can be read, or none
link.yaml: 
  [] link.yaml: stat link.yaml: no such file or directory: a file that can be read, or none
`
	if diff := cmp.Diff(want, shown(dir, Load(section(t, dir, `canary: {files: ["*.yaml"]}`)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhereThereIsNoFileThereIsNoDocument(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	if got := Load(section(t, dir, `canary: {files: [none.yaml, empty/*.yaml, "*/*.yaml"]}`)); len(got) != 0 {
		t.Errorf("read %+v", got)
	}
}

// A folder that is not there, and one that cannot be listed, as the one that a team put a file in place of.
func TestNothingIsKnownOfAFolderThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), "")
	put(t, filepath.Join(dir, "teams", "a", "canaries"), "")
	put(t, filepath.Join(dir, "teams", "b", "canaries", "b.yaml"), named("b"))
	must(t, os.Symlink("loop", filepath.Join(dir, "teams", "b", "loop")))
	want := `teams/b/canaries/b.yaml: b, read
file/*.yaml: , unknown
  [] file/*.yaml: nothing was read of the folder file yet: open file: not a directory: put the folder and its files there, or take them out of canary.files; what was active from there stays
nowhere/*.yaml: , unknown
  [] nowhere/*.yaml: nothing was read of the folder nowhere yet: it does not exist: put the folder and its files there, or take them out of canary.files; what was active from there stays
`
	got := shown(dir, Load(section(t, dir, `canary: {files: [./nowhere/*.yaml, file/*.yaml, teams/*/canaries/*.yaml]}`)))
	if diff := cmp.Diff(want, strings.ReplaceAll(got, "fdopendir", "open")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Of ten documents with five faults each, twenty faults are told, and the first of every document.
func TestFaultsOfAFileAreToldUpToALimit(t *testing.T) {
	text := strings.Repeat("---\nname: a\nservices: []\nx: 1\ny: 1\nz: 1\nu: 1\n", 10)
	told, more := 0, 0
	for _, e := range Parse(convert.Default(), "f", []byte(text)) {
		if len(e.Faults) == 0 {
			t.Error("a document has no fault")
		}
		for _, f := range e.Faults {
			switch {
			case f.Text == "f: and 4 more faults: mend the first ones, and look again":
				more++
			case f.Path != "name": // they all have one name
				told++
			}
		}
	}
	if told != 4*5+6 || more != 6 {
		t.Errorf("told %d faults, and %d times of more", told, more)
	}
}

func TestALongFaultIsCut(t *testing.T) {
	got := Parse(convert.Default(), "f", []byte("name: a\nservices: [a.mesh]\n"+strings.Repeat("ä", 500)+": 1\n"))
	if f := got[0].Faults[0]; len(f.Text) > maxText+10 || len(f.Path) > maxPath+10 || !strings.HasSuffix(f.Text, "ä…") {
		t.Errorf("a fault of %d bytes at a path of %d", len(f.Text), len(f.Path))
	}
}

func TestAFileHasAThousandDocumentsAtMost(t *testing.T) {
	got := Parse(convert.Default(), "f", []byte(strings.Repeat("---\n{name: a, services: [a.mesh]}\n", 1002)))
	const want = "f: has more than 1000 documents, and those after line 2000 are not read: several files"
	if len(got) != 1001 {
		t.Fatalf("%d documents", len(got))
	}
	i := slices.IndexFunc(got, func(e canary.Entry) bool { return e.Name == "" })
	if i < 0 || got[i].Faults[0].Text != want {
		t.Errorf("the fault is at %d: %+v", i, got)
	}
}

// 1. A document of many faults is one that is not read to its end. 2. A fault in a canary that ends the reading leaves the rest
// of the document unknown.
func TestADocumentThatIsNotReadToItsEndIsNotUsed(t *testing.T) {
	for name, canaries := range map[string]string{
		"many faults":     strings.Repeat("- {version: v1, x: 1}\n", maxDecoded+1),
		"too many values": "- {version: v1, headers: {a: {member: {" + strings.Repeat("a: b, ", maxValues) + "}}}}\n",
	} {
		got := Parse(convert.Default(), "f", []byte("name: a\nservices: [a.mesh]\ncanaries:\n"+canaries+"fallback: none\n"))
		if len(got) != 1 || got[0].Name != "a" || got[0].Document != nil || len(got[0].Faults) == 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := Parse(convert.Default(), "f", []byte("name: a\nservices: [a.mesh]\ncanaries: [{version: v1, x: 1}]\n")); got[0].Document == nil {
		t.Error("one fault in a canary makes the document unusable")
	}
}

// A pipe, a device and a link out of the folder are not opened; a link that stays inside is followed.
func TestOnlyFilesOfTheFolderAreRead(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "canaries")
	put(t, filepath.Join(dir, "secret.yaml"), "password: hunter2\n")
	put(t, filepath.Join(folder, "..1", "a.yaml"), named("a"))
	must(t, syscall.Mkfifo(filepath.Join(folder, "pipe.yaml"), 0o600))
	for name, target := range map[string]string{"..data": "..1", "a.yaml": "..data/a.yaml", "secret.yaml": "../secret.yaml", "zero.yaml": "/dev/zero"} {
		must(t, os.Symlink(target, filepath.Join(folder, name)))
	}
	want := `canaries/a.yaml: a, read
canaries/pipe.yaml: 
  [] canaries/pipe.yaml: read canaries/pipe.yaml: not a regular file: a file that can be read, or none
canaries/secret.yaml: 
  [] canaries/secret.yaml: read canaries/secret.yaml: it is a link that leads out of canaries: a file that can be read, or none
canaries/zero.yaml: 
  [] canaries/zero.yaml: read canaries/zero.yaml: not a regular file: a file that can be read, or none
`
	if diff := cmp.Diff(want, strings.ReplaceAll(shown(dir, Load(section(t, dir, followed))), dir, "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whoever writes the path of a team's files as those of the documents, as seen from the configuration's folder or whole, gets a
// team of just those files, wherever the bridge is started.
func TestATeamsFilesAreNamedAsThoseOfTheDocuments(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "conf", "teams", "a", "x.yaml"), named("x"))
	asked := func(files, team string) string {
		text := fmt.Sprintf("canary: {files: [%q], teams: [{name: a, files: [%q], services: [x.mesh]}]}", files, team)
		return shown(dir, Load(section(t, filepath.Join(dir, "conf"), text)))
	}
	const relative = "teams/a/*.yaml"
	whole := filepath.Join(dir, "conf", relative)
	for _, files := range []string{relative, whole} {
		for _, team := range []string{relative, whole} {
			if got := asked(files, team); got != "conf/teams/a/x.yaml: x, of a, read\n" {
				t.Errorf("files %s, those of the team %s: %s", files, team, got)
			}
		}
	}
}

// Whoever asks about a file may name it from another folder, or be on another machine.
func TestAFileIsThatOfTheTeamWhoseFilesEndAlike(t *testing.T) {
	const text = "canary: {files: [one/*.yaml, teams/a/*.yaml, teams/b/*.yaml, any/*/z.yaml], teams: [" +
		"{name: o, files: [one/o*], services: [x.mesh]}, {name: a, files: [teams/a/], services: [x.mesh]}, {name: b, files: [teams/b/], services: [x.mesh]}]}"
	cfg := section(t, "/conf", text)
	for file, want := range map[string]string{
		"/conf/teams/a/x.yaml": "a", "teams/a/x.yaml": "a", "/home/me/checkout/teams/b/x.yaml": "b", "b/x.yaml": "b", "./b/x.yaml": "b",
		"o.yaml": "o", "x.yaml": "", // in the first folder
		"/conf/one/x.yaml": "", "/conf/any/o/z.yaml": "", "z.txt": "", "other/o.txt": "",
	} {
		if got := Parse(cfg, file, []byte(named("x"))); len(got) != 1 || got[0].Team != want || (len(got[0].Faults) == 0) != (want != "") {
			t.Errorf("%s: read %+v, want it of team %q", file, got, want)
		}
	}
}

// What a document may list is bounded, so that it is judged soon whatever it lists.
func TestADocumentOfManyHostsIsRefused(t *testing.T) {
	text := "name: a\nservices: [a.mesh]\nexpose:\n- gateway: a/b\n  hosts: [" + strings.Repeat("a.x, ", 10000) + "]\n"
	got := Parse(convert.Default(), "f", []byte(text))
	if len(got) != 1 || len(got[0].Faults) != 1 || !strings.Contains(got[0].Faults[0].Text, "has 10000 entries: 50 at most") {
		t.Errorf("read %+v", got)
	}
}
