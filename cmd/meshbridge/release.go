package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/client"
	"meshbridge/cmd/internal/term"
	"meshbridge/sources"
)

func newRelease(t terminal) *cobra.Command {
	var f serverFlags
	var output string
	formats := []string{"table", "json", "yaml"}
	cmd := &cobra.Command{
		Use:   "release SOURCE",
		Short: "Let go the losses that the guard holds back in a source",
		Long: `When a registry loses many instances at once, the bridge goes on serving them: most often the registry
was restarted, and they are alive. When they really are gone, release lets go what is held in all
scopes of the source, so that what the registry reports is what is served.

Every address that the name of a --server resolves to is asked, so that replicas behind one name
are all released. See what is held with: meshbridge get sources.

Exit status: 0 released, or nothing was held; 1 a bridge did not answer, or has no such source.`,
		Example: `  meshbridge release orders
  meshbridge release orders --server http://meshbridge.istio-system:16011 --token-file token`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%d sources named; name one, as meshbridge get sources lists them", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(formats, output) {
				return usagef("-o %s: want one of %s", output, strings.Join(formats, ", "))
			}
			clients, err := f.clients(t)
			if err != nil {
				return err
			}
			defer closeAll(clients)
			return printReleases(t, output, releaseAll(cmd.Context(), clients, args[0]))
		},
	}
	f.add(cmd, t)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "form of output: "+strings.Join(formats, ", "))
	completeFrom(cmd, "output", formats...)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f.ask(cmd, t, sourceNames)
	}
	return cmd
}

// release is what one bridge answered.
type release struct {
	Server   string             `json:"server"`
	Address  string             `json:"address,omitempty"`
	Source   string             `json:"source"`
	Released []sources.Released `json:"released"`
	Error    string             `json:"error,omitempty"`
}

// releaseAll asks every address of every server.
func releaseAll(ctx context.Context, clients []*client.Client, source string) []release {
	var all []release
	for _, c := range clients {
		each, err := c.Each(ctx)
		if err != nil {
			all = append(all, release{Server: c.Server(), Source: source, Error: err.Error()})
		}
		for _, one := range each {
			r := release{Server: one.Server(), Address: one.Address(), Source: source}
			var answer api.Release
			if answer, err = one.Release(ctx, source); err != nil {
				r.Error = err.Error()
			}
			one.Close()
			r.Released = answer.Released
			all = append(all, r)
		}
	}
	return all
}

// printReleases prints what the bridges answered; errTrouble if one did not.
func printReleases(t terminal, output string, all []release) error {
	var errs []error
	for _, r := range all {
		if r.Error != "" {
			errs = append(errs, errTrouble)
		}
	}
	if output != "table" {
		text, err := json.MarshalIndent(all, "", "  ")
		if output == "yaml" && err == nil {
			text, err = yaml.JSONToYAML(text)
		}
		if err == nil {
			_, err = fmt.Fprintln(t.out, strings.TrimSpace(string(text)))
		}
		return errors.Join(append(errs, err)...)
	}
	for _, r := range all {
		name := r.Server
		if r.Address != "" {
			name += " (" + r.Address + ")"
		}
		switch {
		case r.Error != "":
			fmt.Fprintf(t.err, "%s: %s\n", name, term.Clean(r.Error))
		case len(r.Released) == 0:
			fmt.Fprintf(t.out, "%s: nothing was held\n", name)
		}
		for _, s := range r.Released {
			scope := ""
			if s.Scope != "" {
				scope = " in scope " + term.Clean(s.Scope)
			}
			fmt.Fprintf(t.out, "%s: released %d instances of %d services%s\n", name, s.Instances, s.Services, scope)
		}
	}
	return errors.Join(errs...)
}
