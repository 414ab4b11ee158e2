package config

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad shows that no file is a panic and none slips through: what loads is valid, and what does not is told.
func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _, err := LoadBytes("f", data, "testdata", env)
		switch {
		case (c == nil) == (err == nil):
			t.Errorf("config %v, err %v", c, err)
		case err != nil && err.Error() == "":
			t.Error("a fault without words")
		case c != nil && c.Validate() != nil:
			t.Errorf("loaded, but %v", c.Validate())
		}
	})
}
