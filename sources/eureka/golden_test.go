package eureka

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"meshbridge/sources/sourcetest"
)

var update = flag.Bool("update", false, "write what is reported into the golden files")

// Each file holds an answer as a kind of server writes it, and what is reported of it.
func TestAnswersOfEveryDialectBecomeServices(t *testing.T) {
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
			r, a := listed(t, string(archive.Files[0].Data))
			if a.hash != r.counts.hash() {
				t.Errorf("the server's hash is %q and ours %q", a.hash, r.counts.hash())
			}
			got := fmt.Sprintf("hash %q\n%s", r.counts.hash(), written(sourcetest.Picture{Services: r.services(Scope)}))
			if *update {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// listed is the registry of an answer.
func listed(t testing.TB, text string) (*registry, answer) {
	t.Helper()
	b := builder{apps: map[string][]member{}}
	a, err := decode(strings.NewReader(text), collect(&b))
	if err != nil {
		t.Fatal(err)
	}
	return b.registry(), a
}

// collect adds instances to a builder as a client does.
func collect(b *builder) func(string, *wireInstance, error) {
	return func(app string, w *wireInstance, err error) { m := reader{region: "eu"}.listed(w, err); b.add(app, m) }
}

func TestTheFirstVIPAddressIsMetadata(t *testing.T) {
	for list, want := range map[string]string{
		`"vipAddress":"a, b"`:                               "a",
		`"vipAddress":"a","metadata":{"vipAddress":"mine"}`: "mine",
		`"vipAddress":""`:                                   "",
	} {
		r, _ := listed(t, `{"applications":{"application":{"name":"X","instance":{"instanceId":"i","ipAddr":"10.0.0.1","port":1,`+list+`}}}}`)
		if got := r.service(Scope, "X").Instances[0].Metadata[vipKey]; got != want {
			t.Errorf("%s: got %q, want %q", list, got, want)
		}
	}
}
