package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/client"
	"meshbridge/cmd/internal/term"
	"meshbridge/cmd/internal/unified"
)

func newCanaryDiff(t terminal) *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "diff FILE",
		Short: "Print what a file of canary documents would change in Istio",
		Long: `Ask a running bridge what would change if the documents of a file took the place of those of the same
names, and print it as diff -u does: each DestinationRule and VirtualService that would come, change or
go, with the instances that the registries know now. Nothing is changed. The name of the file tells whose
documents they are, where the configuration has teams. - reads the standard input.

Exit status, as of kubectl diff: 0 nothing would change, 1 something would, 2 it cannot be told, since
the documents have faults or would not come into force as the registries are now, the bridge does not
answer, or the command was used wrongly.`,
		Example: `  meshbridge canary diff canaries/echo.yaml
  git show HEAD~1:canaries/echo.yaml | meshbridge canary diff - --server http://bridge:16011`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%d files named; name one, or - for the standard input", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			clients, err := f.clients(t)
			if err != nil {
				return err
			}
			defer closeAll(clients)
			if len(clients) > 1 {
				return usagef("diff asks one server, and --server names %d", len(clients))
			}
			name, text, err := readDocuments(cmd.InOrStdin(), args[0])
			if err != nil {
				return usageError{err}
			}
			changed, err := printPreview(cmd.Context(), t, clients[0], name, text)
			switch {
			case err != nil:
				return failure{err}
			case changed:
				return errTrouble
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	}
	return cmd
}

// maxDocuments is the most that a bridge takes, in bytes.
const maxDocuments = 1 << 20

// readDocuments reads a file, and says by which name the bridge knows its team: "" for the standard input.
func readDocuments(stdin io.Reader, path string) (name string, text []byte, err error) {
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(stdin, maxDocuments+1))
	} else {
		name = filepath.Base(path)
		text, err = os.ReadFile(path)
	}
	if err == nil && len(text) > maxDocuments {
		err = fmt.Errorf("%s has more than %d bytes", path, maxDocuments)
	}
	return name, text, err
}

// printPreview prints the difference of every object, and reports whether there is any.
func printPreview(ctx context.Context, t terminal, c *client.Client, name string, text []byte) (changed bool, err error) {
	preview, err := c.Preview(ctx, name, text)
	if p := new(client.ProblemError); errors.As(err, &p) && len(p.Faults) > 0 {
		return false, errors.New(p.Detail + ":\n  " + strings.Join(faultTexts(p.Faults), "\n  "))
	}
	if err != nil {
		return false, err
	}
	for _, change := range preview.Changes {
		before, after := change.Kind+" "+change.Name, change.Kind+" "+change.Name
		if change.Before == "" {
			before = os.DevNull
		}
		if change.After == "" {
			after = os.DevNull
		}
		fmt.Fprint(t.out, unified.Diff(before, change.Before, after, change.After))
	}
	return len(preview.Changes) > 0, nil
}

func faultTexts(faults []api.DocumentFault) []string {
	var texts []string
	for _, f := range faults {
		text := term.Clean(f.Text)
		if f.Path != "" && !strings.Contains(text, f.Path+":") {
			text = f.Path + ": " + text
		}
		if f.Document != "" {
			text = f.Document + ": " + text
		}
		texts = append(texts, text)
	}
	return texts
}
