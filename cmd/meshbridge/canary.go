package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/canaryedit"
	"meshbridge/config/canaries"
	"meshbridge/convert/canary"
)

func newCanary(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "canary (diff|weight|promote|rollback)",
		Short: "See what a canary document would change, and move a rollout on",
		Long: `Work with canary documents, the files that canary.files of the configuration names. The bridge follows
these files, so a rollout moves when its file does: by hand, from a GitOps repository, or by these:

  diff FILE           what a file's documents would change in Istio, before it is put in place
  weight NAME 40      give the canary of a document a weight
  promote NAME        let the canary be the primary, and remove all canaries
  rollback NAME       remove all canaries, so that the primary gets everything

See where a rollout is with: meshbridge get canaries; what is wrong with it with: meshbridge check.`,
		Example: `  meshbridge canary diff echo.yaml && echo nothing would change
  meshbridge canary weight echo 10
  meshbridge canary promote echo`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%q is none of diff, weight, promote, rollback", args[0])
			}
			return usagef("what to do? One of diff, weight, promote, rollback")
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // so that the arguments are looked at
	}
	cmd.AddCommand(newCanaryDiff(t), newCanaryWeight(t), newCanaryPromote(t), newCanaryRollback(t))
	return cmd
}

// editing is what the commands that edit a document tell of themselves alike.
const editing = `
The document is changed in its file, in place and at once; comments and everything else in the file stay.
What would leave the document invalid is refused. Where the file cannot be written, as on the mount of a
ConfigMap, the edited file is printed instead, and the exit status is 1.

Exit status: 0 edited, or it was so already; 1 not edited; 2 wrong use or a wrong configuration.`

func newCanaryWeight(t terminal) *cobra.Command {
	return newCanaryEdit(t, &cobra.Command{
		Use:   "weight NAME[/CANARY] PERCENT",
		Short: "Give the canary of a document a weight",
		Long: `Give the canary of a document a weight: that percentage of the requests that no header sends anywhere.
The primary has what is left. Of several canaries one is named by its version or name.
` + editing,
		Example: `  meshbridge canary weight echo 10 --config meshbridge.yaml
  meshbridge canary weight lane/gray 0`,
	}, 2, func(args []string, _, one string) (canaryEdit, error) {
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
	}, 1, func(_ []string, _, one string) (canaryEdit, error) {
		return canaryEdit{change: canaryedit.Promote(one), now: "the canary is the primary, and there are no canaries"}, nil
	})
}

func newCanaryRollback(t terminal) *cobra.Command {
	return newCanaryEdit(t, &cobra.Command{
		Use:   "rollback NAME",
		Short: "Remove all canaries of a document",
		Long: `Remove all canaries of a document: every request goes to the primary.
` + editing,
		Example: `  meshbridge canary rollback echo --config meshbridge.yaml`,
	}, 1, func(_ []string, doc, one string) (canaryEdit, error) {
		if one != "" {
			return canaryEdit{}, usagef("a rollback removes all canaries of %s: leave out /%s", doc, one)
		}
		return canaryEdit{change: canaryedit.Rollback(), now: "there are no canaries", none: true}, nil
	})
}

// canaryEdit is a change of a document, and how the document is then.
type canaryEdit struct {
	change canaryedit.Change
	now    string
	none   bool // a document without canaries is so already
}

// newCanaryEdit completes a command that changes the document named by its first argument.
func newCanaryEdit(t terminal, cmd *cobra.Command, args int, read func(args []string, doc, one string) (canaryEdit, error)) *cobra.Command {
	var path string
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if len(given) != args {
			return usagef("%d arguments given; want %s", len(given), strings.TrimSuffix(cmd.Use, " "))
		}
		return nil
	}
	cmd.RunE = func(_ *cobra.Command, given []string) error {
		doc, one, _ := strings.Cut(given[0], "/")
		edit, err := read(given, doc, one)
		if err != nil {
			return err
		}
		cfg, err := loadCanaries(path)
		if err != nil {
			return err
		}
		return edit.run(t, cfg, doc)
	}
	addConfigFlag(cmd, &path)
	cmd.ValidArgsFunction = func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(given) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return documentNames(path), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
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

// documentNames lists the documents of a configuration's files; whatever goes wrong gives none.
func documentNames(path string) []string {
	cfg, err := loadCanaries(path)
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
		return nil
	}
	files, _ := canaryedit.Files(cfg.Canary.Files) // what cannot be read has no names
	var names []string
	for _, f := range files {
		names = append(names, canaryedit.Names(f.Text)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// run changes a document in its file, and says how it is now.
func (e canaryEdit) run(t terminal, cfg loaded, doc string) error {
	file, err := canaryedit.Find(cfg.Canary.Files, doc)
	if err != nil {
		return err
	}
	edited, err := canaryedit.Edit(file.Text, doc, e.change)
	if errors.Is(err, canaryedit.ErrNothing) && e.none {
		edited, err = file.Text, nil
	}
	if err != nil {
		return fmt.Errorf("%s in %s: %w", doc, file.Path, err)
	}
	if string(edited) == string(file.Text) {
		fmt.Fprintf(t.out, "%s: %s, as it was (%s)\n", doc, e.now, file.Path)
		return nil
	}
	if faults := faultsOf(canaries.Parse(cfg.Config.Config, file.Path, edited), doc); len(faults) > 0 {
		return fmt.Errorf("%s is left as it is, since the document would be invalid:\n  %s", file.Path, strings.Join(faults, "\n  "))
	}
	if err := canaryedit.Write(file.Path, edited); err != nil {
		if _, err := t.out.Write(edited); err != nil {
			return err
		}
		return fmt.Errorf("not written, but printed: %w", err)
	}
	fmt.Fprintf(t.out, "%s: %s (%s)\n", doc, e.now, file.Path)
	return nil
}

// faultsOf are the texts of a document's faults.
func faultsOf(entries []canary.Entry, doc string) []string {
	var texts []string
	for _, e := range entries {
		if e.Name != doc {
			continue
		}
		for _, f := range e.Faults {
			texts = append(texts, f.Text)
		}
	}
	return texts
}
