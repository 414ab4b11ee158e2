package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// PilotAgent is Istio's pilot-agent, of the same commit as [IstiodNewest], with the template of Envoy's bootstrap. It has a module
// of its own, since it needs others than istiod.
var PilotAgent = Tool{Name: "pilot-agent", Version: "20260827", Source: "tools/pilot-agent", Cold: 20 * time.Second, build: pilotAgent}

// bootstrap is the name of that template in the module of Istio and in the cache.
const bootstrap = "envoy_bootstrap.json"

func pilotAgent(ctx context.Context, source, dir string, log io.Writer) error {
	var module strings.Builder
	if err := run(ctx, &module, source, []string{"GOWORK=off"}, "go", "list", "-m", "-f", "{{.Dir}}", "istio.io/istio"); err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(strings.TrimSpace(module.String()), "tools", "packaging", "common", bootstrap))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, bootstrap), content, 0o644); err != nil {
		return err
	}
	return goBuild(ctx, log, source, filepath.Join(dir, "pilot-agent"), "-tags", "vtprotobuf,disable_pgv", "-ldflags", "-s -w",
		"istio.io/istio/pilot/cmd/pilot-agent")
}

// AgentConfig is how a sidecar starts.
type AgentConfig struct {
	Istiod    string // host:port, as the workload reaches it
	Namespace string
	Labels    map[string]string
	Metadata  map[string]string // environment, as proxyMetadata in a mesh, e.g. ISTIO_META_DNS_CAPTURE
	Drain     time.Duration     // how long connections of a replaced listener stay, as drainDuration in a mesh; default 45 s
}

// Agent is a sidecar: pilot-agent with a stock Envoy, in front of which Istio's own iptables rules send the traffic of a workload.
type Agent struct {
	*Process
	Workload *Workload

	t testing.TB
}

// proxyGroup is the one whose traffic the rules leave alone. In a mesh the sidecar has this user too; here it stays root, whose
// files the cache and the folders of the tests are, and the rules are told both. The tests must be run by root.
const proxyGroup = "1337"

// StartAgent has the workload's traffic go through a sidecar from now on, and returns when that is ready.
func (w *Workload) StartAgent(config AgentConfig) *Agent {
	w.t.Helper()
	tool := toolDir(w.t, PilotAgent)
	rules := []string{"istio-iptables", "-p", "15001", "-z", "15006", "-u", proxyGroup, "-g", proxyGroup, "-m", "REDIRECT", "-i", "*", "-x", "",
		"-b", "*", "-d", "15090,15021,15020", "--log_output_level=default:warn"}
	if config.Metadata["ISTIO_META_DNS_CAPTURE"] == "true" {
		rules = append(rules, "--redirect-dns")
	}
	if _, err := w.Run(filepath.Join(tool, "pilot-agent"), rules...); err != nil {
		w.t.Fatalf("write the rules: %v", err)
	}
	a := &Agent{Process: newProcess(w.t, "agent-"+w.Name, filepath.Join(tool, "pilot-agent")), Workload: w, t: w.t}
	a.args = []string{"proxy", "sidecar", "--domain", config.Namespace + ".svc.cluster.local", "--templateFile", filepath.Join(tool, bootstrap),
		"--concurrency", "1", "--proxyLogLevel", "warning", "--meshConfig", filepath.Join(a.Dir, "none")}
	if config.Drain == 0 {
		config.Drain = 45 * time.Second
	}
	a.env = []string{
		"PROXY_CONFIG=" + a.json(map[string]any{
			"discoveryAddress": config.Istiod, "controlPlaneAuthPolicy": "NONE", "configPath": filepath.Join(a.Dir, "proxy"),
			"binaryPath": EnvoyBinary(w.t), "drainDuration": config.Drain.String(), "terminationDrainDuration": "0s",
		}),
		"POD_NAME=" + w.Name, "POD_NAMESPACE=" + config.Namespace, "INSTANCE_IP=" + w.Address, "SERVICE_ACCOUNT=default", "TRUST_DOMAIN=cluster.local",
		"ISTIO_META_CLUSTER_ID=e2e", "ISTIO_META_MESH_ID=cluster.local", "ISTIO_META_INTERCEPTION_MODE=REDIRECT", "ISTIO_META_WORKLOAD_NAME=" + w.Name,
		"ISTIO_METAJSON_LABELS=" + a.json(config.Labels), "MINIMUM_DRAIN_DURATION=0s",
	}
	for key, value := range config.Metadata {
		a.env = append(a.env, key+"="+value)
	}
	w.move(a.Process, "--setgid="+proxyGroup)
	a.start()
	a.ready(30*time.Second, func() error {
		_, err := w.Get("http://127.0.0.1:15021/healthz/ready")
		return err
	})
	return a
}

func (a *Agent) json(value any) string {
	content, err := json.Marshal(value)
	if err != nil {
		a.t.Fatalf("write the settings of %s: %v", a.Name, err)
	}
	return string(content)
}

// Shell runs a script inside the workload that finds pilot-agent in its path, as in the container of a sidecar.
func (a *Agent) Shell(script string) (string, error) {
	return a.Workload.Run("env", "PATH="+toolDir(a.t, PilotAgent)+":"+os.Getenv("PATH"), "sh", "-c", script)
}

// Rejected is how many updates of istiod its Envoy has refused.
func (a *Agent) Rejected() (sum int64) {
	a.t.Helper()
	text, err := a.Workload.Get("http://127.0.0.1:15000/stats?format=json&filter=update_rejected")
	if err != nil {
		a.t.Fatalf("ask %s for its statistics: %v", a.Name, err)
	}
	var stats struct{ Stats []struct{ Value int64 } }
	if err := json.Unmarshal([]byte(text), &stats); err != nil || len(stats.Stats) == 0 {
		a.t.Fatalf("read the statistics of %s: %v: %s", a.Name, err, text)
	}
	for _, s := range stats.Stats {
		sum += s.Value
	}
	return sum
}

// Upstream is what an Envoy has sent to one host of a cluster since that is known to it.
type Upstream struct {
	Connections int64
	Requests    int64 // of HTTP, or connections of TCP
}

// Upstreams are the hosts, as ip:port, of the clusters of the sidecar, such as outbound|20880||orders.mesh and PassthroughCluster.
func (a *Agent) Upstreams() map[string]map[string]Upstream {
	a.t.Helper()
	text, err := a.Workload.Get("http://127.0.0.1:15000/clusters?format=json")
	if err != nil {
		a.t.Fatalf("ask %s for its clusters: %v", a.Name, err)
	}
	var clusters struct {
		Statuses []struct {
			Name  string `json:"name"`
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    int    `json:"port_value"`
					} `json:"socket_address"`
				} `json:"address"`
				Stats []struct {
					Name  string `json:"name"`
					Value int64  `json:"value,string"`
				} `json:"stats"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.Unmarshal([]byte(text), &clusters); err != nil {
		a.t.Fatalf("read the clusters of %s: %v", a.Name, err)
	}
	upstreams := map[string]map[string]Upstream{}
	for _, c := range clusters.Statuses {
		hosts := map[string]Upstream{}
		for _, h := range c.Hosts {
			var u Upstream
			for _, s := range h.Stats {
				switch s.Name {
				case "cx_total":
					u.Connections = s.Value
				case "rq_total":
					u.Requests = s.Value
				}
			}
			hosts[fmt.Sprintf("%s:%d", h.Address.Socket.Address, h.Address.Socket.Port)] = u
		}
		upstreams[c.Name] = hosts
	}
	return upstreams
}
