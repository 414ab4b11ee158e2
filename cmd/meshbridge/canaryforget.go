package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/client"
	"meshbridge/cmd/internal/term"
)

func newCanaryForget(t terminal) *cobra.Command {
	var f serverFlags
	var team string
	cmd := &cobra.Command{
		Use:   "forget NAME",
		Short: "Let a bridge go on without a document whose file has vanished",
		Long: `Have running bridges forget a document that they go on serving as it was last good, since its file, or
the folder of its file, cannot be found or read any more. What it routed goes, as after a deletion of
the document. A document that a file still has is not forgotten: delete it there.

Every address that the name of a --server resolves to is asked, so that replicas behind one name all
forget it. What is kept so is in the state lastGood: meshbridge get canaries --state lastGood

Exit status: 0 forgotten; 1 a bridge did not answer, does not know the document, or its file has it.`,
		Example: `  meshbridge canary forget echo
  meshbridge canary forget echo --team blue --server http://meshbridge.istio-system:16011 --token-file token`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%d documents named; name one, as meshbridge get canaries lists them", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			clients, err := f.clients(t)
			if err != nil {
				return err
			}
			defer closeAll(clients)
			if !forgetAll(cmd.Context(), t, clients, team, args[0]) {
				return errTrouble
			}
			return nil
		},
	}
	f.add(cmd, t)
	addTeamFlag(cmd, &team)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f.ask(cmd, t, canaryNames)
	}
	return cmd
}

// forgetAll asks every address of every server, and reports whether each forgot the document.
func forgetAll(ctx context.Context, t terminal, clients []*client.Client, team, doc string) bool {
	all := true
	for _, c := range clients {
		each, err := c.Each(ctx)
		if err != nil {
			all = false
			fmt.Fprintf(t.err, "%s: %s\n", c.Server(), term.Clean(err.Error()))
		}
		for _, one := range each {
			name := one.Server() + " (" + one.Address() + ")"
			if _, err := one.Forget(ctx, team, doc); err != nil {
				all = false
				fmt.Fprintf(t.err, "%s: %s\n", name, term.Clean(err.Error()))
			} else {
				fmt.Fprintf(t.out, "%s: %s is forgotten\n", name, term.Clean(doc))
			}
			one.Close()
		}
	}
	return all
}
