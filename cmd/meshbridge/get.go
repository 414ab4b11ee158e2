package main

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/api"
	"meshbridge/cmd/internal/client"
	"meshbridge/cmd/internal/get"
	"meshbridge/mcpserver/store"
)

// pollInterval is how often `get -w` looks at what a bridge sends no events of.
const pollInterval = 2 * time.Second

// getFlags are the flags of get.
type getFlags struct {
	serverFlags
	output                  string
	watch                   bool
	kind, namespace, source string
	state, team             string
}

func newGet(t terminal) *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:   "get (sources|services|resources|clients|rejected|canaries) [NAME]",
		Short: "List what a running bridge sees, serves and leaves out",
		Long: `List what a running bridge knows:

  sources    the configured sources, a row for each scope, its state and last report
  services   the hosts of the mesh, their endpoints and where they come from
  resources  the Istio objects that are served
  clients    the istiods that are connected, and what they hold
  rejected   what was left out, and why
  canaries   the canary documents, whether they are served, and what their canaries get

With NAME only the item of that name: a source, a host, an object (namespace/name), a client
(pod.namespace or authority), a service in its registry's words, or a canary document.

A canary document is in one of these states:

  serving     what the file says is served
  waiting     so it is, but an istiod does not have all of it yet: it has just come (new istiod), has
              still to acknowledge the subsets (ACK), or to tell its proxies of them (settle)
  pending     no host of its services is known
  held        what the file says is not served, and nothing is in its place
  lastGood    the file has a fault; its last good content is served
  responding  the file has a fault; its rules at fault answer the requests
  superseded  it was active, and another document is now active in its place

A service that it names and nobody knows, mistyped or vanished, stands behind the state.`,
		Example: `  meshbridge get sources
  meshbridge get services --source orders -o wide
  meshbridge get services -w
  meshbridge get resources --kind ServiceEntry -o yaml
  meshbridge get rejected --server http://bridge-0:16011,http://bridge-1:16011
  meshbridge get canaries --state lastGood -o wide
  meshbridge get canaries checkout -w`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("what to get? One of %s", strings.Join(get.Things(), ", "))
			case !slices.Contains(get.Things(), args[0]):
				return usagef("%q is none of %s", args[0], strings.Join(get.Things(), ", "))
			case len(args) > 2:
				return usagef("%d names given; one at most", len(args)-1)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.options(t, args)
			if err != nil {
				return err
			}
			defer closeAll(o.Clients)
			return get.Run(cmd.Context(), o)
		},
	}
	f.serverFlags.add(cmd, t)
	fs := cmd.Flags()
	fs.StringVarP(&f.output, "output", "o", "table", "form of output: "+strings.Join(get.Formats(), ", "))
	fs.BoolVarP(&f.watch, "watch", "w", false, "go on with what changes")
	fs.StringVar(&f.kind, "kind", "", "of resources, only this kind; of sources, only this kind of registry")
	fs.StringVarP(&f.namespace, "namespace", "n", "", "of services and resources, only this namespace")
	fs.StringVar(&f.source, "source", "", "only what comes from this source")
	fs.StringVar(&f.state, "state", "", "of canaries, only documents in this state")
	fs.StringVar(&f.team, "team", "", "of canaries, only documents of this team")
	completeFrom(cmd, "output", get.Formats()...)
	completeFrom(cmd, "state", api.CanaryStates()...)
	completeFrom(cmd, "kind", kindNames()...)
	completeBy(cmd, "source", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return f.ask(cmd, t, sourceNames)
	})
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return get.Things(), cobra.ShellCompDirectiveNoFileComp
		case len(args) == 1 && args[0] == "sources":
			return f.ask(cmd, t, sourceNames)
		case len(args) == 1 && args[0] == "services":
			return f.ask(cmd, t, hostNames)
		case len(args) == 1 && args[0] == "resources":
			return f.ask(cmd, t, f.resourceNames)
		case len(args) == 1 && args[0] == "canaries":
			return f.ask(cmd, t, canaryNames)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// filters lists, for each thing, the flags that mean something there.
func filters(thing string) []string {
	return map[string][]string{
		"sources":   {"kind", "source"},
		"services":  {"namespace", "source"},
		"resources": {"kind", "namespace", "source"},
		"rejected":  {"source"},
		"canaries":  {"state", "team"},
	}[thing]
}

// options checks the flags.
func (f *getFlags) options(t terminal, args []string) (get.Options, error) {
	o := get.Options{
		Thing: args[0], Query: url.Values{}, Format: f.output, Watch: f.watch,
		Out: t.out, Err: t.err, Now: time.Now, Interval: pollInterval,
	}
	if len(args) > 1 {
		o.Name = args[1]
	}
	if !slices.Contains(get.Formats(), f.output) {
		return o, usagef("-o %s: want one of %s", f.output, strings.Join(get.Formats(), ", "))
	}
	for _, filter := range []struct{ name, value string }{{"kind", f.kind}, {"namespace", f.namespace}, {"source", f.source}, {"state", f.state}, {"team", f.team}} {
		switch {
		case filter.value == "":
		case !slices.Contains(filters(o.Thing), filter.name):
			return o, usagef("--%s means nothing for %s", filter.name, o.Thing)
		default:
			o.Query.Set(filter.name, filter.value)
		}
	}
	var err error
	if o.Clients, err = f.clients(t); err != nil {
		return o, err
	}
	if o.Watch && len(o.Clients) > 1 {
		return o, usagef("-w watches one server, and --server names %d", len(o.Clients))
	}
	return o, nil
}

func kindNames() []string {
	var names []string
	for _, k := range store.Kinds() {
		names = append(names, k.Kind)
	}
	return names
}

func sourceNames(ctx context.Context, c *client.Client) ([]string, error) {
	list, err := c.Sources(ctx, nil)
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names, err
}

func hostNames(ctx context.Context, c *client.Client) ([]string, error) {
	list, err := c.Services(ctx, nil)
	var names []string
	for _, s := range list {
		names = append(names, s.Host)
	}
	return names, err
}

func canaryNames(ctx context.Context, c *client.Client) ([]string, error) {
	list, err := c.Canaries(ctx, nil)
	var names []string
	for _, doc := range list {
		if doc.Name != "" {
			names = append(names, doc.Name)
		}
	}
	return names, err
}

func (f *getFlags) resourceNames(ctx context.Context, c *client.Client) ([]string, error) {
	q := url.Values{}
	if f.kind != "" {
		q.Set("kind", f.kind)
	}
	list, err := c.Resources(ctx, q)
	var names []string
	for _, r := range list {
		names = append(names, r.Namespace+"/"+r.Name)
	}
	return names, err
}
