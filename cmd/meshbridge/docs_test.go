package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs/commands.md")

const intro = `# Commands

Written from the commands' own help by ` + "`go test ./cmd/meshbridge -update`" + `.

Commands that ask a running bridge take ` + "`--server`" + `, ` + "`--token-file`" + ` and ` + "`--ca-file`" + `; a token may also be in the
environment as ` + "`MESHBRIDGE_TOKEN`" + `. What they print they ask for over the admin API, which
` + "`/api/v1/openapi.yaml`" + ` describes.

Every command exits with 0 when all is fine, 1 when it found trouble, and 2 when it was used wrongly.
What it found is on the output; what went wrong, and what to do, on the error output.

Completion, of sources and hosts as well: ` + "`source <(meshbridge completion bash)`" + `, or ` + "`zsh`, `fish`, `powershell`" + `.
`

// page is docs/commands.md as the commands tell it.
func page() string {
	var b bytes.Buffer
	b.WriteString(intro)
	for _, c := range newRoot(terminal{server: localServer}).Commands() {
		describe(&b, c, "##")
		for _, sub := range c.Commands() {
			describe(&b, sub, "###")
		}
	}
	return b.String()
}

func describe(b *bytes.Buffer, c *cobra.Command, level string) {
	fmt.Fprintf(b, "\n%s %s\n\n", level, strings.TrimPrefix(c.CommandPath(), "meshbridge "))
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	fmt.Fprintf(b, "```text\n%s\n```\n\n", c.UseLine())
	fmt.Fprintf(b, "%s\n", indentLists(long))
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", dedent(c.Example))
	}
	if usage := c.LocalFlags().FlagUsages(); usage != "" {
		fmt.Fprintf(b, "\n```text\n%s```\n", usage)
	}
}

// indentLists makes indented text of a help a block of code, as Markdown has it.
func indentLists(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "  ") {
			lines[i] = "  " + line
		}
	}
	return strings.Join(lines, "\n")
}

func dedent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

func TestThePageOfCommandsIsWhatTheyTell(t *testing.T) {
	const path = "../../docs/commands.md"
	if *update {
		if err := os.WriteFile(path, []byte(page()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page(), string(have)); diff != "" {
		t.Errorf("the commands (-) and the page (+); -update writes it:\n%s", diff)
	}
}
