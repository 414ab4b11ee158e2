package examples_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"meshbridge/config"
	"meshbridge/config/canaries"
	"meshbridge/convert"
)

// page is docs/canary.md.
func page(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(home, "..", "canary.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var fenced = regexp.MustCompile("(?ms)^```([a-z]+)(?: ([^\n]+))?\n(.*?)^```$")

// TestEveryBlockOfThePageHolds knows these: a file of an example (yaml FOLDER/FILE), a document (yaml document), a
// configuration (yaml config), objects of a state (yaml istio STATE). Commands (sh) and what they print (text COMMAND) are for
// the tests of cmd/meshbridge.
func TestEveryBlockOfThePageHolds(t *testing.T) {
	const sources = "sources: [{name: hosts, file: {path: services/}}]\n"
	seen := 0
	for _, m := range fenced.FindAllStringSubmatch(page(t), -1) {
		language, of, text := m[1], m[2], m[3]
		kind, rest, _ := strings.Cut(of, " ")
		seen++
		switch {
		case language == "sh" && of == "", language == "text" && of != "": // the tests of cmd/meshbridge run them
		case of == "document":
			sound(t, text)
		case of == "config":
			if _, _, err := config.LoadBytes("config", []byte(text+sources), t.TempDir(), os.LookupEnv); err != nil {
				t.Error(err)
			}
		case kind == "istio":
			objects(t, rest, text)
		case strings.HasSuffix(of, ".yaml"):
			data, err := os.ReadFile(filepath.Join(home, of))
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(withoutComments(string(data)), text); diff != "" {
				t.Errorf("%s (-file +page):\n%s", of, diff)
			}
		default:
			t.Errorf("nothing tests the block ```%s %s", language, of)
		}
	}
	if seen < 20 {
		t.Errorf("the page has %d blocks", seen)
	}
}

// withoutComments leaves out the lines of comment that a file begins with.
func withoutComments(text string) string {
	for strings.HasPrefix(text, "#") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// part is a file of a state's golden.
func part(t *testing.T, state, name string) string {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join(home, "testdata", state+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	t.Fatalf("%s has no %s", state, name)
	return ""
}

// TestTheDocumentOfTheReadmeHolds finds it by its first line.
func TestTheDocumentOfTheReadmeHolds(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(home, "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(data), "```yaml\n# canaries/")
	text, _, _ = strings.Cut(text, "```")
	if !found {
		t.Fatal("README.md has no document")
	}
	sound(t, "# "+text)
}

// sound reports a document that no bridge would take.
func sound(t *testing.T, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("document.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := convert.Default()
	cfg.Canary.Files = []string{"document.yaml"}
	read := canaries.Load(cfg)
	if len(read) != 1 {
		t.Errorf("%d documents in\n%s", len(read), text)
	}
	for _, e := range read {
		for _, f := range e.Faults {
			t.Errorf("%s\nin\n%s", f.Text, text)
		}
	}
}

// object is as much of one as pages show.
type object struct {
	APIVersion string
	Kind       string
	Metadata   struct{ Name, Namespace string }
	Spec       any
}

func parseObjects(t *testing.T, text string) map[string]object {
	t.Helper()
	all := map[string]object{}
	for doc := range strings.SplitSeq(text, "---\n") {
		raw, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		var o object
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		all[o.Kind+" "+o.Metadata.Namespace+"/"+o.Metadata.Name] = o
	}
	return all
}

// objects compares those of the page with what a state of an example becomes.
func objects(t *testing.T, state, text string) {
	t.Helper()
	served := parseObjects(t, part(t, state, "istio.yaml"))
	for name, want := range parseObjects(t, text) {
		if diff := cmp.Diff(want, served[name]); diff != "" {
			t.Errorf("%s in %s (-page +served):\n%s", name, state, diff)
		}
	}
}

var routesTable = regexp.MustCompile(`(?m)^<!-- routes ([a-z-]+): (.+) -->\n\|(.+)\|\n\|[-|]+\|\n((?:\|.+\|\n)+)`)

// TestTheTablesOfThePageHold sends the requests of each table through the VirtualServices of each state: those named above the table, one
// hop each. A column is about requests if it begins with "a request" or "a call".
func TestTheTablesOfThePageHold(t *testing.T) {
	tables := routesTable.FindAllStringSubmatch(page(t), -1)
	if len(tables) < 4 {
		t.Errorf("the page has %d tables of routes", len(tables))
	}
	cells := 0
	for _, m := range tables {
		example, hops, heads := m[1], strings.Split(m[2], " > "), row(m[3])
		walk := walkOf(t, example)
		rows := strings.Split(strings.TrimSpace(m[4]), "\n")
		if len(rows) != len(walk) {
			t.Errorf("the table of %s has %d rows for %d states", example, len(rows), len(walk))
			continue
		}
		for i, line := range rows {
			in := walk[i]
			result := convert.Convert(t.Context(), in.rules, in.services, in.documents, nil)
			for j, cell := range row(strings.Trim(line, "|")) {
				r, ok := requestOf(t, heads[j])
				if !ok {
					continue
				}
				cells++
				if got := r.through(t, result, hops); got != cell {
					t.Errorf("%s, state %d, %s: %s, and the page says %s", example, i+1, heads[j], got, cell)
				}
			}
		}
	}
	if cells < 30 {
		t.Errorf("%d cells are about requests", cells)
	}
}

func row(line string) []string {
	cells := strings.Split(line, "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

var pair = regexp.MustCompile("^a (request|call)(?: (with|from) `([a-z-]+): ([a-z-]+)`)?$")

// requestOf is the request that the head of a column tells of.
func requestOf(t *testing.T, head string) (request, bool) {
	t.Helper()
	if !strings.HasPrefix(head, "a request") && !strings.HasPrefix(head, "a call") {
		return request{}, false
	}
	m := pair.FindStringSubmatch(head)
	if m == nil {
		t.Fatalf("column %q tells of no request", head)
	}
	r := request{headers: map[string]string{}, from: map[string]string{}}
	switch m[2] {
	case "with":
		r.headers[m[3]] = m[4]
	case "from":
		r.from[m[3]] = m[4]
	}
	return r, true
}
