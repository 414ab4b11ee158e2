package main

import (
	"fmt"
	"os"
	"path/filepath"

	"meshbridge/convert"
)

// document is the canary document of a service after a step; 0 is its first state. A step gives v2 another share of the requests,
// and the header that leads to v3 another value, so that whoever is told of the step knows it.
func (w World) document(i, step int) []byte {
	return fmt.Appendf(nil, "name: %s\nservices: [%s]\nprimary: v1\ncanaries:\n- {version: v2, weight: %d}\n- {version: v3, headers: {%s: %q}}\n",
		w.name(i), w.host(i), 1+step/max(w.Canaries, 1)%99, stepHeader, dotted(changed, step))
}

// stepHeader is the header that tells steps apart.
const stepHeader = "x-step"

// documents writes the documents and returns the configuration that names them.
func (b *Bridge) documents(config BridgeConfig) (convert.Config, error) {
	c := convert.Default()
	if config.World.Canaries == 0 {
		return c, nil
	}
	c.Canary.Files, c.Canary.Settle = []string{filepath.Join(b.folder, "*.yaml")}, config.Settle
	for i := range config.World.Canaries {
		if err := b.write(i, 0); err != nil {
			return c, err
		}
	}
	return c, nil
}

// step edits the document that a change is to.
func (b *Bridge) step(n int) error { return b.write(b.world.target(n), n) }

// write replaces the document of a service, as editors and mounted volumes do.
func (b *Bridge) write(i, step int) error {
	unseen := filepath.Join(b.folder, "."+b.world.name(i))
	if err := os.WriteFile(unseen, b.world.document(i, step), 0o644); err != nil {
		return fmt.Errorf("write a document: %w", err)
	}
	return os.Rename(unseen, filepath.Join(b.folder, b.world.name(i)+".yaml"))
}
