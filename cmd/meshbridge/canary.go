package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/canaryedit"
)

func newCanary(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "canary (diff|weight|promote|rollback|forget)",
		Short: "See what a canary document would change, and move a rollout on",
		Long: `Work with canary documents, the files that canary.files of the configuration names. The bridge follows
these files, so a rollout moves when its file does: by hand, from a GitOps repository, or by these:

  diff FILE           what a file's documents would change in Istio, before it is put in place
  weight NAME 40      give the canary of a document a weight
  promote NAME        let the canary be the primary, and remove all canaries
  rollback NAME       remove all canaries, so that the primary gets everything
  forget NAME         let a bridge go on without a document whose file has vanished

Names of documents are per team: where several teams have one of a name, --team says whose is meant.
See where a rollout is with: meshbridge get canaries; what is wrong with it with: meshbridge check.`,
		Example: `  meshbridge canary diff echo.yaml && echo nothing would change
  meshbridge canary weight echo 10
  meshbridge canary promote echo`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%q is none of diff, weight, promote, rollback, forget", args[0])
			}
			return usagef("what to do? One of diff, weight, promote, rollback, forget")
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // so that the arguments are looked at
	}
	cmd.AddCommand(newCanaryDiff(t), newCanaryWeight(t), newCanaryPromote(t), newCanaryRollback(t), newCanaryForget(t))
	return cmd
}

// editing is what the commands that edit a document tell of themselves alike.
const editing = `
A running bridge is asked first: where it would refuse the document as it would be then, or where nothing
would change, the file stays and the reason is told. Where no bridge answers at the default address, the
file is edited without one; a --server that is named has to answer.

The document is changed in its file, in place and at once; comments and everything else in the file stay.
Several edits at one time follow each other. Where the file cannot be written, as on the mount of a
ConfigMap, the edited file is printed instead, and the exit status is 1.

Exit status: 0 edited; 1 not edited; 2 wrong use or a wrong configuration.`

func newCanaryWeight(t terminal) *cobra.Command {
	return newCanaryEdit(t, &cobra.Command{
		Use:   "weight NAME[/CANARY] PERCENT",
		Short: "Give the canary of a document a weight",
		Long: `Give the canary of a document a weight: that percentage of the requests that no header sends anywhere.
The primary has what is left. Of several canaries one is named by its version or name.
` + editing,
		Example: `  meshbridge canary weight echo 10 --config meshbridge.yaml
  meshbridge canary weight lane/gray 0`,
	}, 2, func(args []string, one string) (canaryEdit, error) {
		percent, err := strconv.Atoi(strings.TrimSuffix(args[1], "%"))
		if err != nil || percent < 0 || percent > 100 {
			return canaryEdit{}, usagef("%q is no percentage: a number from 0 to 100", args[1])
		}
		return canaryEdit{change: canaryedit.Weight(one, percent), now: fmt.Sprintf("the canary has weight %d", percent)}, nil
	})
}

func newCanaryPromote(t terminal) *cobra.Command {
	return newCanaryEdit(t, &cobra.Command{
		Use:   "promote NAME[/CANARY]",
		Short: "Make the canary of a document its primary, and remove all canaries",
		Long: `Make the canary of a document its primary, by its version or labels, and remove all canaries: every
request goes to what was the canary. Of several canaries one is named by its version or name.
` + editing,
		Example: `  meshbridge canary promote echo --config meshbridge.yaml
  meshbridge canary promote lane/gray`,
	}, 1, func(_ []string, one string) (canaryEdit, error) {
		return canaryEdit{change: canaryedit.Promote(one), now: "the canary is the primary, and there are no canaries"}, nil
	})
}

func newCanaryRollback(t terminal) *cobra.Command {
	return newCanaryEdit(t, &cobra.Command{
		Use:   "rollback NAME[/CANARY]",
		Short: "Remove the canaries of a document",
		Long: `Remove all canaries of a document: every request goes to the primary. With /CANARY only the one of that
version or name is removed; the others stay.
` + editing,
		Example: `  meshbridge canary rollback echo --config meshbridge.yaml
  meshbridge canary rollback matches/v4`,
	}, 1, func(_ []string, one string) (canaryEdit, error) {
		now := "there are no canaries"
		if one != "" {
			now = "there is no canary " + one
		}
		return canaryEdit{change: canaryedit.Rollback(one), now: now}, nil
	})
}

// loadCanaries reads a configuration that names files of canaries.
func loadCanaries(path string) (loaded, error) {
	cfg, err := load(path)
	if err != nil {
		return loaded{}, err
	}
	if len(cfg.Canary.Files) == 0 {
		return loaded{}, usagef("the configuration names no canary.files; name another with --config")
	}
	return cfg, nil
}
