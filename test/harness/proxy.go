package harness

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routepb "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httppb "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoverygrpc "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// The types that a sidecar follows.
const (
	cds = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	eds = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	lds = "type.googleapis.com/envoy.config.listener.v3.Listener"
	rds = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
)

var typeNames = map[string]string{cds: "CDS", eds: "EDS", lds: "LDS", rds: "RDS"}

// ProxyConfig is how a proxy connects.
type ProxyConfig struct {
	Delta     bool   // incremental xDS, as istio-agent speaks; else state of the world
	Gateway   bool   // a gateway; else a sidecar
	Namespace string // of the workload; default: default
}

// Proxy speaks xDS to an istiod as a sidecar does and remembers every push. It carries no traffic.
type Proxy struct {
	t    testing.TB
	node *corepb.Node

	// Guarded by mu.
	mu        sync.Mutex
	pushes    []Push
	last      time.Time           // when the newest push came
	endpoints map[string][]string // by cluster, sorted ip:port
	hosts     map[string]bool     // service hosts of which there are clusters
	fewest    map[string]int      // of watched hosts: the fewest addresses that any cluster had since
	err       error               // why the stream ended
}

// Push is one response of istiod.
type Push struct {
	Type    string   // CDS, EDS, LDS or RDS
	Names   []string // of the resources in it, sorted
	Removed []string // with delta only
}

