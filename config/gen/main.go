// Command gen writes the schemas and the pages of docs that describe the configuration and the documents of canaries, from their
// types. It is run in the root of the module: go run ./config/gen.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"meshbridge/config/schema"
)

func main() {
	if err := generate("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func generate(root string) error {
	files, err := schema.Generate(root)
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
