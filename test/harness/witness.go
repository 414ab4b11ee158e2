package harness

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routepb "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoverygrpc "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

// Witness is a proxy that outlives istiods: it keeps what it was sent, connects again as an Envoy does, and after each response
// looks whether one of its routes leads to a cluster that it does not have yet, or to one without endpoints. An Envoy would
// answer a request at that moment with 503.
type Witness struct {
	t      testing.TB
	config WitnessConfig
	addr   string

	// Guarded by mu.
	mu       sync.Mutex
	versions map[string]map[string]string // by type: the version of each resource
	asked    map[string]map[string]bool   // by type: the names of EDS and RDS
	eds      map[string]bool              // clusters whose endpoints come by EDS
	has      map[string][]string          // the endpoints of each cluster that has its first
	routes   map[string][]*routepb.VirtualHost
	streams  int
	wrong    map[string]time.Time // what is wrong now, and since when
	faults   []string
	journal  []string // of the present stream
}

// WitnessConfig is how a witness connects, and what it looks at.
type WitnessConfig struct {
	IP    string   // of its workload
	Hosts []string // whose clusters it judges
	// Retry is how long it waits for its next attempt to connect; nil: as an Envoy does, at random up to 500 ms, a second, two,
	// and so on until 30 s.
	Retry func(attempt int) time.Duration
}

// StartWitness connects one to an istiod.
func StartWitness(t testing.TB, istiod *Istiod, config WitnessConfig) *Witness {
	t.Helper()
	if config.Retry == nil {
		config.Retry = envoyRetry
	}
	w := &Witness{
		t: t, config: config, addr: istiod.GRPC, eds: map[string]bool{}, has: map[string][]string{},
		versions: map[string]map[string]string{cds: {}, eds: {}, lds: {}, rds: {}}, asked: map[string]map[string]bool{eds: {}, rds: {}},
		routes: map[string][]*routepb.VirtualHost{}, wrong: map[string]time.Time{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

// envoyRetry is the wait of Envoy's GrpcStream: jittered exponential, from 500 ms to 30 s.
func envoyRetry(attempt int) time.Duration {
	return rand.N(min(500*time.Millisecond<<min(attempt, 10), 30*time.Second))
}

// run connects again and again.
func (w *Witness) run(ctx context.Context) {
	for attempt := 0; ; attempt++ {
		if w.follow(ctx) {
			attempt = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.config.Retry(attempt)):
		}
	}
}

// follow is one stream, and reports whether anything came.
func (w *Witness) follow(ctx context.Context) (came bool) {
	conn, err := grpc.NewClient(w.addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		w.t.Errorf("dial istiod: %v", err)
		return false
	}
	defer conn.Close()
	stream, err := discoverygrpc.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return false
	}
	w.mu.Lock()
	w.journal = nil
	var requests []*discoverygrpc.DeltaDiscoveryRequest
	for _, typeURL := range []string{cds, eds, lds, rds} { // the order in which an Envoy has come to ask
		request := &discoverygrpc.DeltaDiscoveryRequest{
			TypeUrl: typeURL, InitialResourceVersions: maps.Clone(w.versions[typeURL]),
			ResourceNamesSubscribe: slices.Sorted(maps.Keys(w.asked[typeURL])),
		}
		if names, named := w.asked[typeURL]; !named || len(names) > 0 {
			requests = append(requests, request)
		}
	}
	w.mu.Unlock()
	requests[0].Node = node(ProxyConfig{})
	requests[0].Node.Id = strings.Replace(requests[0].Node.Id, "10.9.0.1", w.config.IP, 1)
	requests[0].Node.Metadata.Fields["INSTANCE_IPS"] = structpb.NewStringValue(w.config.IP)
	for _, request := range requests {
		if stream.Send(request) != nil {
			return false
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return came
		}
		w.mu.Lock()
		if !came {
			came = true
			w.streams++
		}
		answers, err := w.takeLocked(response)
		w.mu.Unlock()
		if err != nil {
			w.t.Errorf("witness %s: %v", w.config.IP, err)
			return came
		}
		for _, answer := range answers {
			if stream.Send(answer) != nil {
				return came
			}
		}
	}
}

// takeLocked applies a response and returns what is sent for it: the ACK, then a request for what the response refers to.
func (w *Witness) takeLocked(response *discoverygrpc.DeltaDiscoveryResponse) ([]*discoverygrpc.DeltaDiscoveryRequest, error) {
	typeURL := response.TypeUrl
	follower := follows[typeURL]
	var news, gone []string
	for _, resource := range response.Resources {
		refers, err := w.resourceLocked(resource)
		if err != nil {
			return nil, err
		}
		w.versions[typeURL][resource.Name] = resource.Version
		for _, name := range refers {
			if !w.asked[follower][name] {
				w.asked[follower][name] = true
				news = append(news, name)
			}
		}
	}
	for _, name := range response.RemovedResources {
		delete(w.versions[typeURL], name)
		switch typeURL {
		case cds:
			delete(w.eds, name)
			delete(w.has, name)
			delete(w.versions[eds], name)
			if w.asked[eds][name] {
				delete(w.asked[eds], name)
				gone = append(gone, name)
			}
		case rds:
			delete(w.routes, name)
		}
	}
	w.judgeLocked(response)
	answers := []*discoverygrpc.DeltaDiscoveryRequest{{TypeUrl: typeURL, ResponseNonce: response.Nonce}}
	if len(news)+len(gone) > 0 {
		answers = append(answers, &discoverygrpc.DeltaDiscoveryRequest{TypeUrl: follower, ResourceNamesSubscribe: news, ResourceNamesUnsubscribe: gone})
	}
	return answers, nil
}

// resourceLocked keeps a resource and returns the names of what it refers to.
func (w *Witness) resourceLocked(resource *discoverygrpc.Resource) ([]string, error) {
	message, err := resource.Resource.UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", resource.Name, err)
	}
	switch m := message.(type) {
	case *clusterpb.Cluster:
		if m.GetType() != clusterpb.Cluster_EDS {
			return nil, nil
		}
		w.eds[m.Name] = true
		return []string{m.Name}, nil
	case *endpointpb.ClusterLoadAssignment:
		w.has[m.ClusterName] = addresses(m)
	case *listenerpb.Listener:
		return routesOf(m)
	case *routepb.RouteConfiguration:
		w.routes[m.Name] = m.VirtualHosts
	}
	return nil, nil
}

