package main

import (
	"time"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/check"
)

func newCheck(t terminal) *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find what is wrong with a running bridge, and say what to do",
		Long: `Ask a running bridge for its state and judge it: whether it answers and its gate is open, its sources,
what was left out, the canary documents (which are not served as their files say, and why; subsets
without instances or with shared ones; how far a rollout is), what objects of other people do to those
of the bridge, how many hosts every proxy must know, the istiods that are connected, what they refused,
and whether their shards hold every host once. Several servers are taken for replicas, which should serve the same: their sources,
hosts and the versions of their resources are compared, and each difference comes with its likely
reason (a loss that one holds back, a registry that one cannot read, something retained, a poll).

Lines that begin with x are trouble, those with - are worth knowing. Exit status: 0 no trouble, 1
trouble found, 2 wrong use.`,
		Example: `  meshbridge check
  meshbridge check --server http://bridge-0:16011,http://bridge-1:16011 --token-file token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			clients, err := f.clients(t)
			if err != nil {
				return err
			}
			var bridges []check.Bridge
			for _, c := range clients {
				bridges = append(bridges, check.Ask(cmd.Context(), c, len(clients) > 1))
			}
			trouble, err := check.Print(t.out, check.Judge(bridges, time.Now()))
			if err == nil && trouble {
				err = errTrouble
			}
			return err
		},
	}
	f.add(cmd)
	return cmd
}
