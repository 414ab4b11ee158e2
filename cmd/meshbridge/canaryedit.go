package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/canaryedit"
	"meshbridge/cmd/internal/term"
	"meshbridge/config/canaries"
	"meshbridge/convert/canary"
)

// canaryEdit is a change of a document, and how the document is then.
type canaryEdit struct {
	change canaryedit.Change
	now    string
}

// newCanaryEdit completes a command that changes the document named by its first argument.
func newCanaryEdit(t terminal, cmd *cobra.Command, args int, read func(args []string, one string) (canaryEdit, error)) *cobra.Command {
	var path, team string
	var f serverFlags
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if len(given) != args {
			return usagef("%d arguments given; want %s", len(given), cmd.Use)
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		doc, one, _ := strings.Cut(given[0], "/")
		edit, err := read(given, one)
		if err != nil {
			return err
		}
		cfg, err := loadCanaries(path)
		if err != nil {
			return err
		}
		clients, err := f.clients(t)
		if err != nil {
			return err
		}
		defer closeAll(clients)
		return edit.run(cmd.Context(), t, cfg, doc, team, &asker{clients: clients, named: cmd.Flags().Changed("server")})
	}
	addConfigFlag(cmd, &path)
	f.add(cmd, t)
	addTeamFlag(cmd, &team)
	completeBy(cmd, "team", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return teamNames(path), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.ValidArgsFunction = func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(given) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return documentNames(path), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func addTeamFlag(cmd *cobra.Command, team *string) {
	cmd.Flags().StringVar(team, "team", "", "whose document is meant, where several teams have one of that name")
}

// run changes a document in its file if the bridges would take it, and says how it is now.
func (e canaryEdit) run(ctx context.Context, t terminal, cfg loaded, doc, team string, ask *asker) error {
	file, err := canaryedit.Find(cfg.Canary.Files, teamOf(cfg), doc, team)
	if err != nil {
		return err
	}
	var edited []byte
	err = canaryedit.Update(ctx, file.Path, func(text []byte) ([]byte, error) {
		if edited, err = e.edit(cfg, file.Path, text, doc); err != nil {
			return nil, err
		}
		return edited, ask.judge(ctx, t, file, doc, text, edited)
	})
	switch {
	case errors.As(err, new(*canaryedit.UnwritableError)):
		if err := printEdited(t, edited); err != nil {
			return err
		}
		return fmt.Errorf("not written, but printed: %w", err)
	case err != nil:
		return err
	}
	fmt.Fprintf(t.out, "%s: %s (%s)\n", doc, e.now, file.Path)
	return nil
}

// edit changes a document in the text of its file. It refuses what would leave the document invalid, or saying what it says.
func (e canaryEdit) edit(cfg loaded, path string, text []byte, doc string) ([]byte, error) {
	edited, err := canaryedit.Edit(text, doc, e.change)
	if errors.Is(err, canaryedit.ErrNothing) {
		return nil, fmt.Errorf("nothing would change in %s: the document has no canaries (%s)", doc, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w", doc, path, err)
	}
	before, after := entryOf(cfg, path, text, doc), entryOf(cfg, path, edited, doc)
	if len(after.Faults) > 0 {
		var texts []string
		for _, f := range after.Faults {
			texts = append(texts, f.Text)
		}
		return nil, fmt.Errorf("%s is left as it is, since the document would be invalid:\n  %s", path, strings.Join(texts, "\n  "))
	}
	if len(before.Faults) == 0 && before.Document != nil && after.Document != nil && before.Document.Hash() == after.Document.Hash() {
		return nil, fmt.Errorf("nothing would change in %s: %s already (%s)", doc, e.now, path)
	}
	return edited, nil
}

// entryOf is what a file's text says of a document of a name.
func entryOf(cfg loaded, path string, text []byte, doc string) canary.Entry {
	for _, entry := range canaries.Parse(cfg.Config.Config, path, text) {
		if entry.Name == doc {
			return entry
		}
	}
	return canary.Entry{}
}

// printEdited prints a file that cannot be written. Control characters, which YAML does not have, could steer the terminal.
func printEdited(t terminal, text []byte) error {
	if strings.ContainsFunc(string(text), func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }) {
		return errors.New("the file cannot be written, and has control characters, which YAML does not allow: it is not printed")
	}
	_, err := t.out.Write(text)
	return err
}

// teamOf says whose file a path is, as the configuration has it.
func teamOf(cfg loaded) func(path string) string {
	return func(path string) string {
		if team := cfg.Canary.TeamOf(path); team != nil {
			return team.Name
		}
		return ""
	}
}

// teamNames lists the teams of a configuration; whatever goes wrong gives none.
func teamNames(path string) []string {
	cfg, err := loadCanaries(path)
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
		return nil
	}
	var names []string
	for _, team := range cfg.Canary.Teams {
		names = append(names, team.Name)
	}
	return names
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
	names = slices.DeleteFunc(names, func(name string) bool { return term.Clean(name) != name }) // the shell prints them
	slices.Sort(names)
	return slices.Compact(names)
}
