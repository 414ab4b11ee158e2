package watch

import (
	"fmt"
	"strings"
)

// typeURLs lists what a present istiod asks its config sources for, MeshConfig excepted, in its order.
func typeURLs() []string {
	return []string{
		"security.istio.io/v1/AuthorizationPolicy",
		"networking.istio.io/v1/DestinationRule",
		"networking.istio.io/v1alpha3/EnvoyFilter",
		"networking.istio.io/v1/Gateway",
		"security.istio.io/v1/PeerAuthentication",
		"networking.istio.io/v1beta1/ProxyConfig",
		"security.istio.io/v1/RequestAuthentication",
		"networking.istio.io/v1/ServiceEntry",
		"networking.istio.io/v1/Sidecar",
		"telemetry.istio.io/v1/Telemetry",
		"extensions.istio.io/v1alpha1/TrafficExtension",
		"networking.istio.io/v1/VirtualService",
		"extensions.istio.io/v1alpha1/WasmPlugin",
		"networking.istio.io/v1/WorkloadEntry",
		"networking.istio.io/v1/WorkloadGroup",
	}
}

// KindNames lists the kinds that TypeURLs knows by name.
func KindNames() []string {
	var names []string
	for _, url := range typeURLs() {
		names = append(names, kindOf(url))
	}
	return names
}

// TypeURLs turns kinds, as a user names them, into what is asked for. A name with slashes is taken as it is, for servers that
// know only an older version: networking.istio.io/v1alpha3/ServiceEntry. No kinds are all kinds.
func TypeURLs(kinds []string) ([]string, error) {
	if len(kinds) == 0 {
		return typeURLs(), nil
	}
	var urls []string
next:
	for _, kind := range kinds {
		if strings.Count(kind, "/") == 2 {
			urls = append(urls, kind)
			continue
		}
		for _, url := range typeURLs() {
			if strings.EqualFold(kindOf(url), kind) {
				urls = append(urls, url)
				continue next
			}
		}
		return nil, fmt.Errorf("kind %q is neither group/version/Kind nor one of %s", kind, strings.Join(KindNames(), ", "))
	}
	return urls, nil
}

func kindOf(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

func apiVersionOf(url string) string {
	if i := strings.LastIndexByte(url, '/'); i >= 0 {
		return url[:i]
	}
	return url
}
