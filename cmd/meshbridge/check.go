package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"meshbridge/cmd/internal/check"
	"meshbridge/cmd/internal/kube"
)

func newCheck(t terminal) *cobra.Command {
	var f serverFlags
	var k kubeFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find what is wrong with a running bridge, and say what to do",
		Long: `Ask a running bridge for its state and judge it: whether it answers and its gate is open, its sources,
what was left out, the canary documents (which are not served as their files say, and why; services that
nobody knows; subsets without instances or with shared ones; how far a rollout is; where TLS with another
server name is cut), which gateways do not see their routes, what objects of other people do to those
of the bridge, how many hosts every proxy must know, the istiods that are connected, what they refused,
and whether their shards hold every host once. Several servers are taken for replicas, which should
serve the same: their sources, hosts and the versions of their resources are compared, and each difference comes with its likely
reason (a loss that one holds back, a registry that one cannot read, something retained, a poll).

With --kube-api the DestinationRules, VirtualServices, ServiceEntries and Services of the cluster are
listed, and compared with those of the bridge as Istio compares them: which of two for a host holds, for
the clients of which namespaces, and what of the other does not.
kubectl proxy makes the API reachable with whatever credentials kubectl has; in a pod it is
https://kubernetes.default.svc, with the token and the CA of the service account, which needs to list
destinationrules, virtualservices and serviceentries of networking.istio.io, and services.

Lines that begin with x are trouble, those with - are worth knowing. A document that is lastGood, held or
superseded is trouble always, and so is a service of a document that nobody knows, mistyped or vanished. Exit status: 0 no trouble, 1
trouble found, 2 wrong use.`,
		Example: `  meshbridge check
  meshbridge check --server http://bridge-0:16011,http://bridge-1:16011 --token-file token
  kubectl proxy & meshbridge check --kube-api http://127.0.0.1:8001`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			clients, err := f.clients(t)
			if err != nil {
				return err
			}
			defer closeAll(clients)
			cluster, err := k.read(cmd.Context())
			if err != nil {
				return err
			}
			var bridges []check.Bridge
			for _, c := range clients {
				bridges = append(bridges, check.Ask(cmd.Context(), c, len(clients) > 1, cluster != nil))
			}
			trouble, err := check.Print(t.out, check.Judge(bridges, cluster, time.Now()))
			if err == nil && trouble {
				err = errTrouble
			}
			return err
		},
	}
	f.add(cmd, t)
	fs := cmd.Flags()
	fs.StringVar(&k.api, "kube-api", "", "address of the Kubernetes API, such as that of kubectl proxy (default: conflicts are not looked for)")
	fs.StringVar(&k.tokenFile, "kube-token-file", "", "file with a token for the Kubernetes API")
	fs.StringVar(&k.caFile, "kube-ca-file", "", "PEM file of CAs to trust for the Kubernetes API (default: the system's)")
	return cmd
}

// kubeFlags say where the cluster of the istiods is.
type kubeFlags struct {
	api, tokenFile, caFile string
}

// read lists what others have written into the cluster; nil without a cluster.
func (k *kubeFlags) read(ctx context.Context) (*check.Kubernetes, error) {
	if k.api == "" {
		if k.tokenFile != "" || k.caFile != "" {
			return nil, usagef("--kube-token-file and --kube-ca-file mean nothing without --kube-api")
		}
		return nil, nil
	}
	token, err := readToken("--kube-token-file", k.tokenFile)
	if err != nil {
		return nil, err
	}
	roots, err := readRoots("--kube-ca-file", k.caFile)
	if err != nil {
		return nil, err
	}
	objects, err := kube.Read(ctx, kube.Options{Server: k.api, Token: token, Roots: roots})
	return &check.Kubernetes{Objects: objects, Err: err}, nil
}
