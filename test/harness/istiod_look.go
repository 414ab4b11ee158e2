package harness

import (
	"fmt"
	"maps"
	"slices"
)

// Objects is istiod's /debug/configz by "kind namespace/name".
func (i *Istiod) Objects() (map[string]Object, error) {
	var list []Object
	if err := i.debug("configz", &list); err != nil {
		return nil, err
	}
	objects := make(map[string]Object, len(list))
	for _, o := range list {
		objects[o.Kind+" "+o.Metadata.Namespace+"/"+o.Metadata.Name] = o
	}
	return objects, nil
}

// Versions is the resource version of every object, by "kind namespace/name".
func (i *Istiod) Versions() (map[string]string, error) {
	objects, err := i.Objects()
	if err != nil {
		return nil, err
	}
	versions := make(map[string]string, len(objects))
	for name, o := range objects {
		versions[name] = o.Metadata.ResourceVersion
	}
	return versions, nil
}

// Services are the host names in istiod's /debug/registryz, sorted, less those of Kubernetes.
func (i *Istiod) Services() ([]string, error) {
	var list []struct {
		Hostname   string `json:"hostname"`
		Attributes struct{ ServiceRegistry string }
	}
	if err := i.debug("registryz", &list); err != nil {
		return nil, err
	}
	hosts := map[string]bool{}
	for _, s := range list {
		if s.Attributes.ServiceRegistry != "Kubernetes" {
			hosts[s.Hostname] = true
		}
	}
	return slices.Sorted(maps.Keys(hosts)), nil
}

// Endpoints is istiod's /debug/endpointShardz: by host the sorted ip:port of every endpoint, each once.
func (i *Istiod) Endpoints() (map[string][]string, error) {
	type endpoint struct {
		Addresses    []string // since 1.25
		Address      string   // before
		EndpointPort uint32
	}
	var shards map[string]map[string]struct{ Shards map[string][]endpoint }
	if err := i.debug("endpointShardz", &shards); err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for host, namespaces := range shards {
		for _, namespace := range namespaces {
			for _, endpoints := range namespace.Shards {
				for _, e := range endpoints {
					for _, address := range append(e.Addresses, e.Address) {
						if address != "" {
							found[host] = append(found[host], fmt.Sprintf("%s:%d", address, e.EndpointPort))
						}
					}
				}
			}
		}
		slices.Sort(found[host])
		found[host] = slices.Compact(found[host])
	}
	return found, nil
}

// Synced is nil when n proxies are connected, each has acknowledged all that was sent to it, and none has refused anything:
// istiod's /debug/syncz.
func (i *Istiod) Synced(n int) error {
	var proxies []struct {
		Proxy     string `json:"proxy"`
		Resources map[string]struct {
			Sent      string `json:"sent"`
			Acked     string `json:"acked"`
			LastError string `json:"lastError"`
		} `json:"resources"`
	}
	if err := i.debug("syncz", &proxies); err != nil {
		return err
	}
	if len(proxies) != n {
		return fmt.Errorf("%d proxies are connected, want %d", len(proxies), n)
	}
	for _, p := range proxies {
		for kind, r := range p.Resources {
			if r.LastError != "" {
				return fmt.Errorf("%s refused %s: %s", p.Proxy, kind, r.LastError)
			}
			if r.Sent != r.Acked {
				return fmt.Errorf("%s was sent %s %q and acknowledged %q", p.Proxy, kind, r.Sent, r.Acked)
			}
		}
	}
	return nil
}