// StartProxy connects a proxy and waits until it has its first configuration and istiod is quiet.
func StartProxy(t testing.TB, istiod *Istiod, config ProxyConfig) *Proxy {
	t.Helper()
	conn, err := grpc.NewClient(istiod.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		t.Fatalf("dial istiod: %v", err)
	}
	p := &Proxy{t: t, node: node(config), endpoints: map[string][]string{}, hosts: map[string]bool{}, fewest: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	client := discoverygrpc.NewAggregatedDiscoveryServiceClient(conn)
	go func() {
		defer close(done)
		var err error
		if config.Delta {
			err = p.delta(ctx, client)
		} else {
			err = p.sotw(ctx, client)
		}
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
	}()
	t.Cleanup(func() {
		cancel()
		conn.Close()
		<-done
	})
	p.Settle(time.Second)
	return p
}

// node describes the sidecar of a workload that no registry knows, or a gateway.
func node(config ProxyConfig) *corepb.Node {
	kind, namespace := "sidecar", cmp.Or(config.Namespace, "default")
	if config.Gateway {
		kind = "router"
	}
	metadata, err := structpb.NewStruct(map[string]any{
		"NAME": "probe", "NAMESPACE": namespace, "CLUSTER_ID": "e2e", "MESH_ID": "cluster.local", "INSTANCE_IPS": "10.9.0.1",
		"LABELS": map[string]any{"app": "probe"}, "ISTIO_VERSION": "1.24.0", "INTERCEPTION_MODE": "REDIRECT",
	})
	if err != nil {
		panic(fmt.Sprintf("node metadata: %v", err)) // a constant
	}
	return &corepb.Node{Id: fmt.Sprintf("%s~10.9.0.1~probe.%s~%[2]s.svc.cluster.local", kind, namespace), Cluster: "probe." + namespace, Metadata: metadata}
}

// sotw follows the state of the world until ctx ends.
func (p *Proxy) sotw(ctx context.Context, client discoverygrpc.AggregatedDiscoveryServiceClient) error {
	stream, err := client.StreamAggregatedResources(ctx)
	if err != nil {
		return err
	}
	type state struct {
		nonce, version string
		names          []string
	}
	states := map[string]*state{cds: {}, eds: {}, lds: {}, rds: {}}
	ask := func(typeURL string) error {
		s := states[typeURL]
		return stream.Send(&discoverygrpc.DiscoveryRequest{
			Node: p.node, TypeUrl: typeURL, ResourceNames: s.names, ResponseNonce: s.nonce, VersionInfo: s.version,
		})
	}
	for _, typeURL := range []string{cds, lds} {
		if err := ask(typeURL); err != nil {
			return err
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		var names, refers []string
		for _, resource := range response.Resources {
			name, refer, err := p.take(resource)
			if err != nil {
				return err
			}
			names, refers = append(names, name), append(refers, refer...)
		}
		if response.TypeUrl == cds {
			p.keepHosts(names)
		}
		p.pushed(Push{Type: typeNames[response.TypeUrl], Names: names})
		s := states[response.TypeUrl]
		s.nonce, s.version = response.Nonce, response.VersionInfo
		if err := ask(response.TypeUrl); err != nil {
			return err
		}
		if follower := follows[response.TypeUrl]; follower != "" {
			slices.Sort(refers)
			refers = slices.Compact(refers)
			if !slices.Equal(refers, states[follower].names) {
				states[follower].names = refers
				if err := ask(follower); err != nil {
					return err
				}
			}
		}
	}
}

// follows says which type is asked for by the names found in which.
var follows = map[string]string{cds: eds, lds: rds}

// delta follows changes until ctx ends.
func (p *Proxy) delta(ctx context.Context, client discoverygrpc.AggregatedDiscoveryServiceClient) error {
	stream, err := client.DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	asked := map[string]map[string]bool{eds: {}, rds: {}}
	for _, typeURL := range []string{cds, lds} {
		if err := stream.Send(&discoverygrpc.DeltaDiscoveryRequest{Node: p.node, TypeUrl: typeURL}); err != nil {
			return err
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		var names, news []string
		follower := follows[response.TypeUrl]
		for _, resource := range response.Resources {
			name, refers, err := p.take(resource.Resource)
			if err != nil {
				return err
			}
			names = append(names, name)
			for _, refer := range refers {
				if !asked[follower][refer] {
					asked[follower][refer] = true
					news = append(news, refer)
				}
			}
		}
		p.forget(response.TypeUrl, response.RemovedResources)
		var gone []string
		for _, name := range response.RemovedResources {
			if asked[follower][name] { // an EDS cluster's load assignment has its name
				delete(asked[follower], name)
				gone = append(gone, name)
			}
		}
		p.pushed(Push{Type: typeNames[response.TypeUrl], Names: names, Removed: response.RemovedResources})
		if err := stream.Send(&discoverygrpc.DeltaDiscoveryRequest{TypeUrl: response.TypeUrl, ResponseNonce: response.Nonce}); err != nil {
			return err
		}
		if len(news)+len(gone) > 0 {
			request := &discoverygrpc.DeltaDiscoveryRequest{TypeUrl: follower, ResourceNamesSubscribe: news, ResourceNamesUnsubscribe: gone}
			if err := stream.Send(request); err != nil {
				return err
			}
		}
	}
}

// take keeps a resource, and returns its name and the names of other resources that it refers to.
func (p *Proxy) take(resource *anypb.Any) (name string, refers []string, err error) {
	message, err := resource.UnmarshalNew()
	if err != nil {
		return "", nil, fmt.Errorf("decode a %s: %w", resource.TypeUrl, err)
	}
	switch m := message.(type) {
	case *clusterpb.Cluster:
		p.mu.Lock()
		p.hosts[hostOf(m.Name)] = true
		p.mu.Unlock()
		if m.GetType() == clusterpb.Cluster_EDS {
			refers = []string{m.Name}
		}
		return m.Name, refers, nil
	case *endpointpb.ClusterLoadAssignment:
		p.mu.Lock()
		p.endpoints[m.ClusterName] = addresses(m)
		p.countLocked(m.ClusterName)
		p.mu.Unlock()
		return m.ClusterName, nil, nil
	case *listenerpb.Listener:
		refers, err := routesOf(m)
		return m.Name, refers, err
	case *routepb.RouteConfiguration:
		return m.Name, nil, nil
	default:
		return "", nil, fmt.Errorf("a resource of the unexpected type %s", resource.TypeUrl)
	}
}

func addresses(assignment *endpointpb.ClusterLoadAssignment) []string {
	found := []string{}
	for _, locality := range assignment.Endpoints {
		for _, e := range locality.LbEndpoints {
			socket := e.GetEndpoint().GetAddress().GetSocketAddress()
			found = append(found, fmt.Sprintf("%s:%d", socket.GetAddress(), socket.GetPortValue()))
		}
	}
	slices.Sort(found)
	return found
}

// routesOf lists the route configurations that a listener asks for.
func routesOf(listener *listenerpb.Listener) ([]string, error) {
	var found []string
	for _, chain := range append(listener.FilterChains, listener.DefaultFilterChain) {
		for _, filter := range chain.GetFilters() {
			config := filter.GetTypedConfig()
			if !config.MessageIs(&httppb.HttpConnectionManager{}) {
				continue
			}
			var manager httppb.HttpConnectionManager
			if err := config.UnmarshalTo(&manager); err != nil {
				return nil, fmt.Errorf("decode a filter of listener %s: %w", listener.Name, err)
			}
			if name := manager.GetRds().GetRouteConfigName(); name != "" {
				found = append(found, name)
			}
		}
	}
	return found, nil
}

// hostOf is the service's host in a cluster name as istiod writes them: outbound|80|subset|host.
func hostOf(cluster string) string { return cluster[strings.LastIndex(cluster, "|")+1:] }

func (p *Proxy) forget(typeURL string, names []string) {
	if typeURL != cds {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		delete(p.hosts, hostOf(name))
		delete(p.endpoints, name)
		p.countLocked(name)
	}
}

// keepHosts forgets the hosts of clusters that are not among the names.
func (p *Proxy) keepHosts(clusters []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.hosts)
	for _, name := range clusters {
		p.hosts[hostOf(name)] = true
	}
	for name := range p.endpoints {
		if !slices.Contains(clusters, name) {
			delete(p.endpoints, name)
			p.countLocked(name)
		}
	}
}

// countLocked notes how many addresses a cluster has, if its host is watched.
func (p *Proxy) countLocked(cluster string) {
	if fewest, watched := p.fewest[hostOf(cluster)]; watched {
		p.fewest[hostOf(cluster)] = min(fewest, len(p.endpoints[cluster]))
	}
}

func (p *Proxy) pushed(push Push) {
	slices.Sort(push.Names)
	slices.Sort(push.Removed)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pushes = append(p.pushes, push)
	p.last = time.Now()
}
