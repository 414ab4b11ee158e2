package main

import (
	"fmt"
	"net"

	"meshbridge/test/harness"
)

// mesh is a real istiod, the newest, with its own Kubernetes API server.
type mesh struct {
	b    *bench
	kube *harness.KubeServer
}

func (b *bench) mesh() *mesh {
	b.progress("starting a Kubernetes API server")
	return &mesh{b: b, kube: harness.StartKube(stand{b: b})}
}

// istiod starts one that follows a bridge in so many shards, and returns it with its process ID. env is further environment.
func (m *mesh) istiod(bridge string, shards int, env ...string) (*harness.Istiod, int, error) {
	_, port, err := net.SplitHostPort(bridge)
	if err != nil {
		return nil, 0, err
	}
	hosts := map[string]string{}
	var list []harness.ConfigSource
	for i := range shards {
		host := "bridge.bench"
		if shards > 1 {
			host = fmt.Sprintf("bridge-%d-of-%d.bench", i, shards)
		}
		hosts[host] = "127.0.0.1"
		list = append(list, harness.ConfigSource{Address: "xds://" + net.JoinHostPort(host, port)})
	}
	s := stand{b: m.b}
	harness.SetHosts(s, hosts)
	m.b.progress("starting an istiod with %s", parts(shards))
	istiod := harness.StartIstiod(s, harness.IstiodConfig{Tool: harness.IstiodNewest, Kube: m.kube, Sources: list, Env: env})
	pid, err := processWith(istiod.GRPC)
	return istiod, pid, err
}

// plainText is an object without which a listener of an Envoy would wait for a certificate.
const plainText = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: DISABLE}}
`

// istiodNode is what the node ID of a started istiod contains.
const istiodNode = "istiod-e2e"