// judgeLocked notes what has become wrong with a response, and what has ceased to be.
func (w *Witness) judgeLocked(response *discoverygrpc.DeltaDiscoveryResponse) {
	now := time.Now()
	w.journal = append(w.journal, fmt.Sprintf("%s %s of %d, %d removed", now.Format("15:04:05.000"), typeNames[response.TypeUrl], len(response.Resources), len(response.RemovedResources)))
	found := map[string]bool{}
	for config, hosts := range w.routes {
		for _, host := range hosts {
			for _, route := range host.Routes {
				for _, cluster := range clustersOf(route) {
					if !slices.Contains(w.config.Hosts, hostOf(cluster)) {
						continue
					}
					addresses, warm := w.has[cluster]
					switch {
					case strings.Contains(cluster, "||"):
						found[fmt.Sprintf("%s/%s leads to %s, which is no subset", config, host.Name, cluster)] = true
					case !w.eds[cluster]:
						found[fmt.Sprintf("%s/%s leads to %s, which has not come", config, host.Name, cluster)] = true
					case !warm:
						found[fmt.Sprintf("%s/%s leads to %s, whose endpoints have not come", config, host.Name, cluster)] = true
					case len(addresses) == 0:
						found[fmt.Sprintf("%s/%s leads to %s, which has no endpoints", config, host.Name, cluster)] = true
					}
				}
			}
		}
	}
	for what := range found {
		if _, known := w.wrong[what]; !known {
			w.wrong[what] = now
			w.faults = append(w.faults, fmt.Sprintf("witness %s, stream %d: %s, after\n\t%s", w.config.IP, w.streams, what, strings.Join(w.journal, "\n\t")))
		}
	}
	for what, since := range w.wrong {
		if !found[what] {
			w.faults = append(w.faults, fmt.Sprintf("witness %s, stream %d: after %s no longer: %s, after\n\t%s", w.config.IP, w.streams, now.Sub(since), what, strings.Join(w.journal, "\n\t")))
			delete(w.wrong, what)
		}
	}
}

// clustersOf are the clusters to which a route sends requests.
func clustersOf(route *routepb.Route) []string {
	action := route.GetRoute()
	if weighted := action.GetWeightedClusters(); weighted != nil {
		var found []string
		for _, c := range weighted.Clusters {
			if c.GetWeight().GetValue() > 0 {
				found = append(found, c.Name)
			}
		}
		return found
	}
	if cluster := action.GetCluster(); cluster != "" {
		return []string{cluster}
	}
	return nil
}

// Faults are the moments at which an Envoy would have answered with 503.
func (w *Witness) Faults() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.faults)
}

// Routed are the clusters of a host to which its routes lead, sorted.
func (w *Witness) Routed(host string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []string
	for _, hosts := range w.routes {
		for _, v := range hosts {
			for _, route := range v.Routes {
				for _, cluster := range clustersOf(route) {
					if hostOf(cluster) == host {
						found = append(found, cluster)
					}
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
