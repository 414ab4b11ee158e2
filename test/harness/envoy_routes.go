package harness

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Route is a rule of a virtual host as an Envoy has it.
type Route struct {
	Name   string         // that of the VirtualService's rule
	Split  map[string]int // weight by cluster; 100 for a single one
	Status int            // of a direct response; else 0
}

// Routes are the rules of the virtual hosts that have the domain, in order: of a sidecar's listeners for the port, or of all of a
// gateway's with port 0. A virtual host may be at other ports, too: that of a VirtualService always is at 80.
func (e *Envoy) Routes(port int, domain string) ([]Route, error) {
	content, err := e.page("/config_dump?resource=dynamic_route_configs")
	if err != nil {
		return nil, err
	}
	var dump struct {
		Configs []struct {
			RouteConfig struct {
				Name         string        `json:"name"`
				VirtualHosts []virtualHost `json:"virtual_hosts"`
			} `json:"route_config"`
		} `json:"configs"`
	}
	if err := json.Unmarshal(content, &dump); err != nil {
		return nil, fmt.Errorf("read the routes of %s: %w", e.Name, err)
	}
	var routes []Route
	for _, c := range dump.Configs {
		if port != 0 && c.RouteConfig.Name != strconv.Itoa(port) {
			continue
		}
		for _, h := range c.RouteConfig.VirtualHosts {
			if slices.Contains(h.Domains, domain) {
				routes = append(routes, h.routes()...)
			}
		}
	}
	if len(routes) == 0 {
		return nil, fmt.Errorf("%s has no rule for %s", e.Name, domain)
	}
	return routes, nil
}

type virtualHost struct {
	Domains []string `json:"domains"`
	Routes  []struct {
		Name  string `json:"name"`
		Route struct {
			Cluster  string `json:"cluster"`
			Weighted struct {
				Clusters []struct {
					Name   string `json:"name"`
					Weight int    `json:"weight"`
				} `json:"clusters"`
			} `json:"weighted_clusters"`
		} `json:"route"`
		DirectResponse struct {
			Status int `json:"status"`
		} `json:"direct_response"`
	} `json:"routes"`
}

func (h virtualHost) routes() []Route {
	var routes []Route
	for _, r := range h.Routes {
		route := Route{Name: r.Name, Split: map[string]int{}, Status: r.DirectResponse.Status}
		if r.Route.Cluster != "" {
			route.Split[r.Route.Cluster] = 100
		}
		for _, c := range r.Route.Weighted.Clusters {
			route.Split[c.Name] += c.Weight
		}
		routes = append(routes, route)
	}
	return routes
}
