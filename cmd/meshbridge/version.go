package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/build"
)

func newVersion(t terminal) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which build this is",
		Example: `  meshbridge version
  meshbridge version -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch info := build.Read(); output {
			case "":
				_, err := fmt.Fprintln(t.out, info)
				return err
			case "json":
				e := json.NewEncoder(t.out)
				e.SetIndent("", "  ")
				return e.Encode(info)
			default:
				return usagef("-o %s: want json or nothing", output)
			}
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json, or nothing for one line")
	completeFrom(cmd, "output", "json")
	return cmd
}
