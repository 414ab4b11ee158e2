//go:build e2e

package clients

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page is docs/clients.md.
const page = "../../../docs/clients.md"

// block is a fenced one: its language, its name after that, and its content.
var block = regexp.MustCompile("(?ms)^```([a-z]+)(?: ([a-z-]+))?\n(.*?)^```$")

// snippet is the content of the block of the name.
func snippet(t *testing.T, name string) string {
	t.Helper()
	for _, b := range blocks(t) {
		if b.name == name {
			return b.content
		}
	}
	t.Fatalf("%s has no snippet named %s", page, name)
	return ""
}

type namedBlock struct{ language, name, content string }

func blocks(t *testing.T) (list []namedBlock) {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range block.FindAllStringSubmatch(string(content), -1) {
		list = append(list, namedBlock{m[1], m[2], m[3]})
	}
	return list
}

// TestEverySnippetIsRun checks that a snippet in a programming language is a piece of what runs in these tests, and that any
// other one has a name that these tests use.
func TestEverySnippetIsRun(t *testing.T) {
	var sources []string
	for _, pattern := range []string{"*_test.go", "../../servers/*-consumer/src/main/java/meshbridge/*/*.java"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			content, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, flat(string(content)))
		}
	}
	all := strings.Join(sources, "\n")
	for _, b := range blocks(t) {
		switch {
		case b.name != "":
			if !strings.Contains(all, `"`+b.name+`"`) {
				t.Errorf("no test uses the snippet %s", b.name)
			}
		case b.language == "text":
		case !strings.Contains(all, flat(b.content)):
			t.Errorf("no application of the tests has these lines:\n%s", b.content)
		}
	}
}

// flat is the text without indentation and empty lines.
func flat(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
