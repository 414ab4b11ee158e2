package canaryedit_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"meshbridge/cmd/internal/canaryedit"
)

// change reads the words of a command line: weight NAME[/CANARY] N, promote NAME[/CANARY], rollback NAME[/CANARY].
func change(t *testing.T, words string) (name string, c canaryedit.Change) {
	t.Helper()
	f := strings.Fields(words)
	name, one, _ := strings.Cut(f[1], "/")
	switch f[0] {
	case "weight":
		return name, canaryedit.Weight(one, len(f[2])*10) // as many tens as there are x
	case "promote":
		return name, canaryedit.Promote(one)
	case "rollback":
		return name, canaryedit.Rollback(one)
	}
	t.Fatalf("unknown change %q", words)
	return "", nil
}

var update = flag.Bool("update", false, "write the golden files")

// Each archive is a file, and what it becomes by each change of it.
func TestOnlyWhatWasAskedForChanges(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var before []byte
		for i, f := range a.Files {
			if f.Name == "before" {
				before = f.Data
				continue
			}
			name, c := change(t, f.Name)
			got, err := canaryedit.Edit(before, name, c)
			if err != nil {
				t.Errorf("%s: %s: %v", path, f.Name, err)
				continue
			}
			if diff := cmp.Diff(string(f.Data), string(got)); diff != "" && !*update {
				t.Errorf("%s: %s: want (-), got (+); -update writes it:\n%s", path, f.Name, diff)
			}
			a.Files[i].Data = got
		}
		if *update {
			if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestEndsOfLinesAndOfTheFileStay(t *testing.T) {
	for before, after := range map[string]string{
		"name: a\r\nservices: [a.b]\r\ncanaries:\r\n- version: v2\r\nprimary: v1\r\n":             "name: a\r\nservices: [a.b]\r\ncanaries:\r\n- version: v2\r\n  weight: 10\r\nprimary: v1\r\n",
		"name: a\ncanaries:\n- version: v2":                                                       "name: a\ncanaries:\n- version: v2\n  weight: 10",
		"name: a\ncanaries:\n- {version: v2, name: 'it''s ü', labels: {a: \"\\\"b\"}, weight: 5}": "name: a\ncanaries:\n- {version: v2, name: 'it''s ü', labels: {a: \"\\\"b\"}, weight: 10}",
	} {
		got, err := canaryedit.Edit([]byte(before), "a", canaryedit.Weight("", 10))
		if err != nil || string(got) != after {
			t.Errorf("%q: %v\n%q, want\n%q", before, err, got, after)
		}
	}
}

func TestWhatCannotBeEditedSoIsRefused(t *testing.T) {
	for text, c := range map[string]canaryedit.Change{
		"name: a\ncanaries: *list\nlist: &list []\n":                                             canaryedit.Weight("", 10),
		"x: &c [{version: v2}]\nname: a\ncanaries: *c\n":                                         canaryedit.Weight("", 10),
		"x: &c {version: v2}\nname: a\ncanaries: [*c]\n":                                         canaryedit.Weight("", 10),
		"name: a\ncanaries:\n- version: v2\n  weight: !!int 5\n":                                 canaryedit.Weight("", 10),
		"name: a\ncanaries:\n- version: v2\n  weight:\n":                                         canaryedit.Weight("", 10),
		"name: a\ncanaries:\n- &c {version: v2, weight: 1}\nother: *c\n":                         canaryedit.Weight("", 10),
		"name: a\ncanaries:\n- &c {version: v2}\nother: *c\n":                                    canaryedit.Rollback(""),
		"name: a\ncanaries:\n- version: >\n    v2\n  headers: {a: |-\n b}\n":                     canaryedit.Promote(""),
		"x: &c {version: v2}\nname: a\ncanaries:\n- <<: *c\n  headers: {a: b}\n":                 canaryedit.Promote(""),
		"name: a\ncanaries: [{labels: {a: {b: c}}}]\n":                                           canaryedit.Promote(""),
		"name: a\ncanaries: v2\n":                                                                canaryedit.Promote(""),
		"name: a\ncanaries: [v2]\n":                                                              canaryedit.Weight("", 10),
		"name: a\ncanaries: [{0: 1, version: v2}]\n":                                             canaryedit.Weight("", 10),
		"name: a\ncanaries: [{}]\n":                                                              canaryedit.Weight("", 10),
		"{name: a, primary:\n  v1, canaries: [{version: v2}]}\n":                                 canaryedit.Promote(""),
		"name: a\nservices: &s [a.b]\nprimary: &p {labels: {a: b}}\ncanaries:\n- {labels: *p}\n": canaryedit.Promote(""),
	} {
		got, err := canaryedit.Edit([]byte(text), "a", c)
		if err == nil || got != nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestADocumentOrCanaryThatIsNotThereIsSaid(t *testing.T) {
	const two = "name: a\ncanaries: [{version: v2}, {name: gray, labels: {a: b}}]\n"
	for _, c := range []struct {
		text, name string
		change     canaryedit.Change
		want       string
	}{
		{two, "b", canaryedit.Rollback(""), "no document of that name"},
		{two, "a", canaryedit.Weight("", 1), "it has 2 canaries; name one: a/v2 or a/gray"},
		{"name: a\ncanaries: [{name: x, version: v2}, {name: y, version: v2}]\n", "a", canaryedit.Rollback("v2"), "it has canaries x and y of version v2; name one: a/x or a/y"},
		{two, "a", canaryedit.Rollback("v3"), `it has no canary "v3", but v2, gray`},
		{two, "a", canaryedit.Promote("v3"), `it has no canary "v3", but v2, gray`},
		{"name: a\n", "a", canaryedit.Promote(""), "has no canaries"},
		{"name: a\ncanaries: []\n", "a", canaryedit.Weight("", 1), "has no canaries"},
		{"name: a\n", "a", canaryedit.Rollback(""), "has no canaries"},
	} {
		if _, err := canaryedit.Edit([]byte(c.text), c.name, c.change); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

// Whatever a file says, an edit is made or refused, and never empties it.
func FuzzEdit(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		f.Fatal(paths, err)
	}
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, name := range canaryedit.Names(text) {
			for _, c := range []canaryedit.Change{canaryedit.Weight("", 7), canaryedit.Weight("v2", 70), canaryedit.Promote("v2"), canaryedit.Promote(""), canaryedit.Rollback(""), canaryedit.Rollback("v2")} {
				got, err := canaryedit.Edit(text, name, c)
				if err == nil && len(got) == 0 {
					t.Errorf("%q became nothing", text)
				}
			}
		}
	})
}

// nobodys says that no file is a team's.
func nobodys(string) string { return "" }

func TestTheFirstFileByPathHasTheDocument(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.yaml": "name: x\n", "a.yaml": "name: y\n---\nname: x\n# a\n", "c.yaml": "name: [\n---\nname: z\n", ".d.yaml": "name: d\n"} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	globs := []string{dir + "/b*", dir + "/*.yaml"}
	for name, want := range map[string]string{"x": "a.yaml", "y": "a.yaml", "z": "c.yaml"} {
		if f, err := canaryedit.Find(globs, nobodys, name, ""); err != nil || f.Path != dir+"/"+want {
			t.Errorf("%s: %s, %v", name, f.Path, err)
		}
	}
	if _, err := canaryedit.Find(globs, nobodys, "d", ""); err == nil || !strings.Contains(err.Error(), "there are y, x, x, z") {
		t.Errorf("%v", err)
	}
	if _, err := canaryedit.Find([]string{dir + "/none/*"}, nobodys, "d", ""); err == nil || !strings.Contains(err.Error(), "there are no others") {
		t.Errorf("%v", err)
	}
}

func TestADocumentOfSeveralTeamsIsFoundByItsTeam(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a-blue.yaml": "name: x\n", "b-red.yaml": "name: x\n", "c-red.yaml": "name: x\n---\nname: y\n", "d.yaml": "name: z\n"} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	team := func(path string) string {
		for _, name := range []string{"blue", "red"} {
			if strings.Contains(path, name) {
				return name
			}
		}
		return ""
	}
	for _, c := range []struct{ name, team, file, wrong string }{
		{name: "x", team: "blue", file: "a-blue.yaml"},
		{name: "x", team: "red", file: "b-red.yaml"},
		{name: "y", file: "c-red.yaml"},
		{name: "z", file: "d.yaml"},
		{name: "x", wrong: dir + "/a-blue.yaml (team blue), " + dir + "/b-red.yaml (team red); name the team with --team"},
		{name: "y", team: "blue", wrong: `no document "y" can be edited in the files of team blue; there are x`},
	} {
		f, err := canaryedit.Find([]string{dir + "/*.yaml"}, team, c.name, c.team)
		switch {
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s of %q: %v, want %s", c.name, c.team, err, c.wrong)
		case c.wrong == "" && (err != nil || f.Path != dir+"/"+c.file):
			t.Errorf("%s of %q: %s, %v", c.name, c.team, f.Path, err)
		}
	}
}

func TestADocumentAloneStaysOnItsLines(t *testing.T) {
	const text = "%YAML 1.2\n---\nname: a\n--- # b\nname: b\nweight: 1\n---\nname: c\n"
	if got, want := string(canaryedit.Alone([]byte(text), "b")), "\n\n\n--- # b\nname: b\nweight: 1\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := canaryedit.Alone([]byte(text), "d"); got != nil {
		t.Errorf("%q", got)
	}
}
