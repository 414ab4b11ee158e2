package zookeeper

import (
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what is reported into the golden files")

// plant makes the nodes of a listing: a path and, after a space, its data. What follows the fourth slash of an
// interface's nodes is written plainly in the listing and encoded in the tree.
func plant(t *tree, listing string) {
	for line := range strings.Lines(listing) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		node, data, _ := strings.Cut(line, " ")
		if parts := strings.SplitN(node, "/", 5); len(parts) == 5 && strings.Contains(parts[4], "://") {
			node = strings.Join(parts[:4], "/") + "/" + url.QueryEscape(parts[4])
		}
		t.put(node, data)
	}
}

// Each file holds znodes as real providers write them, and what is reported of them in each mode.
func TestZnodesBecomeServices(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %v, %v; want golden files", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range archive.Files[1:] {
				synctest.Test(t, func(t *testing.T) {
					tree := newTree()
					plant(tree, string(archive.Files[0].Data))
					c := Default()
					c.Dubbo.Mode = f.Name
					got := text(follow(t, tree, c).picture())
					if *update {
						archive.Files[i+1].Data = []byte(got)
					} else if diff := cmp.Diff(string(f.Data), got); diff != "" {
						t.Errorf("mode %s (-want +got):\n%s", f.Name, diff)
					}
				})
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
