package harness

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// KubeServer is a kube-apiserver with its own etcd, and Istio's custom resource definitions.
type KubeServer struct {
	*Process
	URL        string // https://127.0.0.1:port
	Kubeconfig string // file of an administrator of everything

	t      testing.TB
	client *http.Client
}

// kubeToken is the administrator's.
const kubeToken = "meshbridge-test"

// StartKube starts etcd and kube-apiserver and applies Istio's definitions.
func StartKube(t testing.TB) *KubeServer {
	t.Helper()
	tool := toolDir(t, Kube)
	etcd, etcdURL := startEtcd(t, tool)
	address := loopback(t)
	k := &KubeServer{Process: newProcess(t, "kube-apiserver", filepath.Join(tool, "kube-apiserver")), URL: "https://" + address, t: t}
	port := address[strings.LastIndex(address, ":")+1:]
	key := filepath.Join(k.Dir, "sa.key")
	writeFiles(t, map[string][]byte{
		key:                               serviceAccountKey(t),
		filepath.Join(k.Dir, "token.csv"): []byte(kubeToken + ",admin,admin,system:masters\n"),
	})
	k.args = []string{
		"--etcd-servers", etcdURL, "--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", filepath.Join(k.Dir, "certificates"),
		"--advertise-address", "127.0.0.1", "--service-cluster-ip-range", "10.96.0.0/24", "--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", key, "--service-account-signing-key-file", key, "--token-auth-file", filepath.Join(k.Dir, "token.csv"),
		"--authorization-mode", "RBAC", "--disable-admission-plugins", "ServiceAccount,TaintNodesByCondition,Priority",
		"--endpoint-reconciler-type", "none",
	}
	k.show = 5
	k.start()
	k.ready(60*time.Second, func() error {
		if closed(etcd.done) {
			t.Fatalf("etcd ended:\n%s", tail(etcd.Log(), 40))
		}
		return k.connect()
	})
	k.writeKubeconfig(port)
	k.applyDefinitions()
	return k
}

func startEtcd(t testing.TB, tool string) (*Process, string) {
	t.Helper()
	client, peer := "http://"+loopback(t), "http://"+loopback(t)
	p := newProcess(t, "etcd", filepath.Join(tool, "etcd"))
	p.args = []string{
		"--unsafe-no-fsync", "--log-level", "warn", "--data-dir", filepath.Join(p.Dir, "data"), "--listen-client-urls", client,
		"--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer,
	}
	p.show = 5
	p.start()
	return p, client
}

// connect reads the server's own certificate, which it makes at its start, and asks whether it is ready.
func (k *KubeServer) connect() error {
	ca, err := os.ReadFile(k.ca())
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	k.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 10 * time.Second}
	_, err = k.do(http.MethodGet, "/readyz", "", nil)
	return err
}

func (k *KubeServer) ca() string { return filepath.Join(k.Dir, "certificates", "apiserver.crt") }

func (k *KubeServer) writeKubeconfig(port string) {
	k.t.Helper()
	k.Kubeconfig = filepath.Join(k.Dir, "kubeconfig")
	writeFiles(k.t, map[string][]byte{k.Kubeconfig: fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%s", certificate-authority: %q}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`, port, k.ca(), kubeToken)})
}

// applyDefinitions applies Istio's definitions and waits until they serve.
func (k *KubeServer) applyDefinitions() {
	k.t.Helper()
	content, err := os.ReadFile(filepath.Join(toolDir(k.t, IstioCRDs), "crds.yaml"))
	if err != nil {
		k.t.Fatal(err)
	}
	k.Apply(string(content))
	k.Apply("{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}")
	for _, resource := range []string{"networking.istio.io/v1/serviceentries", "telemetry.istio.io/v1/telemetries", "security.istio.io/v1/authorizationpolicies"} {
		Eventually(k.t, 20*time.Second, resource+" serves", func() error {
			_, err := k.do(http.MethodGet, "/apis/"+resource, "", nil)
			return err
		})
	}
}

// Apply applies the documents on the server's side, as `kubectl apply --server-side` does.
func (k *KubeServer) Apply(documents string) {
	k.t.Helper()
	for document := range strings.SplitSeq(documents, "\n---") {
		path, err := objectPath(document)
		if err != nil {
			k.t.Fatalf("apply: %v", err)
		}
		if path == "" {
			continue
		}
		if _, err := k.do(http.MethodPatch, path+"?fieldManager=test&force=true", "application/apply-patch+yaml", []byte(document)); err != nil {
			k.t.Fatalf("apply: %v", err)
		}
	}
}

// Delete deletes the object of the document.
func (k *KubeServer) Delete(document string) {
	k.t.Helper()
	path, err := objectPath(document)
	if err != nil {
		k.t.Fatalf("delete: %v", err)
	}
	if _, err := k.do(http.MethodDelete, path, "", nil); err != nil {
		k.t.Fatalf("delete: %v", err)
	}
}

func (k *KubeServer) do(method, path, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, k.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+kubeToken)
	request.Header.Set("Content-Type", contentType)
	return answer(k.client, request)
}

// answer is the body of a successful answer.
func answer(client *http.Client, request *http.Request) ([]byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", request.Method, request.URL, err)
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %.300s", request.Method, request.URL, response.Status, content)
	}
	return content, nil
}

// objectPath is where the API server keeps the object of a document, or "" for an empty document. It knows plurals only as
// far as Istio's kinds need.
func objectPath(document string) (string, error) {
	var object struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct{ Name, Namespace string }
	}
	if err := yaml.Unmarshal([]byte(document), &object); err != nil {
		return "", err
	}
	if object.Kind == "" {
		return "", nil
	}
	plural := strings.ToLower(object.Kind) + "s"
	if base, ok := strings.CutSuffix(plural, "ys"); ok && !strings.HasSuffix(base, "a") {
		plural = base + "ies"
	}
	path := "/apis/" + object.APIVersion
	if !strings.Contains(object.APIVersion, "/") {
		path = "/api/" + object.APIVersion
	}
	if object.Metadata.Namespace != "" {
		path += "/namespaces/" + object.Metadata.Namespace
	}
	return path + "/" + plural + "/" + object.Metadata.Name, nil
}

func serviceAccountKey(t testing.TB) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatalf("make the service account key: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

func writeFiles(t testing.TB, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatalf("write %s: %v", filepath.Base(name), err)
		}
	}
}
