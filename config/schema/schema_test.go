package schema

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meshbridge/config"
)

const root = "../.."

func TestTheGeneratedFilesAreUpToDate(t *testing.T) {
	files, err := Generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is out of date, run make generate (-want +got):\n%s", name, diff)
		}
	}
}

// load loads a text beside the files that the examples refer to.
func load(t *testing.T, text string) error {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"token": "t", "zk": "user:password", "nacos": "hush", "eureka": "hush", "consul": "hush"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := config.LoadBytes("example", []byte(text), dir, func(string) (string, bool) { return "value", true })
	return err
}

// complete adds the one thing that every file needs.
func complete(text string) string {
	if strings.HasPrefix(text, "sources:") || strings.Contains(text, "\nsources:") {
		return text
	}
	return text + "sources: [{name: a, file: {path: services}}]\n"
}

func texts(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found[name] = string(content)
		}
	}
	return found
}

func TestEveryExampleIsAValidFile(t *testing.T) {
	for name, text := range texts(t, "examples/*.yaml") {
		if err := load(t, complete(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSchemaTakesEveryValidFile(t *testing.T) {
	schema := parsed(t, configuration())
	for name, text := range texts(t, "examples/*.yaml", "../testdata/*.good.yaml") {
		if faults := schema.check(yamlValue(t, complete(text))); faults != nil {
			t.Errorf("%s: the schema refuses %v", name, faults)
		}
	}
}

func TestTheSchemaRefusesWhatLoadRefuses(t *testing.T) {
	schema := parsed(t, configuration())
	for _, text := range []string{
		"log: {levell: info}\n",
		"log: {level: loud}\n",
		"log: [info]\n",
		"mcp: {quiet: 150}\n",
		"mcp: {quiet: soon}\n",
		"mcp: {address: {}}\n",
		"subsets: {max: many}\n",
		"subsets: {max: 1.5}\n",
		"subsets: {labels: version}\n",
		"views: []\n",
		"canary: {files: x}\n",
		"canary: {onInvalid: ignore}\n",
		"canary: {teams: [{name: a}]}\n",
		"canary: {teams: [{name: a, files: [a], services: [a], expose: [{}]}]}\n",
		"sources: {}\n",
		"log: {level: info}\nsources: [{file: {path: a}}]\n",
		"log: {level: info}\nsources: [{name: a}]\n",
		"log: {level: info}\nsources: [{name: a, file: {}}]\n",
		"log: {level: info}\nsources: [{name: a, file: {path: a}, zookeeper: {servers: [a]}}]\n",
		"log: {level: info}\nsources: [{name: a, file: {path: a}, required: maybe}]\n",
		"log: {level: info}\nsources: [{name: a, file: {path: a}, ports: {http: -1}}]\n",
		"log: {level: info}\nsources: [{name: a, file: {path: a}, overrides: [{address: 1.2.3.4}]}]\n",
	} {
		text := complete(text)
		if err := load(t, text); err == nil {
			t.Errorf("Load takes %s", text)
		}
		if faults := schema.check(yamlValue(t, text)); faults == nil {
			t.Errorf("the schema takes %s", text)
		}
	}
}

func TestTheWordsOfAKeyAreThoseThatLoadTakes(t *testing.T) {
	file := map[string]string{
		"log.level":                      "log: {level: WORD}\n",
		"log.format":                     "log: {format: WORD}\n",
		"mesh.location":                  "mesh: {location: WORD}\n",
		"mesh.tls":                       "mesh: {tls: WORD}\n",
		"canary.onInvalid":               "canary: {onInvalid: WORD}\n",
		"canary.precedence":              "canary: {precedence: WORD}\n",
		"subsets.discover":               "subsets: {discover: WORD}\n",
		"sources[].overrides[].subsets":  "sources: [{name: a, file: {path: b}, overrides: [{service: c, subsets: WORD}]}]\n",
		"sources[].zookeeper.dubbo.mode": "sources: [{name: a, zookeeper: {servers: [zk], dubbo: {mode: WORD}}}]\n",
		"sources[].nacos.dubbo.mode":     "sources: [{name: a, nacos: {servers: [http://a], dubbo: {mode: WORD}}}]\n",
	}
	top, err := read(root, configuration())
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range file {
		if top.find(path) == nil {
			t.Fatalf("no key %s", path)
		}
		for _, word := range top.find(path).values() {
			if err := load(t, complete(strings.ReplaceAll(text, "WORD", word))); err != nil {
				t.Errorf("%s: %s is refused: %v", path, word, err)
			}
		}
		if err := load(t, complete(strings.ReplaceAll(text, "WORD", "other"))); err == nil {
			t.Errorf("%s takes any word", path)
		}
	}
	top.walk(func(k *key) {
		if k.values() != nil && file[k.path] == "" {
			t.Errorf("%s is not tried here", k.path)
		}
	})
}

func TestWithoutANeededKeyNothingLoads(t *testing.T) {
	without := map[string]string{
		"sources":                       "log: {level: info}\n",
		"sources[].name":                "sources: [{file: {path: b}}]\n",
		"sources[].file.path":           "sources: [{name: a, file: {}}]\n",
		"sources[].zookeeper.servers":   "sources: [{name: a, zookeeper: {}}]\n",
		"sources[].nacos.servers":       "sources: [{name: a, nacos: {}}]\n",
		"sources[].eureka.servers":      "sources: [{name: a, eureka: {}}]\n",
		"sources[].consul.address":      "sources: [{name: a, consul: {}}]\n",
		"canary.teams[].name":           complete("canary: {teams: [{files: [a], services: [a]}]}\n"),
		"canary.teams[].files":          complete("canary: {teams: [{name: a, services: [a]}]}\n"),
		"canary.teams[].services":       complete("canary: {teams: [{name: a, files: [a]}]}\n"),
		"sources[].overrides[].service": "sources: [{name: a, file: {path: b}, overrides: [{subsets: all}]}]\n",
	}
	for _, path := range configuration().needed {
		err := load(t, without[path])
		if err == nil || !strings.Contains(err.Error(), path[strings.LastIndexAny(path, ".")+1:]+": ") {
			t.Errorf("without %s: %v", path, err)
		}
	}
}

func TestCommentsNameTheDefaultsThatAreInForce(t *testing.T) {
	compared := 0
	compare := func(k *key) {
		value, ok := defaultValue(k.value)
		if words, _ := value.(string); k.name == "" || !ok || k.shape >= list || k.inherited || strings.Contains(words, " ") {
			return // a sentence is described
		}
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		compared++
		if want := strings.Trim(string(raw), `"`); !strings.HasPrefix(k.byDefault, want) {
			t.Errorf("%s starts as %s, its comment says %s", k.path, want, k.byDefault)
		}
	}
	for _, of := range kinds() {
		top, err := read(root, of)
		if err != nil {
			t.Fatal(err)
		}
		top.walk(compare)
	}
	if compared < 10 {
		t.Errorf("only %d keys have a default", compared)
	}
}

func (k *key) walk(visit func(*key)) {
	visit(k)
	if k.item != nil {
		k.item.walk(visit)
	}
	for _, child := range k.keys {
		child.walk(visit)
	}
}

func TestACommentIsSplitFromItsDefault(t *testing.T) {
	for comment, want := range map[string][2]string{
		"How long. Default: 10m.":         {"How long.", "10m"},
		"How long; e.g. 3s. Default 10m.": {"How long; e.g. 3s.", "10m"},
		"A path. No default.":             {"A path.", "none"},
		"Where. Default: 1.2.3.4, here.":  {"Where.", "1.2.3.4, here"},
	} {
		what, byDefault, err := split(comment)
		if err != nil || what != want[0] || byDefault != want[1] {
			t.Errorf("split(%q) = %q, %q, %v", comment, what, byDefault, err)
		}
	}
	if _, _, err := split("Says nothing."); err == nil {
		t.Error("a comment without default was taken")
	}
}
