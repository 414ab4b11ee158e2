package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/check"
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
go, with the instances that the registries know now. Nothing is changed. The path of the file tells whose
documents they are, where the configuration has teams. - reads the standard input. What a change would
cut, such as TLS with another server name than the host's, is told on the error output.

Exit status, as of kubectl diff: 0 nothing would change, 1 something would, 2 it cannot be told, since
the documents have faults or would not become active as the registries are now, the bridge does not
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
	f.add(cmd, t)
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

// readDocuments reads a file, and says by which path the bridge knows its team: "" for the standard input.
func readDocuments(stdin io.Reader, path string) (name string, text []byte, err error) {
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(stdin, maxDocuments+1))
	} else {
		name = path
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
		return false, errors.New(withFaults(p))
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
		fmt.Fprint(t.out, term.CleanLines(unified.Diff(before, change.Before, after, change.After)))
		for _, warning := range cutTLS(change) {
			fmt.Fprintln(t.err, "warning: "+term.Clean(warning))
		}
	}
	return len(preview.Changes) > 0, nil
}

// cutTLS warns of the ports at which a change takes TLS away that passed before: once a VirtualService routes a TLS port, Istio
// compares the name that the client asks for (SNI) with the host.
func cutTLS(change api.CanaryChange) []string {
	var warnings []string
	before := tlsPorts(change.Before)
	for _, port := range tlsPorts(change.After) {
		if !slices.Contains(before, port) {
			warnings = append(warnings, fmt.Sprintf("%s: %s", change.Name, check.CutTLS(port.host, port.number)))
		}
	}
	return warnings
}

// tlsPort is a port of a host at which TLS is routed by the name that the client asks for.
type tlsPort struct {
	host   string
	number uint32
}

// tlsPorts are those of an object's routes; what is no VirtualService has none.
func tlsPorts(object string) []tlsPort {
	var o struct {
		Spec struct {
			Hosts []string `json:"hosts"`
			TLS   []struct {
				Match []struct {
					Port uint32 `json:"port"`
				} `json:"match"`
			} `json:"tls"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(object), &o); err != nil {
		return nil
	}
	var ports []tlsPort
	for _, host := range o.Spec.Hosts {
		for _, route := range o.Spec.TLS {
			for _, m := range route.Match {
				if p := (tlsPort{host, m.Port}); !slices.Contains(ports, p) {
					ports = append(ports, p)
				}
			}
		}
	}
	return ports
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
