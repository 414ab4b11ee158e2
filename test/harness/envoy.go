package harness

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Envoy is a running Envoy that follows an istiod. It carries real traffic.
type Envoy struct {
	*Process
	Admin string // http://host:port

	t testing.TB
}

// ForStockEnvoy is the environment of an istiod whose proxies are stock Envoys: they lack Istio's own filters and would refuse
// every listener that names one, while they go on saying that they are ready.
func ForStockEnvoy() []string {
	return []string{"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false"}
}

// EnvoyBinary is the path of stock Envoy.
func EnvoyBinary(t testing.TB) string {
	t.Helper()
	return filepath.Join(toolDir(t, StockEnvoy), "envoy")
}

// StartEnvoy starts an Envoy and returns when it has its first configuration from istiod.
func StartEnvoy(t testing.TB, config EnvoyConfig) *Envoy {
	t.Helper()
	e := &Envoy{
		Process: newProcess(t, "envoy-"+config.Pod, EnvoyBinary(t)),
		Admin:   fmt.Sprintf("http://%s:%d", config.IP, envoyAdminPort), t: t,
	}
	bootstrap := filepath.Join(e.Dir, "envoy.json")
	writeFiles(t, map[string][]byte{bootstrap: EnvoyBootstrap(t, config)})
	e.args = append([]string{
		"--config-path", bootstrap, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--component-log-level", "misc:error", "--file-flush-interval-msec", "200",
		"--drain-time-s", "5",
	}, config.Args...)
	e.show = 20
	e.start()
	e.WaitReady()
	return e
}

// WaitReady waits until the Envoy is initialised: /ready, which says nothing about rejected configuration.
func (e *Envoy) WaitReady() {
	e.t.Helper()
	e.ready(30*time.Second, func() error {
		_, err := e.page("/ready")
		return err
	})
}

// Stats are the counters and gauges whose names contain the text.
func (e *Envoy) Stats(text string) map[string]int64 {
	e.t.Helper()
	stats, err := e.stats(text)
	if err != nil {
		e.t.Fatal(err)
	}
	return stats
}

func (e *Envoy) stats(text string) (map[string]int64, error) {
	content, err := e.page("/stats?filter=" + url.QueryEscape(text))
	if err != nil {
		return nil, err
	}
	stats := map[string]int64{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil { // histograms and texts are left out
			stats[name] = n
		}
	}
	return stats, nil
}

// Rejected is how many updates of any kind the Envoy has refused since its start.
func (e *Envoy) Rejected() int64 {
	e.t.Helper()
	var sum int64
	for _, n := range e.Stats("update_rejected") {
		sum += n
	}
	return sum
}

// ConfigDump is all the configuration that the Envoy has, with endpoints, as JSON.
func (e *Envoy) ConfigDump() []byte {
	e.t.Helper()
	content, err := e.page("/config_dump?include_eds")
	if err != nil {
		e.t.Fatal(err)
	}
	return content
}

// Endpoints are the addresses of each cluster by its name, healthy or not.
func (e *Envoy) Endpoints() (map[string][]string, error) {
	content, err := e.page("/clusters?format=json")
	if err != nil {
		return nil, err
	}
	var page struct {
		Clusters []struct {
			Name  string `json:"name"`
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    int    `json:"port_value"`
					} `json:"socket_address"`
				} `json:"address"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.Unmarshal(content, &page); err != nil {
		return nil, fmt.Errorf("read the clusters of %s: %w", e.Name, err)
	}
	endpoints := map[string][]string{}
	for _, c := range page.Clusters {
		endpoints[c.Name] = []string{}
		for _, h := range c.Hosts {
			endpoints[c.Name] = append(endpoints[c.Name], fmt.Sprintf("%s:%d", h.Address.Socket.Address, h.Address.Socket.Port))
		}
	}
	return endpoints, nil
}

// WaitCluster waits until the Envoy has the cluster, as in "outbound|80|v2|echo.mesh", with n endpoints.
func (e *Envoy) WaitCluster(name string, n int) {
	e.t.Helper()
	Eventually(e.t, 30*time.Second, fmt.Sprintf("%s has %s", e.Name, name), func() error {
		endpoints, err := e.Endpoints()
		if err != nil {
			return err
		}
		if found, ok := endpoints[name]; !ok || len(found) != n {
			return fmt.Errorf("it has %d endpoints (the cluster is known: %t), want %d", len(found), ok, n)
		}
		return nil
	})
}

func (e *Envoy) page(path string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, e.Admin+path, nil)
	if err != nil {
		return nil, err
	}
	return answer(http.DefaultClient, request)
}
