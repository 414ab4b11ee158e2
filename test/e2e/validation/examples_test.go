//go:build e2e

package validation

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"meshbridge/test/harness"
)

// TestIstioTakesTheExamples judges what every state of docs/examples becomes, and the objects for Kubernetes beside them.
func TestIstioTakesTheExamples(t *testing.T) {
	const examples = "../../../docs/examples"
	var objects []json.RawMessage
	var of []string
	add := func(name, manifests string) {
		for manifest := range strings.SplitSeq(manifests, "---\n") {
			object, err := yaml.YAMLToJSON([]byte(manifest))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			objects, of = append(objects, object), append(of, name+"\n"+manifest)
		}
	}
	for _, name := range found(t, examples+"/testdata/*.txtar") {
		archive, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, manifests, _ := strings.Cut(string(archive), "\n-- istio.yaml --\n")
		manifests, _, whole := strings.Cut(manifests, "\n-- told --\n")
		if !whole {
			t.Fatalf("%s has no objects", name)
		}
		add(name, manifests)
	}
	for _, name := range found(t, examples+"/*/kubernetes/*.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		add(name, string(data))
	}
	for i, refusal := range harness.JudgeJSON(t, objects) {
		if refusal != "" {
			t.Errorf("%s\nin %s", refusal, of[i])
		}
	}
}

func found(t *testing.T, glob string) []string {
	t.Helper()
	names, err := filepath.Glob(glob)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", glob, len(names), err)
	}
	return names
}
