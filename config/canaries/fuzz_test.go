package canaries

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"meshbridge/convert"
	"meshbridge/convert/canary"
)

// FuzzParse shows that no file is a panic and none slips through: every entry without a fault is a document that is valid
// and survives being kept, every fault has words, and where there is no fault at all there are as many documents as yaml.v3
// finds.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	f.Add([]byte("---\n--- {name: a, services: [a.b]}\n...\nname: b\nservices: [b.c]\n"))
	cfg := convert.Default()
	f.Fuzz(func(t *testing.T, data []byte) {
		entries := Parse(cfg, "f", data)
		faults := 0
		for _, e := range entries {
			faults += len(e.Faults)
			for _, fault := range e.Faults {
				if !strings.HasPrefix(fault.Text, "f") || !strings.Contains(fault.Text, ": ") {
					t.Errorf("fault without sense: %+v", fault)
				}
			}
			if len(e.Faults) > 0 {
				continue
			}
			if e.Document == nil || e.Name != e.Document.Name || e.Document.Validate("version") != nil {
				t.Fatalf("entry %+v has no fault", e)
			}
			kept := canary.Document{}
			raw, err := json.Marshal(e.Document)
			if err == nil {
				err = json.Unmarshal(raw, &kept)
			}
			if err != nil || kept.Hash() != e.Document.Hash() {
				t.Errorf("%s is kept as %s: %v", raw, kept.Hash(), err)
			}
		}
		if faults > 0 {
			return
		}
		count := 0
		for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
			var document map[string]any
			err := decoder.Decode(&document)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return // it takes no comments of other bytes than text, nor YAML 1.2 by its name
			}
			if document != nil {
				count++
			}
		}
		if count != len(entries) {
			t.Errorf("%d documents in %q, yaml.v3 finds %d", len(entries), data, count)
		}
	})
}
