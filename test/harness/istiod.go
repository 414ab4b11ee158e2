package harness

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// IstiodConfig is how an istiod starts.
type IstiodConfig struct {
	Tool     Tool           // IstiodNewest or Istiod124
	Sources  []ConfigSource // before k8s://, which is added with Kube
	Kube     *KubeServer    // needed by IstiodNewest; nil with Istiod124
	Dir      string         // a folder of objects to read, instead of Sources; such an istiod serves them over MCP
	Revision string
	Env      []string // further environment, e.g. PILOT_DEBOUNCE_AFTER=10ms
}

// ConfigSource is one entry of meshConfig.configSources.
type ConfigSource struct {
	Address     string       `json:"address"`
	TLSSettings *TLSSettings `json:"tlsSettings,omitempty"`
}

// TLSSettings is how istiod secures the connection to a config source. SNI is left out on purpose: it would become the
// authority of every shard.
type TLSSettings struct {
	Mode           string `json:"mode"`
	CACertificates string `json:"caCertificates"` // PEM
}

// Istiod is a running istiod.
type Istiod struct {
	*Process
	GRPC string // host:port, for proxies
	HTTP string // http://host:port, for /ready and /debug

	t testing.TB
}

// StartIstiod starts an istiod and returns when it serves proxies: when every config source has answered.
func StartIstiod(t testing.TB, config IstiodConfig) *Istiod {
	t.Helper()
	i := LaunchIstiod(t, config)
	i.WaitReady()
	return i
}

// LaunchIstiod starts an istiod and does not wait for it.
func LaunchIstiod(t testing.TB, config IstiodConfig) *Istiod {
	t.Helper()
	i := &Istiod{
		Process: newProcess(t, "istiod-"+config.Tool.Version, filepath.Join(toolDir(t, config.Tool), "pilot-discovery")),
		GRPC:    loopback(t), HTTP: "http://" + loopback(t), t: t,
	}
	mesh := filepath.Join(i.Dir, "mesh.yaml")
	writeFiles(t, map[string][]byte{mesh: meshConfig(t, config)})
	i.args = []string{
		"discovery", "--meshConfig", mesh, "--networksConfig", filepath.Join(i.Dir, "none"), "--httpAddr", strings.TrimPrefix(i.HTTP, "http://"),
		"--grpcAddr", i.GRPC, "--secureGRPCAddr=", "--httpsAddr=", "--monitoringAddr", loopback(t), "--ctrlz_address", "127.0.0.1",
		"--ctrlz_port", fmt.Sprint(FreePort(t)),
	}
	i.env = append([]string{
		"POD_NAMESPACE=istio-system", "POD_NAME=istiod-e2e", "CLUSTER_ID=e2e", "REVISION=" + config.Revision, "INJECT_ENABLED=false",
		"VALIDATION_WEBHOOK_CONFIG_NAME=", "PILOT_ENABLE_GATEWAY_API=false", "PILOT_ENABLE_GATEWAY_API_STATUS=false",
		"PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER=false", "PILOT_ENABLE_IP_AUTOALLOCATE=false",
	}, config.Env...)
	if config.Dir != "" {
		i.args = append(i.args, "--configDir", config.Dir)
	}
	if config.Kube != nil {
		i.args = append(i.args, "--kubeconfig", config.Kube.Kubeconfig)
	} else {
		i.args = append(i.args, "--registries=")
	}
	i.start()
	return i
}

func meshConfig(t testing.TB, config IstiodConfig) []byte {
	t.Helper()
	sources := config.Sources
	if config.Kube != nil {
		sources = append(sources[:len(sources):len(sources)], ConfigSource{Address: "k8s://"})
	}
	content, err := yaml.Marshal(map[string]any{
		"trustDomain": "cluster.local", "rootNamespace": "istio-system", "enableAutoMtls": false, "configSources": sources,
		"defaultConfig": map[string]any{"discoveryAddress": "istiod.istio-system.svc:15012"},
	})
	if err != nil {
		t.Fatalf("write the mesh config: %v", err)
	}
	return content
}

// Start starts an istiod that has ended, and returns when it serves proxies; its addresses stay.
func (i *Istiod) Start() {
	i.t.Helper()
	i.start()
	i.WaitReady()
}

// WaitReady waits until the istiod serves proxies.
func (i *Istiod) WaitReady() {
	i.t.Helper()
	// /ready of an istiod without Kubernetes stays 503, so its proxies' port is what counts.
	i.ready(60*time.Second, i.Serves)
}

// Serves is nil once the istiod accepts proxies.
func (i *Istiod) Serves() error {
	conn, err := dialTCP(i.GRPC)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Object is a configuration object that istiod holds.
type Object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name            string            `json:"name"`
		Namespace       string            `json:"namespace"`
		ResourceVersion string            `json:"resourceVersion"`
		Labels          map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec json.RawMessage `json:"spec"`
}

// debug reads a page of istiod's debug interface into v.
func (i *Istiod) debug(page string, v any) error {
	request, err := http.NewRequest(http.MethodGet, i.HTTP+"/debug/"+page, nil)
	if err != nil {
		return err
	}
	content, err := answer(http.DefaultClient, request)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, v); err != nil {
		return fmt.Errorf("read /debug/%s: %w", page, err)
	}
	return nil
}

// Refused are the log lines in which istiod says that it dropped something a config source sent.
func (i *Istiod) Refused() []string { return i.LogLines("warn\tadsc") }
