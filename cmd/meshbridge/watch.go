package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"meshbridge/cmd/internal/watch"
)

// watchFlags are the flags of watch.
type watchFlags struct {
	kinds    []string
	output   string
	tls      bool
	tlsCA    string
	insecure bool
	timeout  time.Duration
	opts     watch.Options
}

func newWatch(t terminal) *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch ADDRESS",
		Short: "Print what any MCP-over-xDS server serves, as it changes",
		Long: `Connect to an MCP-over-xDS server (a meshbridge, an istiod, or another) as istiod would, acknowledge
what it sends, and print one line for each resource added, changed or removed. A lost connection is
made again, and only what differs since is printed.

ADDRESS is host:port, or xds://host:port as in istiod's configSources. Kinds are asked for at their
newest version; an istiod before 1.24 knows only older ones, to be named in full.`,
		Example: `  # what the bridge on this machine serves, and then each change
  meshbridge watch 127.0.0.1:16010

  # what an istiod of revision canary gets of shard 3 of 16, once, as JSON
  meshbridge watch 127.0.0.1:16010 --authority mesh-3-of-16.local:16010 --revision canary --once -o json

  # ServiceEntries only, by the incremental protocol
  meshbridge watch 127.0.0.1:16010 --kind ServiceEntry --delta

  # an older istiod
  meshbridge watch istiod.istio-system:15010 --kind networking.istio.io/v1alpha3/VirtualService`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := f.complete(t, args[0])
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if f.opts.Once {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, f.timeout, errTrouble)
				defer cancel()
			}
			if err := watch.Run(ctx, f.opts, out); err != nil {
				return err
			}
			if errors.Is(context.Cause(ctx), errTrouble) {
				out.Note("gave up after " + f.timeout.String() + " (--timeout)")
				return errTrouble
			}
			return nil
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.opts.Authority, "authority", "", "name to ask for instead of ADDRESS; its first label picks a shard (mesh-3-of-16.local) or a view")
	fs.StringVar(&f.opts.Revision, "revision", "", "Istio revision to speak for; without it a meshbridge sends only what is bound to no revision")
	fs.BoolVar(&f.opts.Delta, "delta", false, "speak the incremental protocol instead of state of the world")
	fs.StringSliceVar(&f.kinds, "kind", nil, "kind to ask for, such as ServiceEntry or group/version/Kind; may be repeated (default all that istiod asks for)")
	fs.BoolVar(&f.opts.Once, "once", false, "print the state and exit")
	fs.DurationVar(&f.timeout, "timeout", time.Minute, "with --once: how long to wait for it")
	fs.StringVarP(&f.output, "output", "o", "", "json for one object per line, or nothing for lines")
	fs.BoolVar(&f.tls, "tls", false, "connect with TLS and verify the server by the system's CAs")
	fs.StringVar(&f.tlsCA, "tls-ca", "", "connect with TLS and verify the server by the CAs in this PEM file")
	fs.BoolVar(&f.insecure, "insecure-skip-verify", false, "connect with TLS and do not verify the server")
	completeFrom(cmd, "output", "json")
	completeFrom(cmd, "kind", watch.KindNames()...)
	return cmd
}

// complete checks the flags, fills in the options and picks the output.
func (f *watchFlags) complete(t terminal, address string) (watch.Output, error) {
	address = strings.TrimPrefix(address, "xds://")
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, usagef("%q is not host:port, such as 127.0.0.1:16010", address)
	}
	f.opts.Address = address
	var err error
	if f.opts.TypeURLs, err = watch.TypeURLs(f.kinds); err != nil {
		return nil, usageError{err}
	}
	if f.opts.Credentials, err = f.credentials(); err != nil {
		return nil, err
	}
	now := time.Now
	if f.opts.Once {
		now = nil
	}
	switch f.output {
	case "":
		return watch.Lines{Out: t.out, Err: t.err, Now: now}, nil
	case "json":
		return watch.JSON{Out: t.out, Err: t.err, Now: now}, nil
	}
	return nil, usagef("-o %s: want json or nothing", f.output)
}

func (f *watchFlags) credentials() (credentials.TransportCredentials, error) {
	if !f.tls && f.tlsCA == "" && !f.insecure {
		return insecure.NewCredentials(), nil
	}
	cfg := &tls.Config{InsecureSkipVerify: f.insecure, MinVersion: tls.VersionTLS12}
	if f.tlsCA != "" {
		pem, err := os.ReadFile(f.tlsCA)
		if err != nil {
			return nil, usageError{err}
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usagef("%s holds no PEM certificate", f.tlsCA)
		}
	}
	return credentials.NewTLS(cfg), nil
}
