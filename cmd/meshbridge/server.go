package main

import (
	"context"
	"crypto/x509"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/client"
	"meshbridge/sources"
)

// serverFlags say which running bridges to ask.
type serverFlags struct {
	servers   []string
	tokenFile string
	caFile    string
}

// add adds the flags; the server that is asked when none is named is the terminal's.
func (f *serverFlags) add(cmd *cobra.Command, t terminal) {
	fs := cmd.Flags()
	fs.StringSliceVar(&f.servers, "server", []string{t.server}, "admin address of the bridge; several, separated by commas, for replicas")
	fs.StringVar(&f.tokenFile, "token-file", "", "file with the token of admin.token (default: the token in MESHBRIDGE_TOKEN, if any)")
	fs.StringVar(&f.caFile, "ca-file", "", "PEM file of CAs to trust for https (default: the system's)")
}

// clients makes a client of each bridge.
func (f *serverFlags) clients(t terminal) ([]*client.Client, error) {
	token := sources.Secret(t.env("MESHBRIDGE_TOKEN"))
	if f.tokenFile != "" {
		var err error
		if token, err = readToken("--token-file", f.tokenFile); err != nil {
			return nil, err
		}
	}
	roots, err := readRoots("--ca-file", f.caFile)
	if err != nil {
		return nil, err
	}
	var list []*client.Client
	for _, server := range f.servers {
		c, err := client.New(server, token, roots)
		if err != nil {
			return nil, usageError{err}
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, usagef("--server names no server")
	}
	return list, nil
}

// closeAll drops the connections of clients that are asked no more.
func closeAll(clients []*client.Client) {
	for _, c := range clients {
		c.Close()
	}
}

// readToken reads the file of a flag that holds a token; "" where there is no file.
func readToken(flag, path string) (sources.Secret, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", usagef("%s: %w", flag, err)
	}
	return sources.Secret(strings.TrimSpace(string(b))), nil
}

// readRoots reads the file of a flag that holds CAs to trust; nil, the system's, where there is no file.
func readRoots(flag, path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, usagef("%s: %s holds no PEM certificate", flag, path)
	}
	return roots, nil
}

// completionTime bounds what a press of the tab key may take.
const completionTime = time.Second

// ask lists words of the first bridge for the shell to complete; whatever goes wrong gives no words.
func (f *serverFlags) ask(cmd *cobra.Command, t terminal, list func(context.Context, *client.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	clients, err := f.clients(t)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer closeAll(clients)
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	words, err := list(ctx, clients[0])
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeFrom completes a flag from fixed words.
func completeFrom(cmd *cobra.Command, flag string, words ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is not defined: a mistake in this package
	}
}

// completeBy completes a flag by a function.
func completeBy(cmd *cobra.Command, flag string, words cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, words); err != nil {
		panic(err) // the flag is not defined: a mistake in this package
	}
}
