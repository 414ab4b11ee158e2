package strict

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
)

// judged has the types that yaml.v3 decodes by the same rules.
type judged struct {
	Text  string            `yaml:"text"`
	Yes   bool              `yaml:"yes"`
	Texts []string          `yaml:"texts"`
	Map   map[string]string `yaml:"map"`
	Part  *inner            `yaml:"part"`
	Parts []inner           `yaml:"parts"`
}

type inner struct {
	Size int    `yaml:"size"`
	Name string `yaml:"name"`
	Deep *inner `yaml:"deep"`
}

// FuzzDecode shows that no document is a panic, that every fault has a place, and that nothing faulty passes: what Decode
// takes, yaml.v3's own strict decoder takes as well and reads the same from it.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"text: a\nyes: true\ntexts: [a, b]\nmap: {a: b}\npart: {size: 1, deep: {name: x}}\nparts:\n- size: 2\n",
		"a: &a {size: 1}\npart: *a\nparts: [{<<: *a, name: b}, {<<: [*a, *a]}]\n",
		"text: a\ntext: b\n", "part: &p {deep: *p}", "---\ntext: |\n  a\n  b\n...\n", "text: ${HOME}\n", "map: {? a : b}", "parts: [[]]", "\xff\xfet\x00",
		"# c\ntext: !!str 1\nmap: {1: 2, ~: 3}\n", "%YAML 1.2\n---\ntext: 'a'\n", "part: {size: 0x10}\n", "texts: [yes, 1.0, 2001-01-01, <<]\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got judged
		doc, faults := Decode("f", data, &got, Options{})
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u0085") + 2
		for _, fault := range doc.Faults(nil) {
			if fault.Wrong == "" || fault.Line < 0 || fault.Line > lines && len(data) > 0 && data[0] < 0x80 {
				t.Errorf("fault without sense: %#v", fault)
			}
		}
		if len(faults) > 0 || bytes.Contains(data, []byte("${")) {
			return
		}
		var want judged
		decoder := yaml.NewDecoder(bytes.NewReader(data))
		decoder.KnownFields(true)
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("no fault in %q, yaml.v3 says %v", data, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q decodes otherwise (-yaml.v3 +got):\n%s", data, diff)
		}
	})
}
