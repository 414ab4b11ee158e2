package harness

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The real servers. Each is pinned by the go.mod or pom.xml in its Source folder.
var (
	// IstiodNewest is pilot-discovery of Istio's master.
	IstiodNewest = Tool{Name: "istiod", Version: "20260827", Source: "tools/istiod", Cold: 3 * time.Minute, build: pilot}
	// Istiod124 is pilot-discovery of Istio 1.24.0, the oldest that the tests cover.
	Istiod124 = Tool{Name: "istiod", Version: "1.24.0", Source: "tools/istiod-1.24", Cold: 3 * time.Minute, build: pilot}
	// IstioCRDs is the file of Istio's custom resource definitions that belongs to IstiodNewest.
	IstioCRDs = Tool{Name: "istio-crds", Version: "20260827", Source: "tools/istiod", Cold: time.Second, build: istioCRDs}
	// Kube is kube-apiserver and etcd.
	Kube = Tool{Name: "kube", Version: "1.35.4", Source: "tools/kube", Cold: 4 * time.Minute, build: kube}
	// ZooKeeper is the server's class path.
	ZooKeeper = Tool{Name: "zookeeper", Version: "3.9.4", Source: "servers/zookeeper", Cold: 15 * time.Second, build: maven}
	// Consul is the agent.
	Consul = Tool{Name: "consul", Version: "1.21.0", Source: "tools/consul", Cold: 9 * time.Minute, build: consul}
	// Eureka is the server of Spring Cloud Netflix.
	Eureka = Tool{Name: "eureka", Version: "4.3.1", Source: "servers/eureka", Cold: 35 * time.Second, build: maven}
	// Nacos2 is a server of the second generation.
	Nacos2 = Tool{Name: "nacos", Version: "2.3.2", Source: "servers/nacos-2", Cold: 40 * time.Second, build: maven}
	// Nacos3 is a server of the third generation.
	Nacos3 = Tool{Name: "nacos", Version: "3.1.0", Source: "servers/nacos-3", Cold: 40 * time.Second, build: maven}
	// Dubbo is a provider.
	Dubbo = Tool{Name: "dubbo", Version: "3.3.5", Source: "servers/dubbo", Cold: 25 * time.Second, build: maven}
	// SpringZooKeeper is a Spring Cloud application that registers in ZooKeeper.
	SpringZooKeeper = Tool{Name: "spring-zk", Version: "4.3.0", Source: "servers/spring-zk", Cold: 35 * time.Second, build: maven}
	// SpringEureka is a Spring Cloud application that registers in Eureka.
	SpringEureka = Tool{Name: "spring-eureka", Version: "4.3.1", Source: "servers/spring-eureka", Cold: 20 * time.Second, build: maven}
)

// Integration lists what the integration tests start.
func Integration() []Tool {
	return []Tool{ZooKeeper, Consul, Eureka, Nacos2, Nacos3, Dubbo, SpringZooKeeper, SpringEureka}
}

// EndToEnd lists what the end-to-end tests start.
func EndToEnd() []Tool {
	return append(append(Integration(), IstiodNewest, Istiod124, IstioCRDs, Validator, Kube, StockEnvoy), Consumers()...)
}

// pilot builds pilot-discovery as Istio's own build does, without debug information.
func pilot(ctx context.Context, source, dir string, log io.Writer) error {
	return goBuild(ctx, log, source, filepath.Join(dir, "pilot-discovery"), "-tags", "vtprotobuf,disable_pgv", "-ldflags", "-s -w",
		"istio.io/istio/pilot/cmd/pilot-discovery")
}

// kube builds kube-apiserver and etcd. The API server derives its feature gates from its version, so that is set.
func kube(ctx context.Context, source, dir string, log io.Writer) error {
	const version = " -X k8s.io/component-base/version."
	flags := "-s -w" + version + "gitVersion=v1.35.4" + version + "gitMajor=1" + version + "gitMinor=35"
	if err := goBuild(ctx, log, source, filepath.Join(dir, "kube-apiserver"), "-ldflags", flags, "k8s.io/kubernetes/cmd/kube-apiserver"); err != nil {
		return err
	}
	return goBuild(ctx, log, source, filepath.Join(dir, "etcd"), "-ldflags", "-s -w", "go.etcd.io/etcd/server/v3")
}

// consul builds the agent.
func consul(ctx context.Context, source, dir string, log io.Writer) error {
	return goBuild(ctx, log, source, filepath.Join(dir, "consul"), "-trimpath", "-ldflags", "-s -w", "github.com/hashicorp/consul")
}

// istioCRDs copies the definitions out of the module istio.io/api.
func istioCRDs(ctx context.Context, source, dir string, log io.Writer) error {
	var module strings.Builder
	if err := run(ctx, &module, source, []string{"GOWORK=off"}, "go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api"); err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(strings.TrimSpace(module.String()), "kubernetes", "customresourcedefinitions.gen.yaml"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "crds.yaml"), content, 0o644)
}

func goBuild(ctx context.Context, log io.Writer, source, out string, args ...string) error {
	return run(ctx, log, source, []string{"CGO_ENABLED=0", "GOWORK=off"}, "go", append([]string{"build", "-o", out}, args...)...)
}

// maven copies the project to dir and builds it there, so that the tree stays clean.
func maven(ctx context.Context, source, dir string, log io.Writer) error {
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		return err
	}
	return run(ctx, log, dir, nil, "mvn", "-q", "-B", "package")
}
