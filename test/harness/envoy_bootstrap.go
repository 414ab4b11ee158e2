package harness

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"strconv"
	"testing"
)

// Values of EnvoyConfig.Kind.
const (
	Sidecar = "sidecar"
	Gateway = "router"
)

// EnvoyConfig is how an Envoy starts: as the proxy of which workload.
type EnvoyConfig struct {
	Istiod    string // host:port of its plain-text xDS
	Kind      string // Sidecar or Gateway
	IP        string // the workload's own address; the admin interface is on its port 15000
	Pod       string
	Namespace string
	Labels    map[string]string // of the workload, as sourceLabels match them
	Mode      string            // how traffic is taken in: NONE, which is what "" means, or REDIRECT
	Metadata  map[string]any    // further node metadata, as ISTIO_META_ variables give
	Args      []string          // further arguments
}

// EnvoyBootstrap is the configuration that an Envoy starts with. It has what istio-agent's has, less what needs certificates:
// the administration, and incremental xDS of the one istiod.
func EnvoyBootstrap(t testing.TB, config EnvoyConfig) []byte {
	t.Helper()
	host, port, err := net.SplitHostPort(config.Istiod)
	if err != nil {
		t.Fatalf("split the address of istiod: %v", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatalf("read the port of istiod: %v", err)
	}
	discovery := map[string]any{"ads": object{}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
	content, err := json.MarshalIndent(object{
		"node": object{
			"id":       fmt.Sprintf("%s~%s~%s.%s~%[4]s.svc.cluster.local", config.Kind, config.IP, config.Pod, config.Namespace),
			"cluster":  config.Pod + "." + config.Namespace,
			"locality": object{}, "metadata": nodeMetadata(config),
		},
		"layered_runtime": object{"layers": []object{
			{"name": "global config", "static_layer": object{"re2.max_program_size.error_level": "32768"}},
			{"name": "admin", "admin_layer": object{}},
		}},
		"bootstrap_extensions": []object{{"name": "envoy.bootstrap.internal_listener", "typed_config": object{
			"@type":          "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
			"buffer_size_kb": 64,
		}}},
		"admin": object{"address": socketAddress(config.IP, envoyAdminPort)},
		"dynamic_resources": object{
			"lds_config": discovery, "cds_config": discovery,
			"ads_config": object{
				"api_type": "DELTA_GRPC", "set_node_on_first_message_only": true, "transport_api_version": "V3",
				"grpc_services": []object{{"envoy_grpc": object{"cluster_name": "xds-grpc"}}},
			},
		},
		"static_resources": object{"clusters": []object{xdsCluster(host, number)}},
	}, "", " ")
	if err != nil {
		t.Fatalf("write the bootstrap of %s: %v", config.Pod, err)
	}
	return content
}

type object = map[string]any

const envoyAdminPort = 15000

func socketAddress(address string, port int) object {
	return object{"socket_address": object{"address": address, "port_value": port}}
}

// nodeMetadata is what istio-agent tells of a workload.
func nodeMetadata(config EnvoyConfig) object {
	mode := config.Mode
	if mode == "" {
		mode = "NONE"
	}
	metadata := object{
		"NAME": config.Pod, "NAMESPACE": config.Namespace, "INSTANCE_IPS": config.IP, "LABELS": config.Labels, "CLUSTER_ID": "e2e",
		"MESH_ID": "cluster.local", "WORKLOAD_NAME": config.Pod, "SERVICE_ACCOUNT": "default", "ISTIO_VERSION": "1.31.0",
		"INTERCEPTION_MODE": mode,
		"PROXY_CONFIG":      object{"discoveryAddress": config.Istiod, "serviceCluster": "istio-proxy", "concurrency": 1},
	}
	maps.Copy(metadata, config.Metadata)
	return metadata
}

// xdsCluster is the static cluster that leads to istiod. Its name is the one that istiod's own configuration refers to.
func xdsCluster(host string, port int) object {
	return object{
		"name": "xds-grpc", "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": object{"cluster_name": "xds-grpc", "endpoints": []object{{"lb_endpoints": []object{{
			"endpoint": object{"address": socketAddress(host, port)},
		}}}}},
		"typed_extension_protocol_options": object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
			"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"explicit_http_config": object{"http2_protocol_options": object{}},
		}},
	}
}
